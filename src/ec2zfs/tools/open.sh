# open.sh POOL HOSTID IMPORT TARGET LACKING SECONDS [VERB SERIAL MAPPING]...: ready the volumes, import, all or nothing.
# IMPORT: no, plain or force; TARGET: the name or GUID to import. LACKING: refuse or accept a volume that is not here in
# SECONDS, and a pool that lacks a member that ZFS knows.
# VERB: test (the key opens it), format, open, or bare (no encryption: it must be here). prove and try are test and open
# for a volume that bears our header, and nothing for another; offer is try where the key opens it, else nothing. For
# each but bare stdin holds a key of 64 bytes, in order.
# Prints `MAPPING WHY` for what try and offer left out: absent, unmarked (no header of ours), locked (the key does not
# open it), or stale (open on a device that is gone).
# Exit: 41 absent, 42 wrong key, 43 not formattable, 44 not openable, 45 not imported, 46 it would lack members.
need lsblk wipefs cmp dmsetup zpool zgenhostid cryptsetup
pool=$1 hostid=$2 import=$3 target=$4 lacking=$5 seconds=$6
shift 6
exec 3<&0 </dev/null
opened=
marked=
fitted=
locked=
bare=

give_up() {
    give_up_status=$1
    shift
    echo "$*" >&2
    for give_up_mapping in $opened; do cryptsetup close "$give_up_mapping" >&2; done
    exit "$give_up_status"
}

# formattable DEVICE SIZE: looks again at what the plan saw: nothing is formatted that ever held a key slot or data.
formattable() {
    content "$1"
    for type in $signatures; do [ "$type" = crypto_LUKS ] || return 1; done
    [ "${keyslots:-0}" -eq 0 ] && untouched "$1" "$2"
}

# PBKDF2's fewest iterations will do for a random key of 512 bits (fact 56); label and subsystem say whose it is.
format_volume() {
    formattable "$2" "$3" || give_up 43 "$1 ($2) holds something, and was not formatted."
    with_key cryptsetup luksFormat --batch-mode --type luks2 --sector-size 4096 --cipher aes-xts-plain64 \
        --key-size 512 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --label "$1" --subsystem ec2zfs "$2" ||
        give_up 44 "$1 ($2) was not formatted."
}

# left_out MAPPING WHY: tell that it is passed over; a proof tells nothing, since try comes after it.
left_out() { [ "$verb" = prove ] || echo "$1 $2"; }

# checked STATUS MAPPING DEVICE: whether the key opened it. cryptsetup ends with 2 when no key slot takes the key.
checked() {
    case $1-$verb in
    0-*) fitted=yes ;;
    2-offer)
        locked=${locked:-$2}
        left_out "$2" locked
        return 1
        ;;
    2-*) give_up 42 "$2" ;;
    *) give_up 44 "$2 ($3) could not be opened." ;;
    esac
}

test_key() {
    with_key cryptsetup open --test-passphrase --type luks2 "$2"
    checked $? "$1" "$2"
}

# A mapping may be left of a device that is gone: of a volume that was pulled out and came back. It is not of use, but
# while ZFS holds it only `pool repair` gets it out (reopen.sh); `try` and `offer` leave that to it.
open_volume() {
    case $backing in
    *" $1 (${2#/dev/})"*)
        skip_key
        return
        ;;
    *" $1 ("*)
        if ! cryptsetup close "$1"; then
            [ "$verb" != open ] || give_up 44 "$1 is open on a device that is gone, and in use."
            left_out "$1" stale
            skip_key
            return
        fi
        ;;
    esac
    with_key cryptsetup open --type luks2 "$2" "$1"
    checked $? "$1" "$2" && opened="$1 $opened"
}

# bears_ours MAPPING DEVICE: whether a sound LUKS2 header of ours is on it, which a dead or a new volume has not. One that
# was seen is not looked at again.
bears_ours() {
    case $marked in
    *" $1 "*) return 0 ;;
    esac
    content "$2"
    [ "${keyslots:-0}" -gt 0 ] && [ "$label" = "$1" ] && marked="$marked $1 "
}

# would_be: ZFS's word for the pool that the members make; nothing when they make none.
would_be() {
    # shellcheck disable=SC2086 # paths of ours have no blanks
    zpool import $members 2>/dev/null | while read -r would_be_word would_be_value _; do
        case $would_be_word in
        pool:) would_be_name=$would_be_value ;;
        id:) would_be_guid=$would_be_value ;;
        state:) case $target in "$would_be_name" | "$would_be_guid") echo "$would_be_value" ;; esac ;;
        esac
    done
}

import_pool() {
    members=
    for member in $bare; do members="$members -d $member"; done
    open=$(mappings "$pool") || return 1
    for member in $open; do members="$members -d /dev/mapper/$member"; done
    # Without a device to look at, zpool would look at every one that the machine has.
    [ -n "$members" ] || give_up 45 "No volume of pool $pool bears a LUKS2 header of ours."
    zgenhostid -f "$hostid" || return 1
    keep_scans
    [ "$lacking" = accept ] || [ "$(would_be)" != DEGRADED ] || give_up 46 "Pool $pool would be DEGRADED."
    # shellcheck disable=SC2086 # paths of ours have no blanks
    zpool import $members -N -o cachefile=none -R /mnt "$target" && return
    # shellcheck disable=SC2086
    [ "$import" = force ] && zpool import $members -f -N -o cachefile=none -R /mnt "$target"
}

work=$*
serials=
while [ $# -gt 0 ]; do
    serials="$serials $2"
    shift 3
done
# shellcheck disable=SC2086 # serials and mappings have no blanks
await "$seconds" $serials
backing=$(open_devices)

# shellcheck disable=SC2086
set -- $work
while [ $# -gt 0 ]; do
    verb=$1 serial=$2 mapping=$3
    shift 3
    if ! device "$serial"; then
        [ "$lacking" = accept ] || give_up 41 "$mapping ($serial)"
        left_out "$mapping" absent
        skip_key
        continue
    fi
    case $verb in
    prove | try | offer)
        if ! bears_ours "$mapping" "$path"; then
            left_out "$mapping" unmarked
            skip_key
            continue
        fi
        ;;
    esac
    case $verb in
    test | prove) test_key "$mapping" "$path" ;;
    format) format_volume "$mapping" "$path" "$size" ;;
    open | try | offer) open_volume "$mapping" "$path" ;;
    bare) labelled "$serial" && bare="$bare $path" ;;
    esac
done
[ -z "$locked" ] || [ -n "$fitted" ] || give_up 42 "$locked"

if [ "$import" != no ]; then
    if ! imported "$pool"; then
        import_pool || give_up 45 "Pool $pool was not imported."
    elif [ -z "$bare" ] && ! ours "$pool"; then
        give_up 45 "A pool named $pool is imported that is none of ours."
    fi
    resume "$pool"
    [ "$(health "$pool")" != SUSPENDED ] || give_up 45 "Pool $pool is suspended: too many of its volumes are gone."
fi
exit 0
