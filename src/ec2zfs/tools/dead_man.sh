# Puts the machine's end off: it powers off $1 seconds from now. The new timer is armed before older ones are stopped,
# the one of the boot included, so that there is no moment without one.
# One at a time: of two that overlap, each would stop the other's.
set -eu
exec 9>/run/lock/ec2zfs-dead-man
flock --wait 20 9
unit="ec2zfs-dead-man-$(date +%s%N)"
systemd-run --quiet --unit="$unit" --description='Power off: no controller has been heard' \
    --on-active="$1" --timer-property=AccuracySec=1s systemctl poweroff
for timer in $(systemctl list-units --plain --no-legend --type=timer 'ec2zfs-dead-man*' | awk '{ print $1 }'); do
    [ "$timer" = "$unit.timer" ] || systemctl stop "$timer"
done
