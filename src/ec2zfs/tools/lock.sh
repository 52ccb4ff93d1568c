# lock.sh POOL: export the pool and close every mapping of it, whatever state they are in.
# Prints `imported HEALTH` when the pool stays imported, and `open MAPPING` for each mapping that stays open.
need dmsetup zpool cryptsetup
pool=$1

resume "$pool"
case $(health "$pool") in
'') ;;
SUSPENDED) echo "Pool $pool is suspended: too many of its volumes are gone, and it cannot be exported." >&2 ;;
*) limited 180 zpool export "$pool" || [ $? -eq 124 ] || limited 180 zpool export -f "$pool" ;;
esac
state=$(health "$pool")
if [ -n "$state" ]; then echo "imported $state"; fi

open=$(mappings "$pool") || exit
for mapping in $open; do cryptsetup close "$mapping"; done
left=$(mappings "$pool") || exit
for mapping in $left; do echo "open $mapping"; done
exit 0
