# expand.sh POOL [SERIAL MAPPING BYTES]...: let LUKS and ZFS use all of volumes that have so many bytes now. MAPPING is `-`
# without encryption; else stdin holds a key of 64 bytes for each, in order, since LUKS2 wants it again (fact 58).
# Prints what status.sh prints. Exit: 41 the size does not show, 42 wrong key, 44 not resized, 46 not expanded.
need lsblk dmsetup zpool zfs cryptsetup dd
pool=$1
shift
exec 3<&0 </dev/null
seconds=30

give_up() {
    give_up_status=$1
    shift
    echo "$*" >&2
    exit "$give_up_status"
}

# await_size SERIAL BYTES: the kernel is told of the size a moment after EC2 has it; leaves $path and $size.
await_size() {
    while :; do
        look || return 1
        device "$1" || size=0
        [ "$size" -lt "$2" ] || return 0
        [ "$seconds" -gt 0 ] || return 1
        seconds=$((seconds - 1))
        sleep 1
    done
}

bare=
if [ "${2:-}" = - ]; then bare=yes; fi
require_pool "$pool" "$bare"
while [ $# -gt 0 ]; do
    await_size "$1" "$3" || give_up 41 "$2 ($1) shows $size bytes, not $3."
    if [ "$2" = - ]; then
        lasting "$1"
    else
        with_key cryptsetup resize "$2" >&2
        case $? in
        0) ;;
        2) give_up 42 "$2" ;;
        *) give_up 44 "$2 ($1) was not resized." ;;
        esac
        path=/dev/mapper/$2
    fi
    zpool online -e "$pool" "$path" >&2 || give_up 46 "$path was not expanded."
    shift 3
done
tell_pool "$pool" no
