# What the scripts of this folder begin with: volumes by serial number, never by a device's name (fact 8).
# Nothing here writes to a volume. Facts for the controller go to stdout, words for the operator to stderr.
# The functions share one scope, as POSIX has no other; each names its variables for itself.
set -u
# zpool tells times, and cryptsetup facts, in words that the controller reads.
export LC_ALL=C TZ=UTC

# need PROGRAM...: end as a shell does that does not find one.
need() {
    for need_program; do
        command -v "$need_program" >/dev/null && continue
        echo "ec2zfs: 0: $need_program: not found" >&2
        exit 127
    done
}

look() { seen=$(lsblk --nodeps --noheadings --raw --bytes --output NAME,SIZE,SERIAL); }

# device SERIAL: find the volume that the last look() saw, in $path and $size (bytes); fail when it is not here.
device() {
    while read -r device_name size device_serial; do
        if [ "$device_serial" = "$1" ]; then
            path=/dev/$device_name
            return 0
        fi
    done <<END
$seen
END
    return 1
}

# await SECONDS SERIAL...: wait until all of these are here; EC2 says "attached" a moment before the kernel does.
await() {
    await_left=$1
    shift
    while :; do
        look || return 1
        await_absent=
        for await_serial; do
            device "$await_serial" || await_absent="$await_absent $await_serial"
        done
        [ -z "$await_absent" ] && return 0
        [ "$await_left" -le 0 ] && return 1
        await_left=$((await_left - 1))
        sleep 1
    done
}

# content DEVICE: what libblkid and LUKS2 tell of it, in $signatures and by header() (nothing: no sound header).
content() {
    signatures=$(wipefs --no-act --noheadings --output TYPE "$1") || signatures=unreadable
    keyslots=
    slots=
    label=
    case $signatures in
    *crypto_LUKS*) header "$1" ;;
    esac
}

# header DEVICE: what its LUKS2 header tells, in $keyslots (how many hold a key), $slots (which: `0,1`) and $label.
header() {
    header_dump=$(cryptsetup luksDump "$1" 2>/dev/null) || return 0
    keyslots=0
    while read -r header_word header_value _; do
        case "$header_word $header_value" in
        'Label: '*) label=$header_value ;;
        *': luks2')
            keyslots=$((keyslots + 1))
            slots=${slots:+$slots,}${header_word%:}
            ;;
        esac
    done <<END
$header_dump
END
}

zero() { cmp --silent --bytes="$3" --ignore-initial="$2:0" "$1" /dev/zero; }

# untouched DEVICE SIZE: whether nothing stands where anything of ours would, after content(). luksFormat puts the data
# at 16 MiB (fact 55), and a ZFS label stands at both ends of the data. luksFormat never writes there, and writes the
# first 32 KiB after all the rest, so what has no signature and is not blank there is not ours.
untouched() {
    zero "$1" 16777216 1048576 && zero "$1" $(($2 - 1048576)) 1048576 || return 1
    [ -n "$signatures" ] || zero "$1" 0 32768
}

# limited SECONDS COMMAND...: its exit code, or 124 when it has not ended by then. A command on a suspended pool waits
# in the kernel, where no signal reaches it (seen with zpool export of OpenZFS 2.3); it is left behind, with nothing of
# ours in its hands that anybody waits for.
limited() {
    limited_left=$(($1 * 5))
    shift
    limited_files=$(mktemp -d) || return 1
    ("$@" >"$limited_files/said" 2>&1; echo $? >"$limited_files/status") >/dev/null 2>&1 </dev/null &
    while [ ! -s "$limited_files/status" ] && [ "$limited_left" -gt 0 ]; do
        sleep 0.2
        limited_left=$((limited_left - 1))
    done
    limited_status=124
    if [ -s "$limited_files/status" ]; then read -r limited_status <"$limited_files/status"; fi
    cat "$limited_files/said" >&2
    rm -rf "$limited_files"
    return "$limited_status"
}

# health POOL: print ZFS's word for an imported pool; nothing for one that is not.
health() { zpool list -H -o health "$1" 2>/dev/null; }

# resume POOL: let a suspended pool go on if its volumes are back.
resume() {
    if [ "$(health "$1")" = SUSPENDED ]; then limited 30 zpool clear "$1"; fi
}

# ours POOL: whether an imported pool of that name stands on mappings of ours, and is not somebody else's by chance.
ours() { zpool status -P -p "$1" | grep -q "/dev/mapper/$1-v[1-9]"; }

imported() { zpool list -H -o name "$1" >/dev/null 2>&1; }

# require_pool POOL BARE: end unless a pool of that name is imported and ours; BARE (not empty): it has no encryption,
# so the name is all that there is to go by.
require_pool() {
    if ! imported "$1"; then
        echo "Pool $1 is not imported." >&2
        exit 1
    elif [ -z "$2" ] && ! ours "$1"; then
        echo "A pool named $1 is imported that is none of ours; it was left alone." >&2
        exit 1
    fi
}

# keep_scans: ZFS writes down how far a scrub or resilver has come every 5 minutes, and not only every 2 hours, since a
# receiver may be gone at any moment (fact 40).
keep_scans() { echo 300 | tee /sys/module/zfs/parameters/zfs_scan_checkpoint_intval >/dev/null 2>&1 || :; }

# mappings POOL: print the names of the pool's open mappings; fail when the kernel cannot be asked.
mappings() {
    mappings_all=$(dmsetup ls --target crypt) || return
    while read -r mappings_name _; do
        case $mappings_name in
        "$1"-v[1-9]*s[1-9]*-g[1-9]*) echo "$mappings_name" ;;
        esac
    done <<END
$mappings_all
END
}

# lasting SERIAL: a path of the volume that outlives a restart, in $path, for a pool without encryption.
lasting() {
    for lasting_link in /dev/disk/by-id/*"$1"; do
        if [ -e "$lasting_link" ]; then
            path=$lasting_link
            return 0
        fi
    done
    device "$1"
}

# labelled SERIAL: the device on which ZFS's labels are, in $path; it puts a partition on a whole disk.
labelled() {
    lasting "$1" || return 1
    if [ -e "$path-part1" ]; then path=$path-part1; fi
}

# open_devices: print ` MAPPING (DEVICE)` for every mapping; the device is two numbers when it is gone.
open_devices() {
    dmsetup deps -o devname | while read -r name _ _ _ device_name; do echo " ${name%:} $device_name"; done
}

# with_key COMMAND...: run it with the next 64 bytes of descriptor 3 on its standard input, whether it reads them or not.
with_key() { next_key | "$@" --key-file=- --keyfile-size=64; }
next_key() { dd bs=64 count=1 iflag=fullblock status=none <&3; }
skip_key() { next_key >/dev/null; }

# close_mapping MAPPING: close it if it is open. ZFS lets a device go a moment after it says so.
close_mapping() {
    close_left=5
    while :; do
        mappings "$pool" | grep -qx "$1" || return 0
        close_said=$(cryptsetup close "$1" 2>&1) && return 0
        close_left=$((close_left - 1))
        [ "$close_left" -gt 0 ] || break
        sleep 1
    done
    echo "$close_said" >&2
    return 1
}

# leaf PATH: whether the pool has such a leaf, or one on its first partition, where ZFS puts a whole disk's data.
leaf() {
    zpool status -P -p "$pool" | {
        while read -r leaf_name _; do
            case $leaf_name in
            "$1" | "$1-part1") exit 0 ;;
            esac
        done
        exit 1
    }
}

# tell_opened POOL SLOTS: a line for each open mapping of the pool: NAME SIZE WRITTEN STALE SLOTS. SIZE in bytes; WRITTEN
# since it was opened; `stale` when the device under it is gone. SLOTS (yes): which key slots hold a key, as `0,1`.
tell_opened() {
    opened_devices=$(open_devices) || return
    dmsetup info --columns --noheadings --separator ' ' --options name,blkdevname | while read -r opened_name opened_dm; do
        case $opened_name in
        "$1"-v[1-9]*s[1-9]*-g[1-9]*) ;;
        *) continue ;;
        esac
        opened_device=${opened_devices#*" $opened_name ("}
        opened_device=${opened_device%%)*}
        slots=
        opened_stale=-
        case $opened_device in
        *,*) opened_stale=stale ;;
        *) [ "$2" = no ] || header "/dev/$opened_device" ;;
        esac
        # shellcheck disable=SC2046 # its sectors, and the fields of its statistics; the 7th counts sectors written
        set -- "$1" "$2" $(cat "/sys/block/$opened_dm/size" "/sys/block/$opened_dm/stat")
        [ $# -ge 10 ] || continue
        echo "$opened_name $(($3 * 512)) $((${10} * 512)) $opened_stale ${slots:--}"
    done
}

# tell_pool POOL SLOTS: the sections about open mappings and pools. A suspended pool's properties are not asked for,
# since that may wait for ever. The words of each section are read by tools/observation.py.
tell_pool() {
    echo '%mappings'
    mappings "$1" || return
    echo '%opened'
    tell_opened "$1" "$2"
    echo '%pools'
    pools=$(zpool list -H -p -o name,guid,size,allocated,free,health) || return
    echo "$pools"
    among "$1" "$pools" || return 0
    echo '%status'
    zpool status -P -p "$1"
    echo '%vdevs'
    zpool list -H -P -p -v "$1"
    echo '%scrubbed'
    [ "$pool_health" = SUSPENDED ] || zfs get -H -o value ec2zfs:scrubbed "$1"
}

# among POOL LISTING: find the pool in what zpool listed, and its health in $pool_health; fail when it is not there.
among() {
    while read -r among_name _ _ _ _ pool_health; do
        [ "$among_name" = "$1" ] && return 0
    done <<END
$2
END
    return 1
}
