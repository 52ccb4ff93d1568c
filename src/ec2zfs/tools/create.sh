# create.sh POOL HOSTID ARGUMENT...: `zpool create ARGUMENT...`, without -f: ZFS itself refuses what holds a pool or a file
# system. The host id comes first, since the pool remembers the one of the machine that made it (fact 43).
need zpool zgenhostid
hostid=$2
shift 2
keep_scans
zgenhostid -f "$hostid" && zpool create "$@"
