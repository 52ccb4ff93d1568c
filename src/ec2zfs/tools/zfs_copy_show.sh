# zfs_copy_show.sh SNAPSHOT: mounts a snapshot read-only in a new directory that only root can enter; prints the directory,
# in which the files stand in `files`.
set -eu
umask 077
place=$(mktemp -d /run/ec2zfs-copy.XXXXXX)
mkdir "$place/files"
if ! mount -t zfs -o ro,nosuid,nodev,noexec "$1" "$place/files"; then
    rmdir "$place/files" "$place"
    exit 1
fi
echo "$place"
