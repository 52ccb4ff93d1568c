# rekey.sh POOL PHASE SECONDS [SERIAL MAPPING]...: one phase of a change of keys, volume after volume; twice is fine.
# PHASE, and the keys of 64 bytes each that stdin holds for it, in this order:
#   look    OLD NEW of each volume: prints `MAPPING SLOT SLOT`, the key slots that they open, `-` for none
#   add     ADDED HELD ADDED ADDED of each: HELD opens the volume, ADDED shall; nothing where it does already
#   remove  NEW of each: nothing is removed unless it opens all; then OLD NEW of each: OLD goes where it still is
# Exit: 41 absent, 42 the key to stay opens nothing, 43 the key was not added, 44 no sound header, 45 not removed.
need lsblk cryptsetup dd
phase=$2 seconds=$3
shift 3
exec 3<&0 </dev/null

give_up() {
    give_up_status=$1
    shift
    echo "$*" >&2
    exit "$give_up_status"
}

# skip COUNT: pass over so many keys.
skip() { dd bs=64 count="$1" iflag=fullblock status=none <&3 >/dev/null; }

# find_slot MAPPING DEVICE: the key slot that the next key opens, in $slot; `-` for none.
find_slot() {
    slot=-
    find_said=$(cryptsetup open --test-passphrase --verbose --type luks2 "$2" --key-file=- --keyfile-size=64 <&3)
    case $? in
    0) ;;
    2) return ;;
    *) give_up 44 "$1 ($2) has no LUKS2 header that can be read." ;;
    esac
    slot=${find_said##*Key slot }
    slot=${slot%% unlocked.*}
    case $slot in
    '' | *[!0-9]*) give_up 44 "$1 ($2) was opened, but cryptsetup did not say by which key slot." ;;
    esac
}

# free_slot DEVICE: the first key slot that is free, in $free; never 0, which tells with which key it was formatted.
free_slot() {
    free_dump=$(cryptsetup luksDump "$1") || return 1
    free=1
    while :; do
        case $free_dump in
        *"
  $free: luks2"*) free=$((free + 1)) ;;
        *) return 0 ;;
        esac
    done
}

tell_slots() {
    find_slot "$1" "$2"
    tell_old=$slot
    find_slot "$1" "$2"
    echo "$1 $tell_old $slot"
}

# The key that opens the volume and the one to be added follow each other on one descriptor: cryptsetup reads the first
# 64 bytes, opens, and reads the next. Read the other way round nothing would open, and nothing be added.
add_key() {
    find_slot "$1" "$2"
    if [ "$slot" != - ]; then
        skip 3
        return
    fi
    free_slot "$2" || give_up 44 "$1 ($2) has no LUKS2 header that can be read."
    cryptsetup luksAddKey --batch-mode --key-slot "$free" --pbkdf pbkdf2 --pbkdf-force-iterations 1000 \
        --key-file=- --keyfile-size=64 --new-keyfile-size=64 "$2" - <&3 >&2 || give_up 43 "$1 ($2) got no further key."
    find_slot "$1" "$2"
    [ "$slot" != - ] || give_up 43 "$1 ($2) is not opened by the key that it was given."
}

prove() {
    find_slot "$1" "$2"
    [ "$slot" != - ] || give_up 42 "$1 ($2) is not opened by the key that is to stay."
}

# cryptsetup itself kills the slot only when the key on its stdin opens another one. Of two keys one cannot open the
# other's slot, so what is left is never a volume without a key.
remove_key() {
    find_slot "$1" "$2"
    if [ "$slot" = - ]; then
        skip 1
        return
    fi
    cryptsetup luksKillSlot --batch-mode "$2" "$slot" --key-file=- --keyfile-size=64 <&3 >&2 ||
        give_up 45 "$1 ($2) keeps the old key in slot $slot."
}

# each FUNCTION [SERIAL MAPPING]...: the function for every volume, with its mapping and its device.
each() {
    each_do=$1
    shift
    while [ $# -gt 0 ]; do
        device "$1" || give_up 41 "$2 ($1)"
        "$each_do" "$2" "$path"
        shift 2
    done
}

here() { :; }

serials=
work=$*
while [ $# -gt 0 ]; do
    serials="$serials $1"
    shift 2
done
# shellcheck disable=SC2086 # serials and mappings have no blanks
await "$seconds" $serials
# shellcheck disable=SC2086
set -- $work
each here "$@"
case $phase in
look) each tell_slots "$@" ;;
add) each add_key "$@" ;;
remove) each prove "$@" && each remove_key "$@" ;;
*) give_up 2 "rekey.sh knows no phase $phase." ;;
esac
exit 0
