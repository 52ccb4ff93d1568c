# reopen.sh POOL [HANDLE SERIAL MAPPING]...: bring members back whose volumes are here again. MAPPING is `-` without
# encryption; else stdin holds a key of 64 bytes for each, in order. A volume that does not show or cannot be read is told
# of and passed over, since whoever looks next replaces it. Exit: 42 wrong key, 44 what is left of it stays in use.
need lsblk dmsetup zpool cryptsetup dd
pool=$1
shift
exec 3<&0 </dev/null

# freed HANDLE MAPPING: close what is left of it. ZFS takes no member offline that it cannot spare; then the rest of the
# mapping may be in use, or not.
freed() {
    zpool offline "$pool" "$1" >&2
    close_mapping "$2"
}

# open_again HANDLE DEVICE MAPPING: open it on this very device, unless it is; its key is taken from stdin in any case.
open_again() {
    case $backing in
    *" $3 (${2#/dev/})"*)
        skip_key
        return
        ;;
    *" $3 ("*)
        if ! freed "$1" "$3"; then
            echo "$3 is open on a device that is gone, and in use." >&2
            exit 44
        fi
        ;;
    esac
    with_key cryptsetup open --type luks2 "$2" "$3" >&2
    case $? in
    0) ;;
    2)
        echo "$3" >&2
        exit 42
        ;;
    *) return 1 ;;
    esac
}

# back HANDLE: `zpool online` brings back what was away, `zpool clear` what had too many errors.
back() {
    zpool online "$pool" "$1" >&2
    zpool clear "$pool" "$1" >&2
}

serials=
bare=
work=$*
while [ $# -gt 0 ]; do
    serials="$serials $2"
    [ "$3" != - ] || bare=yes
    shift 3
done
require_pool "$pool" "$bare"
# shellcheck disable=SC2086 # serials, handles and mappings have no blanks
await 30 $serials
backing=$(open_devices)

# shellcheck disable=SC2086
set -- $work
while [ $# -gt 0 ]; do
    if ! device "$2"; then
        echo "$3 ($2) does not show." >&2
        [ "$3" = - ] || skip_key
    elif [ "$3" = - ]; then
        zpool offline "$pool" "$1" >&2
        back "$1"
    elif open_again "$1" "$path" "$3"; then
        back "$1"
    else
        echo "$3 ($2) could not be opened." >&2
    fi
    shift 3
done
exit 0
