# The programs of a receiver as shell functions over the directory $WORLD, so that our real scripts run against an
# imagined machine in milliseconds. Strict: what a real program would not understand fails here too.
#
#   attached            NAME SERIAL BYTES a line: the disks that show now
#   volumes/SERIAL/     what outlives the machine: signatures, label, slots (a key in hexadecimal each), head, data, zfs
#   pools/GUID/         name, vdevs (kind and paths), hostid, exported, and more (zpool.sh)
#   mapper/ imported/   what dies with the machine: open mappings (a serial, and their bytes), imported pools (a GUID)
#   effects             what was changed so far, a line each; kill_after: the number of them at which the machine stops

effect() {
    echo "$*" >>"$WORLD/effects"
    read -r effect_left <"$WORLD/kill_after"
    echo $((effect_left - 1)) >"$WORLD/kill_after"
    if [ "$effect_left" -eq 1 ]; then
        kill -9 $$
        exit 137
    fi
}

wrong() {
    echo "$*: the imagined machine does not know this" >&2
    exit 99
}

said() {
    echo "$*" >&2
    return 1
}

sleep() { command sleep 0.01; }

# The tests run this some hundred times: what follows does without processes where it can.
cat() {
    for cat_path; do
        case $cat_path in
        /sys/block/dm-*) statistics "$cat_path" ;;
        *) while IFS= read -r cat_line; do echo "$cat_line"; done <"$cat_path" ;;
        esac
    done
}
touch() { : >>"$1"; }
empty() { : >"$1"; }
has_line() {
    while IFS= read -r has_line_line; do
        [ "$has_line_line" = "$2" ] && return 0
    done <"$1"
    return 1
}

# find_volume DEVICE: the volume behind a disk or a mapping, in $volume and $serial, and the device's size in $bytes
find_volume() {
    serial=
    case $1 in
    /dev/mapper/*)
        [ -s "$WORLD/mapper/${1#/dev/mapper/}" ] || return 1
        { read -r serial && read -r bytes; } <"$WORLD/mapper/${1#/dev/mapper/}"
        ;;
    *) find_disk "$1" ;;
    esac
    volume=$WORLD/volumes/$serial
    [ -n "$serial" ]
}

find_disk() {
    while read -r find_disk_name find_disk_serial find_disk_bytes; do
        if [ "/dev/$find_disk_name" = "$1" ] || [ "$find_disk_serial" = "$1" ]; then
            serial=$find_disk_serial
            bytes=$find_disk_bytes
        fi
    done <"$WORLD/attached"
}

# statistics PATH: the kernel's files about the mapping of that number, in the order of their names
statistics() {
    statistics_number=0
    for statistics_path in "$WORLD"/mapper/*; do
        [ -s "$statistics_path" ] || continue
        case $1 in
        "/sys/block/dm-$statistics_number/size")
            find_volume "/dev/mapper/${statistics_path##*/}"
            echo $((bytes / 512))
            ;;
        "/sys/block/dm-$statistics_number/stat") echo '      21        0      168        1      300      0     2048     9 0 9 10' ;;
        esac
        statistics_number=$((statistics_number + 1))
    done
}

tee() {
    [ "$1" = /sys/module/zfs/parameters/zfs_scan_checkpoint_intval ] || wrong tee "$@"
    read -r tee_value
    echo "$tee_value" >"$WORLD/checkpoint_interval"
}

lsblk() {
    [ "$*" = '--nodeps --noheadings --raw --bytes --output NAME,SIZE,SERIAL' ] || wrong lsblk "$@"
    echo 'vda 8589934592 '
    while read -r lsblk_name lsblk_serial lsblk_bytes; do
        echo "$lsblk_name $lsblk_bytes $lsblk_serial"
    done <"$WORLD/attached"
}

wipefs() {
    case $* in
    '--no-act --noheadings --output TYPE /dev/'*) find_volume "$5" && cat "$volume/signatures" ;;
    *) wrong wipefs "$@" ;;
    esac
}

cmp() {
    find_volume "$4" || return 2
    case "$1 $2 $3 $5" in
    '--silent --bytes=32768 --ignore-initial=0:0 /dev/zero') [ ! -e "$volume/head" ] ;;
    '--silent --bytes=1048576 --ignore-initial=16777216:0 /dev/zero') [ ! -e "$volume/data" ] ;;
    "--silent --bytes=1048576 --ignore-initial=$((bytes - 1048576)):0 /dev/zero") [ ! -e "$volume/data" ] ;;
    *) wrong cmp "$@" ;;
    esac
}

dmsetup() {
    case $* in
    'ls --target crypt')
        dmsetup_any=
        for dmsetup_path in "$WORLD"/mapper/*; do
            [ -s "$dmsetup_path" ] || continue
            dmsetup_any=yes
            printf '%s\t(253:0)\n' "${dmsetup_path##*/}"
        done
        [ -n "$dmsetup_any" ] || echo 'No devices found'
        ;;
    'deps -o devname')
        for dmsetup_path in "$WORLD"/mapper/*; do
            [ -s "$dmsetup_path" ] || continue
            read -r serial <"$dmsetup_path"
            dmsetup_device='254, 48'
            while read -r dmsetup_disk dmsetup_serial _; do
                [ "$serial" = "$dmsetup_serial" ] && dmsetup_device=$dmsetup_disk
            done <"$WORLD/attached"
            has_line "$WORLD/stale" "${dmsetup_path##*/}" && dmsetup_device='254, 48'
            printf '%s: 1 dependencies\t: (%s)\n' "${dmsetup_path##*/}" "$dmsetup_device"
        done
        ;;
    'info --columns --noheadings --separator   --options name,blkdevname')
        dmsetup_number=0
        for dmsetup_path in "$WORLD"/mapper/*; do
            [ -s "$dmsetup_path" ] || continue
            echo "${dmsetup_path##*/} dm-$dmsetup_number"
            dmsetup_number=$((dmsetup_number + 1))
        done
        ;;
    *) wrong dmsetup "$@" ;;
    esac
}

key() {
    # shellcheck disable=SC2046
    set -- $(od -A n -t x1 -v -N 64)
    [ $# -eq 64 ] || return 1
    echo "$*"
}

opens() {
    opens_key=$(key) || said 'Cannot read requested amount of data.' || return
    find_volume "$1" && [ -e "$volume/slots" ] || said 'Device is not a valid LUKS device.' || return
    has_line "$volume/slots" "$opens_key" && return
    said 'No key available with this passphrase.'
    return 2
}

cryptsetup() {
    case $* in
    'luksDump /dev/'*)
        find_volume "$2" && [ -e "$volume/slots" ] || said "Device $2 is not a valid LUKS device." || return
        printf 'LUKS header information\nVersion:       \t2\nLabel:         \t%s\nKeyslots:\n' \
            "$(cat "$volume/label")"
        cryptsetup_slot=0
        while read -r cryptsetup_line; do
            [ "$cryptsetup_line" = - ] || printf '  %s: luks2\n\tKey:        512 bits\n' "$cryptsetup_slot"
            cryptsetup_slot=$((cryptsetup_slot + 1))
        done <"$volume/slots"
        printf 'Tokens:\nDigests:\n  0: pbkdf2\n'
        ;;
    'luksFormat --batch-mode --type luks2 --sector-size 4096 --cipher aes-xts-plain64 --key-size 512 --pbkdf pbkdf2 '*)
        shift 12
        case $* in
        '--pbkdf-force-iterations 1000 --label '*' --subsystem ec2zfs /dev/'*' --key-file=- --keyfile-size=64') ;;
        *) wrong cryptsetup luksFormat "$@" ;;
        esac
        find_volume "$7" || return 4
        cryptsetup_key=$(key) || return 1
        printf 'crypto_LUKS\n' >"$volume/signatures"
        touch "$volume/head"
        effect "luksFormat $4: a header that does not check"
        : >"$volume/slots"
        echo "$4" >"$volume/label"
        effect "luksFormat $4: a header without a key slot"
        echo "$cryptsetup_key" >"$volume/slots"
        effect "luksFormat $4"
        ;;
    'open --test-passphrase --type luks2 /dev/'*' --key-file=- --keyfile-size=64') opens "$5" ;;
    'open --type luks2 /dev/'*' --key-file=- --keyfile-size=64')
        [ ! -s "$WORLD/mapper/$5" ] || said "Device $5 already exists." || return 5
        opens "$4" || return
        find_disk "$serial"
        printf '%s\n%s\n' "$serial" $((bytes - 16777216)) >"$WORLD/mapper/$5"
        effect "open $5"
        ;;
    'close '*)
        [ -s "$WORLD/mapper/$2" ] || said "Device $2 is not active." || return 4
        if in_use "/dev/mapper/$2"; then
            said "Device $2 is still in use."
            return 5
        fi
        empty "$WORLD/mapper/$2"
        fresh "$2"
        effect "close $2"
        ;;
    'resize '*' --key-file=- --keyfile-size=64')
        opens "/dev/mapper/$2" || return
        find_disk "$serial"
        [ -n "$serial" ] || said "Device $2 is not active." || return 4
        printf '%s\n%s\n' "$serial" $((bytes - 16777216)) >"$WORLD/mapper/$2"
        effect "resize $2"
        ;;
    # what rekey.sh asks for
    'open --test-passphrase --verbose --type luks2 /dev/'*' --key-file=- --keyfile-size=64') opens_slot "$6" ;;
    'luksAddKey --batch-mode --key-slot '*' --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --key-file=- '*)
        [ "${10} ${11} ${13}" = '--keyfile-size=64 --new-keyfile-size=64 -' ] || wrong cryptsetup "$@"
        add_slot "$4" "${12}"
        ;;
    'luksKillSlot --batch-mode /dev/'*' --key-file=- --keyfile-size=64') kill_slot "$4" "$3" ;;
    *) wrong cryptsetup "$@" ;;
    esac
}

# fresh MAPPING: it is not on a device that is gone any more
fresh() {
    fresh_lines=
    while read -r fresh_line; do
        [ "$fresh_line" = "$1" ] || fresh_lines="$fresh_lines$fresh_line
"
    done <"$WORLD/stale"
    printf '%s' "$fresh_lines" >"$WORLD/stale"
}

# opens_slot DEVICE: as `opens`, and says which slot it was, the first of several.
opens_slot() {
    opens "$1" || return
    slot_number=0
    while read -r slot_line; do
        [ "$slot_line" != "$opens_key" ] || break
        slot_number=$((slot_number + 1))
    done <"$volume/slots"
    echo "Key slot $slot_number unlocked."
}

# put_slot NUMBER LINE: the line of a slot is this now, `-` for an empty one.
put_slot() {
    slot_number=0
    slot_lines=
    while read -r slot_line || [ "$slot_number" -le "$1" ]; do
        [ -n "$slot_line" ] || slot_line=-
        [ "$slot_number" -ne "$1" ] || slot_line=$2
        slot_lines="$slot_lines$slot_line
"
        slot_number=$((slot_number + 1))
    done <"$volume/slots"
    printf '%s' "$slot_lines" >"$volume/slots"
}

# add_slot NUMBER DEVICE: the key that opens comes first, the one to be added after it.
add_slot() {
    opens "$2" || return
    slot_number=0
    while read -r slot_line; do
        if [ "$slot_number" -eq "$1" ] && [ "$slot_line" != - ]; then said "Key slot $1 is full."; return 1; fi
        slot_number=$((slot_number + 1))
    done <"$volume/slots"
    slot_key=$(key) || said 'Cannot read requested amount of data.' || return
    put_slot "$1" "$slot_key"
    effect "luksAddKey $(cat "$volume/label") $1"
}

# kill_slot NUMBER DEVICE: the key must open another slot, or the last one itself; the key goes before its slot does.
kill_slot() {
    slot_others=$(key) || said 'Cannot read requested amount of data.' || return
    find_volume "$2" && [ -e "$volume/slots" ] || said "Device $2 is not a valid LUKS device." || return
    slot_number=0
    slot_used=0
    slot_proven=
    slot_itself=
    while read -r slot_line; do
        [ "$slot_line" = - ] || slot_used=$((slot_used + 1))
        if [ "$slot_number" -eq "$1" ]; then
            [ "$slot_line" != - ] || said "Keyslot $1 is not active." || return
            [ "$slot_line" != "$slot_others" ] || slot_itself=yes
        elif [ "$slot_line" = "$slot_others" ]; then
            slot_proven=yes
        fi
        slot_number=$((slot_number + 1))
    done <"$volume/slots"
    [ "$slot_used" -gt 1 ] || slot_proven=$slot_itself
    [ -n "$slot_proven" ] || said 'No key available with this passphrase.' || return 2
    put_slot "$1" wiped
    effect "luksKillSlot $(cat "$volume/label") $1: its key"
    put_slot "$1" -
    effect "luksKillSlot $(cat "$volume/label") $1"
}

zgenhostid() {
    [ "$1" = -f ] && [ ${#2} -eq 8 ] || wrong zgenhostid "$@"
    echo "$2" >"$WORLD/hostid"
    effect "zgenhostid $2"
}
