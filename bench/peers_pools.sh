# peers_pools.sh DATASETS SNAPSHOTS CHANGED: makes on the lab's site two pools of which one is the other's copy, as they are
# after a long time of replication: bsite/many (so many datasets with so many snapshots) and bsite/changed (as many as are
# to change, with one snapshot), and bcloud/bsite/…, with the bookmarks by which ec2zfs goes on. A pool is copied whole:
# receiving 20,000 snapshots one by one would take this machine an hour.
set -eu
datasets=$1 snapshots=$2 changed=$3
modprobe zfs
folder=/var/tmp/peers
mkdir -p $folder/site $folder/cloud
truncate -s 6G $folder/site/pool
zpool create -o ashift=12 -o cachefile=none -O mountpoint=/mnt/bsite -O atime=off bsite $folder/site/pool
zfs create -o mountpoint=none bsite/many
zfs create bsite/changed
i=0; while [ $i -lt "$datasets" ]; do i=$((i + 1)); zfs create "bsite/many/$i"; done
i=0; while [ $i -lt "$changed" ]; do i=$((i + 1)); zfs create "bsite/changed/$i"; done
i=0
while [ $i -lt "$snapshots" ]; do
    i=$((i + 1))
    zfs snapshot -r "bsite/many@ec2zfs_2026-10-$(printf %02d $i)T02:17:00Z_daily"
done
last=$(printf %02d $i)
zfs snapshot -r bsite/changed@first
zfs list -Hp -r -t snapshot -o name,guid bsite/many bsite/changed | grep -e "@first" -e "@ec2zfs_2026-10-${last}T" |
    while read -r name guid; do
        zfs bookmark "$name" "${name%%@*}#ec2zfs_bcloud_$(printf %016x "$guid")"
    done
zpool export bsite
cp --sparse=always $folder/site/pool $folder/cloud/pool
zpool import -N -o cachefile=none -d $folder/cloud bsite bcloud
zpool reguid bcloud
zfs set mountpoint=none readonly=on bcloud
zfs create -o canmount=off bcloud/bsite
zfs rename bcloud/many bcloud/bsite/many
zfs rename bcloud/changed bcloud/bsite/changed
zpool import -o cachefile=none -d $folder/site bsite
zfs set autobackup:many=true bsite/many
zfs set autobackup:changed=true bsite/changed
zpool sync
