# zpool and zfs as shell functions over $WORLD, after receiver.sh. A resilver and a scrub end when the pool's status is asked
# for, unless $WORLD/held is there.
#
#   pools/GUID/vdevs    a line each: `mirror-0`, the path of a leaf, `replacing-N` before its two halves, each `+PATH`
#   pools/GUID/states   PATH STATE a line, of leaves that are not ONLINE: OFFLINE, FAULTED, REMOVED. A leaf whose device is
#                       not there is UNAVAIL, and its name a number
#   pools/GUID/scan     scrub, paused, scrubbed, resilver, resilvered; empty for none
#   pools/GUID/size-VDEV  its bytes, as ZFS uses them; scrubbed: the property ec2zfs:scrubbed

zpool() {
    case $* in
    'list -H -o name '*) [ -s "$WORLD/imported/$5" ] && echo "$5" ;;
    'list -H -o health '*)
        [ -s "$WORLD/imported/$5" ] || return 1
        if [ -e "$WORLD/suspended" ]; then echo SUSPENDED; else echo ONLINE; fi
        ;;
    'list -H -P -p -v '*)
        read -r guid <"$WORLD/imported/$6"
        list_vdevs "$guid" "$6"
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
        settle "$guid"
        zpool_status "$guid" "$4"
        ;;
    'replace '*' '*' '*)
        pool_of "$2" && find_leaf "$3" || said "cannot replace $3 with $4: no such device in pool" || return
        replace_leaf "$leaf" "$4"
        ;;
    'resilver '*) pool_of "$2" && effect "resilver $2" ;;
    'offline '*' '*) pool_of "$2" && find_leaf "$3" && offline_leaf "$leaf" ;;
    'online -e '*' '*) pool_of "$3" && find_leaf "$4" && expand_leaf "$leaf" ;;
    'online '*' '*) pool_of "$2" && find_leaf "$3" && online_leaf "$leaf" ;;
    'detach '*' '*) pool_of "$2" && find_leaf "$3" && detach_leaf "$leaf" ;;
    'scrub -p '*) pool_of "$3" && scrub scrub paused ;;
    'scrub '*) pool_of "$2" && scrub '' scrub ;;
    'add -o ashift=12 '*' '*' '*)
        shift 3
        pool_of "$1"
        shift
        add_vdev_of "$@"
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
    'clear '*' '*) pool_of "$2" && find_leaf "$3" && set_state "$leaf" FAULTED '' ;;
    'clear '*)
        if [ -e "$WORLD/suspended" ]; then
            [ ! -s "$WORLD/suspended" ] || command rm "$WORLD/suspended"
        else
            pool_of "$2"
            while read -r clear_path clear_state; do
                [ "$clear_state" = OFFLINE ] || set_state "$clear_path" "$clear_state" ''
            done <"$WORLD/pools/$guid/states"
            effect "clear $2"
        fi
        ;;
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

zfs() {
    case $* in
    'get -H -o value ec2zfs:scrubbed '*)
        pool_of "$5"
        if [ -s "$WORLD/pools/$guid/scrubbed" ]; then cat "$WORLD/pools/$guid/scrubbed"; else echo -; fi
        ;;
    'set ec2zfs:scrubbed='*' '*)
        pool_of "$3"
        echo "${2#ec2zfs:scrubbed=}" >"$WORLD/pools/$guid/scrubbed"
        effect "set $2"
        ;;
    *) wrong zfs "$@" ;;
    esac
}

# pool_of NAME: the GUID of an imported pool, in $guid
pool_of() {
    [ -s "$WORLD/imported/$1" ] || said "cannot open '$1': no such pool" || return
    read -r guid <"$WORLD/imported/$1"
    touch "$WORLD/pools/$guid/states"
    touch "$WORLD/pools/$guid/scan"
}

# put_vdevs LINES, put_states LINES: the file is these lines now
put_vdevs() { printf '%s' "$1" >"$WORLD/pools/$guid/vdevs"; }
put_states() { printf '%s' "$1" >"$WORLD/pools/$guid/states"; }

# find_leaf HANDLE: the path of the leaf of this path, this whole disk, or this number, in $leaf
find_leaf() {
    leaf_number=9000
    while read -r leaf; do
        leaf=${leaf#+}
        leaf_number=$((leaf_number + 1))
        case $1 in
        "$leaf" | "$leaf_number") return 0 ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
    said "no such device in pool: $1"
}

# state PATH: of a leaf, in $state
state() {
    state=ONLINE
    [ ! -e "$WORLD/pools/$guid/states" ] || while read -r state_path state_word; do
        [ "$state_path" != "$1" ] || state=$state_word
    done <"$WORLD/pools/$guid/states"
    case $state in
    ONLINE) find_volume "$1" || state=UNAVAIL ;;
    esac
}

# set_state PATH OLD NEW: it is in no state OLD (any, if empty) any more, but in NEW; empty for ONLINE
set_state() {
    touch "$WORLD/pools/$guid/states"
    state_lines=
    while read -r state_path state_word; do
        if [ "$state_path" = "$1" ] && [ "$state_word" = "${2:-$state_word}" ]; then continue; fi
        state_lines="$state_lines$state_path $state_word
"
    done <"$WORLD/pools/$guid/states"
    put_states "$state_lines${3:+$1 $3
}"
}

# in_use PATH: whether an imported pool has the device open
in_use() {
    for in_use_pool in "$WORLD"/imported/*; do
        [ -s "$in_use_pool" ] || continue
        read -r guid <"$in_use_pool"
        if has_line "$WORLD/pools/$guid/vdevs" "$1" || has_line "$WORLD/pools/$guid/vdevs" "+$1"; then
            state "$1"
            [ "$state" != ONLINE ] || return 0
        fi
    done
    return 1
}

# settle GUID: what was being read or copied is done
settle() {
    [ ! -e "$WORLD/held" ] && [ -s "$WORLD/pools/$1/scan" ] || return 0
    guid=$1
    read -r settle_scan <"$WORLD/pools/$guid/scan"
    case $settle_scan in
    scrub) echo scrubbed >"$WORLD/pools/$guid/scan" ;;
    resilver)
        echo resilvered >"$WORLD/pools/$guid/scan"
        drop_halves first
        ;;
    esac
}

# drop_halves first|PATH: of every replacement the first half goes if the second is sound, or the half of that path
drop_halves() {
    vdevs_lines=
    vdevs_group=
    while read -r vdevs_line; do
        case $vdevs_line in
        replacing-*) vdevs_group=$vdevs_line ;;
        +*)
            if [ -n "$vdevs_group" ]; then
                vdevs_first=${vdevs_line#+}
                vdevs_name=$vdevs_group
                vdevs_group=
                continue
            fi
            vdevs_second=${vdevs_line#+}
            state "$vdevs_second"
            case $1 in
            "$vdevs_first") keep_line "$vdevs_second" ;;
            "$vdevs_second") keep_line "$vdevs_first" ;;
            first)
                if [ "$state" = ONLINE ]; then
                    keep_line "$vdevs_second"
                else
                    keep_line "$vdevs_name"
                    keep_line "+$vdevs_first"
                    keep_line "+$vdevs_second"
                fi
                ;;
            *)
                keep_line "$vdevs_name"
                keep_line "+$vdevs_first"
                keep_line "+$vdevs_second"
                ;;
            esac
            ;;
        *) keep_line "$vdevs_line" ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
    put_vdevs "$vdevs_lines"
}

keep_line() {
    vdevs_lines="$vdevs_lines$1
"
}

# take PATH: the device becomes part of the pool
take() {
    find_volume "$1" || said "cannot open '$1': no such device" || return
    [ ! -e "$volume/zfs" ] || said "$1 is part of a pool" || return
    echo "$guid" >"$volume/zfs"
    touch "$volume/data"
    [ "$1" != "${1#/dev/mapper/}" ] || echo zfs_member >"$volume/signatures"
}

replace_leaf() {
    take "$2" || return
    vdevs_lines=
    vdevs_number=0
    while read -r vdevs_line; do
        if [ "$vdevs_line" = "$1" ]; then
            keep_line "replacing-$vdevs_number"
            keep_line "+$1"
            keep_line "+$2"
        else
            keep_line "$vdevs_line"
        fi
        vdevs_number=$((vdevs_number + 1))
    done <"$WORLD/pools/$guid/vdevs"
    put_vdevs "$vdevs_lines"
    echo resilver >"$WORLD/pools/$guid/scan"
    effect "replace $1 $2"
}

detach_leaf() {
    drop_halves "$1"
    effect "detach $1"
}

# vdev_of PATH: the top-level vdev of a leaf in $vdev, how many leaves it has in $width, and how many are not ONLINE in
# $lacking; its bytes as its devices are now in $now
vdev_of() {
    vdev=
    found=
    while read -r vdev_line; do
        case $vdev_line in
        replacing-*) ;;
        mirror-* | raidz*-*)
            [ -z "$found" ] || break
            vdev=$vdev_line
            width=0
            lacking=0
            least=
            ;;
        *)
            [ "${vdev_line#+}" != "$1" ] && [ "$vdev" != "$1" ] || found=yes
            width=$((width + 1))
            state "${vdev_line#+}"
            [ "$state" = ONLINE ] || lacking=$((lacking + 1))
            if find_volume "${vdev_line#+}" && [ "${least:-$bytes}" -ge "$bytes" ]; then least=$bytes; fi
            ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
    case $vdev in
    mirror-*) parity=$((width - 1)) now=${least:-0} ;;
    *)
        parity=${vdev#raidz}
        parity=${parity%%-*}
        now=$((width * ${least:-0}))
        ;;
    esac
}

offline_leaf() {
    state "$1"
    offline_state=$state
    [ "$offline_state" != OFFLINE ] || return 0
    vdev_of "$1"
    [ "$offline_state" != ONLINE ] || [ "$lacking" -lt "$parity" ] || said "cannot offline $1: no valid replicas" || return
    set_state "$1" '' OFFLINE
    effect "offline $1"
}

online_leaf() {
    state "$1"
    [ "$state" != ONLINE ] || return 0
    [ "$state" != FAULTED ] || said "warning: device '$1' onlined, but remains in faulted state" || return
    set_state "$1" '' ''
    echo resilver >"$WORLD/pools/$guid/scan"
    effect "online $1"
}

expand_leaf() {
    vdev_of "$1"
    echo "$now" >"$WORLD/pools/$guid/size-$vdev"
    effect "expand $1"
}

# scrub FROM TO: a scrub that is FROM (not running, if empty) is TO now
scrub() {
    scrub_now=
    [ ! -s "$WORLD/pools/$guid/scan" ] || read -r scrub_now <"$WORLD/pools/$guid/scan"
    case $1$scrub_now in
    scrub | resilver) said "cannot scrub: currently ${scrub_now}ing" || return ;;
    scrubscrub | '' | paused | scrubbed | resilvered) ;;
    *) said 'cannot pause scrubbing: there is no active scrub' || return ;;
    esac
    echo "$2" >"$WORLD/pools/$guid/scan"
    effect "scrub: $2"
}

add_vdev_of() {
    add_number=0
    while read -r add_line; do
        case $add_line in
        mirror-* | raidz*-*) add_number=$((add_number + 1)) ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
    add_name=$1-$add_number
    shift
    for add_path; do take "$add_path" || return; done
    printf '%s\n' "$add_name" "$@" >>"$WORLD/pools/$guid/vdevs"
    expand_size "$add_name"
    effect "add $add_name"
}

# expand_size VDEV: ZFS uses all of a vdev
expand_size() {
    vdev_of "$1"
    echo "$now" >"$WORLD/pools/$guid/size-$vdev"
}

# list_vdevs GUID NAME: vdevs and leaves, each after a tab, as zpool list -Hpv does
list_vdevs() {
    guid=$1
    printf '%s\t6442450944\t65536\t6442385408\t-\t-\t0\t0\t1.00\tONLINE\t/mnt\n' "$2"
    while read -r list_line; do
        case $list_line in
        mirror-* | raidz*-*)
            vdev_of "$list_line"
            read -r list_size <"$WORLD/pools/$guid/size-$list_line"
            list_more=-
            [ "$now" -le "$list_size" ] || list_more=$((now - list_size))
            printf '\t%s\t%s\t65536\t1\t-\t%s\t0\t0\t-\tONLINE\n' "$list_line" "$list_size" "$list_more"
            ;;
        replacing-*) printf '\t%s\t-\t-\t-\t-\t-\t-\t-\t-\tONLINE\n' "$list_line" ;;
        *) printf '\t%s\t%s\t-\t-\t-\t-\t-\t-\t-\tONLINE\n' "${list_line#+}" 1073741824 ;;
        esac
    done <"$WORLD/pools/$1/vdevs"
}

zpool_status() {
    guid=$1
    printf '  pool: %s\n state: ONLINE\n' "$2"
    [ ! -s "$WORLD/pools/$1/scan" ] || status_scan
    printf 'config:\n\n\tNAME  STATE     READ WRITE CKSUM\n'
    printf '\t%s  ONLINE       0     0     0\n' "$2"
    status_number=9000
    status_half=
    while read -r status_line; do
        status_number=$((status_number + 1))
        status_mark=
        case $status_line in
        +*)
            [ -z "$status_half" ] || status_mark='  (resilvering)'
            status_half=${status_half:-first}
            status_leaf '      ' "${status_line#+}" "$status_mark"
            ;;
        /*) status_leaf '    ' "$status_line" '' ;;
        replacing-*)
            status_half=
            printf '\t    %s  ONLINE       0     0     0\n' "$status_line"
            ;;
        *) printf '\t  %s  ONLINE       0     0     0\n' "$status_line" ;;
        esac
    done <"$WORLD/pools/$1/vdevs"
    printf '\nerrors: No known data errors\n'
}

# status_leaf INDENT PATH MARK
status_leaf() {
    state "$2"
    case $state in
    UNAVAIL) printf '\t%s%s  UNAVAIL      0     0     0  was %s%s\n' "$1" "$status_number" "$2" "$3" ;;
    FAULTED) printf '\t%s%s  FAULTED      3    24     0  too many errors%s\n' "$1" "$2" "$3" ;;
    *) printf '\t%s%s  %s       0     0     0%s\n' "$1" "$2" "$state" "$3" ;;
    esac
}

status_scan() {
    read -r status_now <"$WORLD/pools/$guid/scan"
    status_time='Mon Nov 23 22:46:28 2026'
    case $status_now in
    scrub) echo "  scan: scrub in progress since $status_time" ;;
    paused) printf '  scan: scrub paused since %s\n\tscrub started on %s\n' "$status_time" "$status_time" ;;
    scrubbed) echo "  scan: scrub repaired 0B in 00:00:02 with 0 errors on $status_time" ;;
    resilver) echo "  scan: resilver in progress since $status_time" ;;
    resilvered) echo "  scan: resilvered 26.7M in 00:00:05 with 0 errors on $status_time" ;;
    esac
    case $status_now in
    scrub) printf '\t2.00G / 2.00G scanned, 512M / 2.00G issued at 20M/s\n\t0B repaired, 25.00%% done, 00:01:17 to go\n' ;;
    resilver)
        printf '\t151M / 151M scanned, 116M / 151M issued at 38.6M/s\n'
        printf '\t26.7M resilvered, 76.76%% done, 00:00:01 to go\n'
        ;;
    esac
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
        /*) take "$zpool_word" ;;
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
    while read -r zpool_word; do
        case $zpool_word in
        mirror-* | raidz*-*) expand_size "$zpool_word" ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
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
            would_be_state
            printf '   pool: %s\n     id: %s\n  state: %s\naction: The pool can be imported.\n config:\n\n' \
                "$zpool_name" "$guid" "$zpool_state"
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
        [ ! -s "$WORLD/pools/$guid/states" ] || forget_states
        effect "import $zpool_name"
        return
    done
    said "cannot import '$6': no such pool available"
}

# would_be_state: what the pool would be, in $zpool_state: an import tries again what ZFS gave up, but not what was taken
# offline
would_be_state() {
    zpool_state=ONLINE
    while read -r state_leaf; do
        case $state_leaf in
        /* | +/*) state "${state_leaf#+}" ;;
        *) continue ;;
        esac
        case $state in
        OFFLINE | UNAVAIL) zpool_state=DEGRADED ;;
        esac
    done <"$WORLD/pools/$guid/vdevs"
}

# forget_states: what ZFS gave up is tried again at an import; only what was taken offline stays so
forget_states() {
    import_lines=
    while read -r state_path state_word; do
        [ "$state_word" != OFFLINE ] || import_lines="$import_lines$state_path OFFLINE
"
    done <"$WORLD/pools/$guid/states"
    put_states "$import_lines"
}
