# zfs_copy_hide.sh DIRECTORY: undoes what zfs_copy_show.sh did; may be done twice.
set -eu
[ -d "$1" ] || exit 0
if mountpoint -q "$1/files"; then umount "$1/files"; fi
rm -f "$1/wanted"
[ ! -d "$1/files" ] || rmdir "$1/files"
rmdir "$1"
