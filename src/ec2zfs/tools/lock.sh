# lock.sh POOL ENCRYPTED: export the pool and close every mapping of it, whatever state they are in. With encryption a
# pool of that name that is none of ours is left alone; without it the name is all that there is to go by.
# Prints `imported HEALTH` when the pool stays imported, and `open MAPPING` for each mapping that stays open.
need dmsetup zpool cryptsetup
pool=$1 encrypted=$2

resume "$pool"
state=$(health "$pool")
[ -z "$state" ] || [ "$encrypted" = no ] || ours "$pool" || state=foreign
case $state in
'') ;;
foreign) echo "A pool named $pool is imported that is none of ours; it was left alone." >&2 ;;
SUSPENDED) echo "Pool $pool is suspended: too many of its volumes are gone, and it cannot be exported." >&2 ;;
*) limited 180 zpool export "$pool" || [ $? -eq 124 ] || limited 180 zpool export -f "$pool" ;;
esac
[ "$state" = foreign ] || state=$(health "$pool")
case $state in
'' | foreign) ;;
*) echo "imported $state" ;;
esac

open=$(mappings "$pool") || exit
for mapping in $open; do cryptsetup close "$mapping"; done
left=$(mappings "$pool") || exit
for mapping in $left; do echo "open $mapping"; done
exit 0
