# zfs_copy_hide.sh DIRECTORY: undoes what zfs_copy_show.sh did.
set -eu
umount "$1/files"
rm -f "$1/wanted"
rmdir "$1/files" "$1"
