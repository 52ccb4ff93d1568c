# zfs_look.sh PROPERTIES OPTION <NAMES: one look at datasets, without their snapshots. Prints the seconds of the host's
# clock, what `zfs version` says, an empty line; for each name's pool a line `holds <TAB> POOL <TAB> what its ec2zfs:holds
# is`; an empty line; then DATASET, PROPERTY, SOURCE, VALUE of what is set there or is a fact, parted by tabs.
# Properties that this ZFS does not know are left out; where it does not know them all, `jailed` is asked for too, which is
# FreeBSD's `zoned`. OPTION is -r, or -d0 for the named ones alone; a name is a line.
set -uf
properties=$1 option=$2
newline='
'
IFS=$newline
# shellcheck disable=SC2046 # a word for each name
set -- $(cat)
look() {
    zfs get -Hp "$option" -t filesystem,volume -s local,received,temporary,none -o name,property,source,value "$@"
}

date +%s
zfs version || exit 1
echo
[ $# -gt 0 ] || exit 0
pools=$newline
for name; do
    case $pools in *"$newline${name%%/*}$newline"*) ;; *) pools=$pools${name%%/*}$newline ;; esac
done
# shellcheck disable=SC2086 # a word for each pool
zfs get -Hp -o name,value ec2zfs:holds $pools 2>/dev/null | while IFS= read -r line; do printf 'holds\t%s\n' "$line"; done
echo
exec 3>&1
said=$(look "$properties" "$@" 2>&1 >&3)
status=$?
if [ $status -eq 2 ]; then # it does not know all properties, so it did nothing; which it knows says its help
    properties=$({ zfs get 2>&1; printf '%s\n' "$properties,jailed" | tr , '\n' | sed 's/^/ask /'; } |
        awk '$1 != "ask" { known[$1]; next } $2 ~ /:/ || $2 in known { print $2 }' | paste -s -d , -)
    look "$properties" "$@"
    exit
fi
[ -z "$said" ] || printf '%s\n' "$said" >&2
exit $status
