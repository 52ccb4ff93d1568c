# zfs_destroy.sh PROPERTY [-n]: destroys snapshots that are ours. Each line of standard input is DATASET@NAME,NAME,… and,
# after a tab, GUID:VALUE,GUID:VALUE,… in the order of `sort`: what these snapshots are, and what our property says of them.
# A line is done if ZFS says the same now, whole or not at all. Prints for each line, parted by tabs: `destroyed` and the
# bytes that it frees, `changed`, or `kept` and what ZFS said. With -n nothing is destroyed.
set -uf
property=$1 preview=${2:-}
tab='	'
while IFS=$tab read -r names meant; do
    dataset=${names%%@*} rest=${names#*@},
    set --
    while [ "$rest" ]; do
        set -- "$@" "$dataset@${rest%%,*}"
        rest=${rest#*,}
    done
    found=$(zfs list -Hp -t snapshot -o "guid,$property" "$@" 2>/dev/null </dev/null | sort | tr '\t\n' ':,')
    if [ "$found" != "$meant," ]; then
        echo changed
    elif said=$(zfs destroy -vp ${preview:+"$preview"} "$names" 2>&1 </dev/null); then
        echo "destroyed$tab$(printf '%s\n' "$said" | sed -n "s/^reclaim$tab//p")"
    else
        echo "kept$tab$(printf '%s' "$said" | tr '\t\n' '  ')"
    fi
done
