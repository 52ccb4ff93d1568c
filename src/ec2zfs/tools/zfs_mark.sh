# zfs_mark.sh SNAPSHOT CURSOR [OUTDATED...]: bookmark the snapshot unless it is done, then drop the outdated bookmarks.
set -eu
snapshot=$1 cursor=$2
shift 2
zfs list -H -t bookmark -o name "$cursor" >/dev/null 2>&1 || zfs bookmark "$snapshot" "$cursor"
for bookmark; do
    case $bookmark in
        *'#ec2zfs_'*) zfs destroy "$bookmark" ;;
        *) echo "refused to destroy $bookmark, which is no bookmark of ours" >&2; exit 1 ;;
    esac
done
