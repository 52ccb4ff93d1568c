# zfs_set.sh ITEM: the first line of ITEM is a dataset, each other one PROPERTY=VALUE, to be set, or PROPERTY, to be inherited.
# What is to be set is set by one command, or else one by one. Prints for each that cannot be: dataset, property, and what
# ZFS says, parted by tabs; this is no failure.
set -uf
IFS='
'
# shellcheck disable=SC2086 # parted at line breaks, on purpose
set -- $1
dataset=$1
shift

tell() {
    printf '%s\t%s\t%s\n' "$dataset" "$1" "$(printf '%s' "$2" | tr '\t\n' '  ')"
}

for change; do
    shift
    case $change in
        *=*) set -- "$@" "$change" ;;
        *) said=$(zfs inherit "$change" "$dataset" 2>&1) || tell "$change" "$said" ;;
    esac
done
[ $# -eq 0 ] || zfs set "$@" "$dataset" 2>/dev/null || for change; do
    said=$(zfs set "$change" "$dataset" 2>&1) || tell "${change%%=*}" "$said"
done
