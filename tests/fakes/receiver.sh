# The programs of a receiver as shell functions over the directory $WORLD, so that our real scripts run against an
# imagined machine in milliseconds. Strict: what a real program would not understand fails here too.
#
#   attached            NAME SERIAL a line: the disks that show now
#   volumes/SERIAL/     what outlives the machine: signatures, label, slots (a key in hexadecimal each), head, data, zfs
#   pools/GUID/         name, vdevs (kind and paths), hostid, exported
#   mapper/ imported/   what dies with the machine: open mappings (holding a serial), imported pools (holding a GUID)
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
cat() { while IFS= read -r cat_line; do echo "$cat_line"; done <"$1"; }
touch() { : >>"$1"; }
empty() { : >"$1"; }
has_line() {
    while IFS= read -r has_line_line; do
        [ "$has_line_line" = "$2" ] && return 0
    done <"$1"
    return 1
}

# find_volume DEVICE: the volume behind a disk or a mapping, in $volume and $serial
find_volume() {
    serial=
    case $1 in
    /dev/mapper/*) [ -s "$WORLD/mapper/${1#/dev/mapper/}" ] && read -r serial <"$WORLD/mapper/${1#/dev/mapper/}" ;;
    *)
        while read -r find_volume_name find_volume_serial; do
            [ "/dev/$find_volume_name" = "$1" ] && serial=$find_volume_serial
        done <"$WORLD/attached"
        ;;
    esac
    volume=$WORLD/volumes/$serial
    [ -n "$serial" ]
}

lsblk() {
    [ "$*" = '--nodeps --noheadings --raw --bytes --output NAME,SIZE,SERIAL' ] || wrong lsblk "$@"
    echo 'vda 8589934592 '
    while read -r lsblk_name lsblk_serial; do echo "$lsblk_name 1073741824 $lsblk_serial"; done <"$WORLD/attached"
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
    '--silent --bytes=1048576 --ignore-initial=1072693248:0 /dev/zero') [ ! -e "$volume/data" ] ;;
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
            while read -r dmsetup_disk dmsetup_serial; do
                [ "$serial" = "$dmsetup_serial" ] && dmsetup_device=$dmsetup_disk
            done <"$WORLD/attached"
            has_line "$WORLD/stale" "${dmsetup_path##*/}" && dmsetup_device='254, 48'
            printf '%s: 1 dependencies\t: (%s)\n' "${dmsetup_path##*/}" "$dmsetup_device"
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
        while read -r _; do
            printf '  %s: luks2\n\tKey:        512 bits\n' "$cryptsetup_slot"
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
        echo "$serial" >"$WORLD/mapper/$5"
        effect "open $5"
        ;;
    'close '*)
        [ -s "$WORLD/mapper/$2" ] || said "Device $2 is not active." || return 4
        for cryptsetup_pool in "$WORLD"/imported/*; do
            [ -s "$cryptsetup_pool" ] || continue
            read -r guid <"$cryptsetup_pool"
            has_line "$WORLD/pools/$guid/vdevs" "/dev/mapper/$2" || continue
            said "Device $2 is still in use."
            return 5
        done
        empty "$WORLD/mapper/$2"
        effect "close $2"
        ;;
    *) wrong cryptsetup "$@" ;;
    esac
}

zgenhostid() {
    [ "$1" = -f ] && [ ${#2} -eq 8 ] || wrong zgenhostid "$@"
    echo "$2" >"$WORLD/hostid"
    effect "zgenhostid $2"
}

zpool() {
    case $* in
    'list -H -o name '*) [ -s "$WORLD/imported/$5" ] && echo "$5" ;;
    'list -H -o health '*)
        [ -s "$WORLD/imported/$5" ] || return 1
        if [ -e "$WORLD/suspended" ]; then echo SUSPENDED; else echo ONLINE; fi
        ;;
    'list -H -p -o name,guid,size,allocated,free,health')
        for zpool_path in "$WORLD"/imported/*; do
            [ -s "$zpool_path" ] || continue
            read -r guid <"$zpool_path"
            printf '%s\t%s\t6442450944\t65536\t6442385408\tONLINE\n' "${zpool_path##*/}" "$guid"
        done
        ;;
    'status -P -p '*)
        read -r guid <"$WORLD/imported/$4"
        zpool_status "$guid" "$4"
        ;;
    'export '*)
        for zpool_name; do :; done
        [ -s "$WORLD/imported/$zpool_name" ] || said "cannot open '$zpool_name': no such pool" || return
        [ ! -e "$WORLD/suspended" ] || command sleep 5 || return
        if [ -e "$WORLD/busy" ] && [ "$2" != -f ]; then
            said "cannot export '$zpool_name': pool is busy"
            return 1
        fi
        read -r guid <"$WORLD/imported/$zpool_name"
        echo yes >"$WORLD/pools/$guid/exported"
        empty "$WORLD/imported/$zpool_name"
        effect "export $zpool_name"
        ;;
    'clear '*) [ ! -e "$WORLD/suspended" ] || [ ! -s "$WORLD/suspended" ] || command rm "$WORLD/suspended" ;;
    'import -d '*)
        shift
        zpool_import "$@"
        ;;
    'create -o ashift=12 -o autoexpand=off -o cachefile=none -o compatibility=openzfs-2.1-linux -O '*)
        shift 9
        zpool_create "$@"
        ;;
    *) wrong zpool "$@" ;;
    esac
}

zpool_status() {
    printf '  pool: %s\n state: ONLINE\nconfig:\n\n\tNAME  STATE     READ WRITE CKSUM\n' "$2"
    printf '\t%s  ONLINE       0     0     0\n' "$2"
    while read -r zpool_word; do
        case $zpool_word in
        /*) zpool_word="    $zpool_word" ;;
        *) zpool_word="  $zpool_word" ;;
        esac
        printf '\t%s  ONLINE       0     0     0\n' "$zpool_word"
    done <"$WORLD/pools/$1/vdevs"
    printf '\nerrors: No known data errors\n'
}

zpool_create() {
    while [ "$1" = -O ]; do
        case $2 in
        acltype=posix | atime=off | canmount=off | compression=lz4 | mountpoint=none | recordsize=1M | xattr=sa) ;;
        *) wrong zpool create "$@" ;;
        esac
        shift 2
    done
    [ "$1 $2" = '-R /mnt' ] || wrong zpool create "$@"
    zpool_name=$3
    shift 3
    [ ! -s "$WORLD/imported/$zpool_name" ] || said "cannot create '$zpool_name': pool already exists" || return
    read -r hostid <"$WORLD/hostid"
    guid=1000
    while [ -e "$WORLD/pools/$guid" ]; do guid=$((guid + 1)); done
    for zpool_word; do
        case $zpool_word in
        /*)
            find_volume "$zpool_word" || said "cannot open '$zpool_word': no such device" || return
            [ ! -e "$volume/zfs" ] || said "$zpool_word is part of a pool" || return
            ;;
        esac
    done
    mkdir "$WORLD/pools/$guid"
    zpool_vdev=0
    for zpool_word; do
        case $zpool_word in
        /*)
            find_volume "$zpool_word"
            echo "$guid" >"$volume/zfs"
            touch "$volume/data"
            [ "$zpool_word" != "${zpool_word#/dev/mapper/}" ] || echo zfs_member >"$volume/signatures"
            ;;
        *)
            zpool_word=$zpool_word-$zpool_vdev
            zpool_vdev=$((zpool_vdev + 1))
            ;;
        esac
        echo "$zpool_word" >>"$WORLD/pools/$guid/vdevs"
    done
    echo "$zpool_name" >"$WORLD/pools/$guid/name"
    echo "$hostid" >"$WORLD/pools/$guid/hostid"
    : >"$WORLD/pools/$guid/exported"
    echo "$guid" >"$WORLD/imported/$zpool_name"
    effect "create $zpool_name"
}

zpool_import() {
    zpool_guids=
    while [ "${1:-}" = -d ]; do
        find_volume "$2" || said "cannot open '$2'" || return
        shift 2
        [ -e "$volume/zfs" ] || continue
        read -r guid <"$volume/zfs"
        read -r zpool_name <"$WORLD/pools/$guid/name"
        if [ -s "$WORLD/imported/$zpool_name" ] && has_line "$WORLD/imported/$zpool_name" "$guid"; then continue; fi
        case " $zpool_guids " in
        *" $guid "*) ;;
        *) zpool_guids="$zpool_guids $guid" ;;
        esac
    done
    if [ $# -eq 0 ]; then
        [ -n "$zpool_guids" ] || said 'no pools available to import' || return
        for guid in $zpool_guids; do
            read -r zpool_name <"$WORLD/pools/$guid/name"
            printf '   pool: %s\n     id: %s\n  state: ONLINE\naction: The pool can be imported.\n config:\n\n' \
                "$zpool_name" "$guid"
        done
        return
    fi
    zpool_force=
    if [ "$1" = -f ]; then
        zpool_force=yes
        shift
    fi
    [ "$1 $2 $3 $4 $5" = '-N -o cachefile=none -R /mnt' ] && [ $# -eq 6 ] || wrong zpool import "$@"
    for guid in $zpool_guids; do
        read -r zpool_name <"$WORLD/pools/$guid/name"
        case $6 in
        "$guid" | "$zpool_name") ;;
        *) continue ;;
        esac
        read -r hostid <"$WORLD/hostid"
        if [ ! -s "$WORLD/pools/$guid/exported" ] && [ -z "$zpool_force" ] &&
            ! has_line "$WORLD/pools/$guid/hostid" "$hostid"; then
            said "cannot import '$6': pool was previously in use from another system."
            return 1
        fi
        : >"$WORLD/pools/$guid/exported"
        echo "$hostid" >"$WORLD/pools/$guid/hostid"
        echo "$guid" >"$WORLD/imported/$zpool_name"
        effect "import $zpool_name"
        return
    done
    said "cannot import '$6': no such pool available"
}
