# zfs_hold.sh hold POOL ROOT...: hold the snapshots that standard input names, one a line, for the cloud pool.
# zfs_hold.sh release POOL [ROOT...]: release them; with roots, nothing is held for the pool any more.
# zfs_hold.sh list: print snapshot, tag and time of each hold in the datasets that standard input names.
# The roots' user property ec2zfs:holds names the pools for which something may be held, so it is set before the first
# hold and removed after the last. What is gone meanwhile, held already or released already is no failure.
set -uf
verb=$1 pool=${2:-}
[ $# -lt 2 ] || shift
shift

# Several side by side: each hold waits for its transaction group, and so they wait for the same one.
batches() {
    tr '\n' '\0' | xargs -0 -r -n 50 -P 8 "$@"
}

# Holds make a listing slow, so they are asked for where there are any. `holds -p` is OpenZFS 2.2's.
all_holds() {
    case $(zfs holds -Hp 2>&1) in
        *'invalid option'*) how=-H ;;
        *) how=-Hp ;;
    esac
    tr '\n' '\0' | xargs -0 -r -n 50 zfs list -Hp -d 1 -t snapshot -o name,userrefs |
        awk -F '\t' '$2 > 0 { print $1 }' | tr '\n' '\0' | xargs -0 -r -n 50 zfs holds "$how"
}

# Run it, and fail with what it complains of, apart from what is so already.
unless_so() {
    {
        said=$("$@" 2>&1 >&3 3>&- | grep -v -e 'does not exist' -e 'tag already exists on this dataset' \
            -e 'no such tag on this dataset' -e 'no datasets available')
    } 3>&1
    [ -z "$said" ] || { printf '%s\n' "$said" >&2; exit 1; }
}

flag() {
    for root; do
        known=$(zfs get -Hp -o value ec2zfs:holds "$root") || exit 1
        case ",$known," in
            *",$pool,"*) ;;
            ,-,) zfs set "ec2zfs:holds=$pool" "$root" || exit 1 ;;
            *) zfs set "ec2zfs:holds=$known,$pool" "$root" || exit 1 ;;
        esac
    done
}

unflag() {
    for root; do
        known=$(zfs get -Hp -o value ec2zfs:holds "$root") || exit 1
        left=$(echo "$known" | tr ',' '\n' | grep -vxF -e "$pool" -e - | paste -s -d , -)
        if [ -n "$left" ]; then zfs set "ec2zfs:holds=$left" "$root"; else zfs inherit ec2zfs:holds "$root"; fi || exit 1
    done
}

case $verb in
    hold) flag "$@" && unless_so batches zfs hold "ec2zfs:$pool" ;;
    release) unless_so batches zfs release "ec2zfs:$pool" && unflag "$@" ;;
    list) unless_so all_holds ;;
    *) echo "zfs_hold.sh cannot $verb" >&2; exit 2 ;;
esac
