# peers_pools.sh DATASETS SNAPSHOTS CHANGED: makes on the lab's site, for each tree of datasets, two pools of which one is
# the other's copy, as they are after a long time of replication: manysite/many (so many datasets with so many snapshots)
# and manycloud/manysite/many, changedsite/changed (as many as are to change, with one snapshot) and its copy, with the
# bookmarks by which ec2zfs goes on; and fullsite and fullcloud, in which is nothing yet. A tree has pools of its own, so
# that nobody looks at another's datasets. A pool is copied whole: receiving 20,000 snapshots one by one would take this
# machine an hour.
set -eu
folder=/var/tmp/peers
modprobe zfs
mkdir -p $folder

# make TREE DATASETS: the site's pool
make() {
    mkdir -p "$folder/$1site" "$folder/$1cloud"
    truncate -s 6G "$folder/$1site/pool"
    zpool create -o ashift=12 -o cachefile=none -O "mountpoint=/mnt/$1site" -O atime=off "$1site" "$folder/$1site/pool"
    [ "$1" = full ] || zfs create "$1site/$1"
    i=0; while [ $i -lt "$2" ]; do i=$((i + 1)); zfs create "$1site/$1/$i"; done
}

# copy TREE LAST: the cloud's pool, and the bookmarks of the snapshots that are called LAST
copy() {
    zfs list -Hp -r -t snapshot -o name,guid "$1site" | grep -e "@$2" |
        while read -r name guid; do
            zfs bookmark "$name" "${name%%@*}#ec2zfs_$1cloud_$(printf %016x "$guid")"
        done
    zpool export "$1site"
    cp --sparse=always "$folder/$1site/pool" "$folder/$1cloud/pool"
    zpool import -N -o cachefile=none -d "$folder/$1cloud" "$1site" "$1cloud"
    zpool reguid "$1cloud"
    zfs set mountpoint=none readonly=on "$1cloud"
    zfs create -o canmount=off "$1cloud/$1site"
    [ "$1" = full ] || zfs rename "$1cloud/$1" "$1cloud/$1site/$1"
    zpool import -o cachefile=none -d "$folder/$1site" "$1site"
    [ "$1" = full ] || zfs set "autobackup:$1=true" "$1site/$1"
}

make many "$1"
i=0
while [ $i -lt "$2" ]; do
    i=$((i + 1))
    zfs snapshot -r "manysite/many@ec2zfs_2026-10-$(printf %02d $i)T02:17:00Z_daily"
done
copy many "ec2zfs_2026-10-$(printf %02d $i)T"
make changed "$3"
zfs snapshot -r changedsite/changed@first
copy changed first
make full 0
copy full none
zpool sync
