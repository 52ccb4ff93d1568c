# zfs_each.sh WORD...: runs `zfs WORD...` on the names that standard input holds, one a line, as many at a time as fit.
# Ends with 123 when one of them failed; the others were done.
set -euf
exec xargs -r -d '\n' -n 500 zfs "$@"
