# zfs_snapshot.sh [OPTION...]: takes the snapshots that standard input names, one a line, all of one pool: one transaction
# group, or nothing. The names are no arguments of this script, since a far shell takes 128 KiB of them at most.
set -euf
while IFS= read -r name; do
    set -- "$@" "$name"
done
exec zfs snapshot "$@"
