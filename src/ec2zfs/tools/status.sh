# status.sh POOL [DETAIL]: the sizes and the state of an imported pool, and its open mappings. Reads only.
# DETAIL (detail): the key slots of each open mapping as well.
need dmsetup zpool zfs
case ${2:-} in
detail) tell_pool "$1" yes || exit ;;
*) tell_pool "$1" no || exit ;;
esac
exit 0
