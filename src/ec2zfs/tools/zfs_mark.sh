# zfs_mark.sh SNAPSHOT CURSOR [OUTDATED...]: bookmark the snapshot unless it is done, then drop the outdated bookmarks.
set -eu
snapshot=$1 cursor=$2
shift 2
stands() {
    zfs list -H -t bookmark -o name "$1" >/dev/null 2>&1
}
said=$(zfs bookmark "$snapshot" "$cursor" 2>&1) || stands "$cursor" || { printf '%s\n' "$said" >&2; exit 1; }
for bookmark; do
    case $bookmark in
        *'#ec2zfs_'*) zfs destroy "$bookmark" || ! stands "$bookmark" ;;
        *) echo "refused to destroy $bookmark, which is no bookmark of ours" >&2; exit 1 ;;
    esac
done
