# zfs_copy_show.sh SNAPSHOT: mounts a snapshot read-only in a new directory that only root can enter; prints the directory,
# in which the files stand in `files`.
set -eu
umask 077
place=$(mktemp -d /run/ec2zfs-copy.XXXXXX)
trap 'umount "$place/files" 2>/dev/null || true; rmdir "$place/files" "$place" 2>/dev/null || true' EXIT
trap 'exit 1' HUP INT TERM
mkdir "$place/files"
mount -t zfs -o ro,nosuid,nodev,noexec "$1" "$place/files"
echo "$place"
trap - EXIT
