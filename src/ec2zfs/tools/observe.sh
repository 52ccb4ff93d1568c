# observe.sh POOL SECONDS ENCRYPTED SERIAL...: what the volumes hold, which mappings are open, which pools there are.
# Reads only. SECONDS to wait for the volumes; ENCRYPTED yes or no: where the members of a pool that is not imported are
# to be found.
need lsblk wipefs cmp dmsetup zpool zfs cryptsetup
pool=$1 seconds=$2 encrypted=$3
shift 3
await "$seconds" "$@"

echo '%volumes'
for serial; do
    device "$serial" || continue
    disk=$path
    lasting "$serial"
    echo "volume $serial $path"
    content "$disk"
    for type in $signatures; do echo "signature $type"; done
    if [ -n "$keyslots" ]; then printf 'keyslots %s\nlabel %s\n' "$keyslots" "$label"; fi
    if [ "${keyslots:-0}" -eq 0 ] && untouched "$disk" "$size"; then echo 'untouched'; fi
done

tell_pool "$pool" no || exit
among "$pool" "$pools" && exit 0

echo '%importable'
members=
if [ "$encrypted" = yes ]; then
    for mapping in $(mappings "$pool"); do members="$members -d /dev/mapper/$mapping"; done
else
    for serial; do labelled "$serial" && members="$members -d $path"; done
fi
# shellcheck disable=SC2086 # paths of ours have no blanks
if [ -n "$members" ]; then zpool import $members 2>/dev/null; fi
exit 0
