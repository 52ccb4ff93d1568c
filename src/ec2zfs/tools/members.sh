# members.sh POOL [WORD ARGUMENT...]...: what is done to an imported pool's members and scans, in this order, each no
# matter if it was done already; ends at the first that fails, with what zpool or cryptsetup said.
#   bare -            the pool has no encryption, so it is known by its name alone
#   replace OLD PATH  put the device in the place of the old member; ZFS resilvers
#   resilver -        begin to resilver anew, with all that waits for its turn, as a second replacement would; if ZFS
#                     does not, it takes them one after the other
#   offline HANDLE    take a member offline, unless data would be lost
#   detach HANDLE     take one half of a replacement out
#   close MAPPING     close a mapping that ZFS does not use
#   clear -           count errors anew, and try again what was given up
#   scrub -           begin a scrub, or let a paused one go on
#   pause -           let a scrub rest
#   scrubbed TIME     write into the pool when a scrub found it clean
#   add N KIND PATH...  add a vdev of N devices
need zpool zfs dmsetup cryptsetup
pool=$1
shift

# scans WHAT: whether the pool's scan is that: `scrub in progress`.
scans() { zpool status -P -p "$pool" | grep -q "^ *scan: $1"; }

# replace_member OLD PATH: without -f ZFS refuses a device that holds a pool already.
replace_member() { leaf "$2" || zpool replace "$pool" "$1" "$2"; }

detach_member() { ! leaf "$1" || zpool detach "$pool" "$1"; }

# add_vdev KIND PATH...: without -f ZFS refuses a vdev of another redundancy; ashift as in create (fact 44).
add_vdev() { leaf "$2" || zpool add -o ashift=12 "$pool" "$@"; }

bare=
if [ "${1:-}" = bare ]; then
    bare=yes
    shift 2
fi
require_pool "$pool" "$bare"
while [ $# -gt 0 ]; do
    word=$1
    shift
    used=1
    case $word in
    replace)
        used=2
        replace_member "$1" "$2"
        ;;
    resilver) zpool resilver "$pool" || : ;;
    offline) zpool offline "$pool" "$1" ;;
    detach) detach_member "$1" ;;
    close) close_mapping "$1" ;;
    clear) zpool clear "$pool" ;;
    scrub) scans 'scrub in progress' || zpool scrub "$pool" ;;
    pause) ! scans 'scrub in progress' || zpool scrub -p "$pool" ;;
    scrubbed) zfs set "ec2zfs:scrubbed=$1" "$pool" ;;
    add)
        used=$1
        left=$1
        vdev=$2
        shift 2
        members=
        for path; do
            members="$members $path"
            left=$((left - 1))
            [ "$left" -gt 0 ] || break
        done
        # shellcheck disable=SC2086 # paths of ours have no blanks
        add_vdev "$vdev" $members
        ;;
    *)
        echo "members.sh knows no word $word." >&2
        exit 2
        ;;
    esac || exit
    shift "$used"
done
exit 0
