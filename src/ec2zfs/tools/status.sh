# status.sh POOL: the sizes and the state of an imported pool, and the names of its open mappings. Reads only.
pool=$1
echo '%mappings'
mappings "$pool" || exit
echo '%pools'
zpool list -H -p -o name,guid,size,allocated,free,health || exit
echo '%status'
if imported "$pool"; then zpool status -P -p "$pool"; fi
exit 0
