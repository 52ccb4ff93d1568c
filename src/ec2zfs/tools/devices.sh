# What the scripts of this folder begin with: volumes by serial number, never by a device's name (fact 8).
# Nothing here writes to a volume. Facts for the controller go to stdout, words for the operator to stderr.
# The functions share one scope, as POSIX has no other; each names its variables for itself.
set -u

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

# content DEVICE: what libblkid and LUKS2 tell of it, in $signatures, $keyslots (empty: no sound header) and $label.
content() {
    signatures=$(wipefs --no-act --noheadings --output TYPE "$1") || signatures=unreadable
    keyslots=
    label=
    case $signatures in
    *crypto_LUKS*) content_dump=$(cryptsetup luksDump "$1" 2>/dev/null) || return 0 ;;
    *) return 0 ;;
    esac
    keyslots=0
    while read -r content_word content_value _; do
        case "$content_word $content_value" in
        'Label: '*) label=$content_value ;;
        *': luks2') keyslots=$((keyslots + 1)) ;;
        esac
    done <<END
$content_dump
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
