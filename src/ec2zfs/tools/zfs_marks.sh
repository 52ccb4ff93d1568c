# zfs_marks.sh SCRIPT ITEM: the lines of ITEM are what SCRIPT, the text of zfs_mark.sh, is given. When that fails, prints the
# snapshot and what was said, parted by a tab; this is no failure.
set -uf
script=$1
IFS='
'
# shellcheck disable=SC2086 # parted at line breaks, on purpose
set -- $2
said=$(sh -c "$script" zfs_mark.sh "$@" 2>&1) || printf '%s\t%s\n' "$1" "$(printf '%s' "$said" | tr '\t\n' '  ')"
