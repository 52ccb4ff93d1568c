# zfs_look.sh PROPERTIES OPTION [NAME...]: one look at datasets, without their snapshots. Prints the seconds of the host's
# clock, what `zfs version` says, an empty line; for each name's pool a line `holds <TAB> POOL <TAB> what its ec2zfs:holds
# is`; an empty line; then DATASET, PROPERTY, SOURCE, VALUE of what is set there or is a fact, parted by tabs.
# Properties that this ZFS does not know are left out. OPTION is -r, or -d0 for the named ones alone.
set -uf
properties=$1 option=$2
shift 2
date +%s
zfs version || exit 1
echo
[ $# -gt 0 ] || exit 0
printf '%s\n' "$@" | cut -d / -f 1 | sort -u | while read -r pool; do
    zfs get -Hp -o value ec2zfs:holds "$pool" 2>/dev/null | sed "s/^/holds\t$pool\t/"
done
echo
properties=$({ zfs get 2>&1; printf '%s\n' "$properties" | tr , '\n' | sed 's/^/ask /'; } |
    awk '$1 != "ask" { known[$1]; next } $2 ~ /:/ || $2 in known { print $2 }' | paste -s -d , -)
exec zfs get -Hp "$option" -t filesystem,volume -s local,received,temporary,none -o name,property,source,value "$properties" "$@"
