# Makes a fresh machine a receiver, and tells what it then is. Runs as root: as user data at the first boot, and again
# over ssh before every use, so that a first boot that was cut short is made good. Whatever is right already is left as
# it is. It must hold no secret: everybody who may read the instance's attributes can read it (fact 20).
# $1: minutes after which the machine powers itself off when nobody has extended its dead-man.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C DEBIAN_FRONTEND=noninteractive
umask 022
log=/var/log/ec2zfs-setup.log

# 69: this machine cannot be made a receiver.
fail() {
    echo "$1" >&2
    exit 69
}

# First of all, and at every boot: nothing that follows may leave a machine running for ever (fact 18). Files and links
# are written by hand: `systemctl enable` and `mask` have systemd read all of its files again, for seconds on a small
# machine, in which nobody can log in.
set_dead_man() {
    units=/etc/systemd/system
    if ! grep -qsx "OnActiveSec=${1}min" $units/ec2zfs-dead-man.timer; then
        write_dead_man "$1" $units
        mkdir -p $units/timers.target.wants
        ln -sfn $units/ec2zfs-dead-man.timer $units/timers.target.wants/ec2zfs-dead-man.timer
    fi
    systemctl -q is-active 'ec2zfs-dead-man*.timer' || systemd-run -q --unit="ec2zfs-dead-man-$(date +%s%N)" \
        --on-active="${1}min" --timer-property=AccuracySec=1s systemctl poweroff
}

write_dead_man() {
    cat >"$2/ec2zfs-dead-man.service" <<UNIT
[Unit]
Description=Power off: no controller has been heard
[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl poweroff
UNIT
    cat >"$2/ec2zfs-dead-man.timer" <<UNIT
[Unit]
Description=Power off when no controller is heard
[Timer]
OnActiveSec=${1}min
AccuracySec=1s
[Install]
WantedBy=timers.target
UNIT
}

# Memory holds the volumes' keys: it must never reach the root disk (fact 61).
keep_memory_off_the_disk() {
    swapoff -a
    sed -i '/^[^#].*[[:space:]]swap[[:space:]]/s/^/# ec2zfs: /' /etc/fstab
    for unit in swap.target hibernate.target hybrid-sleep.target suspend-then-hibernate.target \
        kdump-tools.service kdump.service apport.service; do
        [ -e "/etc/systemd/system/$unit" ] || forbid "$unit"
    done
    printf '%s\n' 'kernel.core_pattern = |/bin/false' 'kernel.kexec_load_disabled = 1' >/etc/sysctl.d/99-ec2zfs.conf
    echo '|/bin/false' >/proc/sys/kernel/core_pattern
    [ ! -e /proc/sys/kernel/kexec_load_disabled ] || echo 1 >/proc/sys/kernel/kexec_load_disabled
}

forbid() {
    ln -s /dev/null "/etc/systemd/system/$1"
    case "$1" in
        *.service) [ ! -e "/lib/systemd/system/$1" ] || systemctl -q stop "$1" ;;
    esac
}

# ZFS's default share is too much for a small machine that also receives (fact 53); an EBS volume may take longer than
# the 30 s after which the kernel gives up by default (fact 8).
tune_modules() {
    arc=$(awk '/^MemTotal:/ && $2 < 8 * 1024 * 1024 { printf "%d", $2 * 1024 * 3 / 8 }' /proc/meminfo)
    echo 'options nvme_core io_timeout=4294967295' >/etc/modprobe.d/ec2zfs.conf
    [ -z "$arc" ] || echo "options zfs zfs_arc_max=$arc" >>/etc/modprobe.d/ec2zfs.conf
    timeout=/sys/module/nvme_core/parameters/io_timeout
    [ ! -w "$timeout" ] || echo 4294967295 >"$timeout"
    limit=/sys/module/zfs/parameters/zfs_arc_max
    [ -z "$arc" ] || [ ! -w "$limit" ] || echo "$arc" >"$limit"
}

equipped() {
    modinfo zfs && modinfo dm_crypt && command -v zpool && command -v zfs && command -v cryptsetup
}

# OpenZFS is in Debian's contrib; Debian 12's own is too old for LUKS, that of its backports is not (fact 20).
add_debian_archives() {
    apt-get indextargets --no-release-info --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)' 'Created-By: Packages' |
        debian_archives "$1" "$2" >/etc/apt/sources.list.d/ec2zfs.list
    [ -s /etc/apt/sources.list.d/ec2zfs.list ] || fail "apt knows no archive of Debian $1"
    [ "$2" -gt 12 ] ||
        printf 'Package: src:zfs-linux\nPin: release n=%s-backports\nPin-Priority: 990\n' "$1" \
            >/etc/apt/preferences.d/ec2zfs
}

# From apt's targets (address, suite, component, keyring) to the lines that are missing; $1 code name, $2 version.
debian_archives() {
    awk -v name="$1" -v version="$2" '
        { known[$2, $3] = 1 }
        $2 == name && $3 == "main" { uri = $1; key = $4 ~ "^/" ? "[signed-by=" $4 "] " : "" }
        function add(suite, part) { if (!((suite, part) in known)) print "deb " key uri " " suite " " part }
        END {
            if (uri == "") exit
            add(name, "contrib")
            if (version <= 12) { add(name "-backports", "main"); add(name "-backports", "contrib") }
        }'
}

apt() {
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=5 "$@"
}

install_zfs() {
    . /etc/os-release
    case "$ID" in
        debian)
            add_debian_archives "$VERSION_CODENAME" "$VERSION_ID"
            apt update
            apt install --no-install-recommends "linux-headers-$(uname -r)"
            apt install --no-install-recommends zfs-dkms zfsutils-linux cryptsetup-bin
            ;;
        ubuntu)
            apt update
            apt install --no-install-recommends zfsutils-linux cryptsetup-bin
            modinfo zfs || apt install --no-install-recommends "linux-modules-extra-$(uname -r)"
            ;;
        *) fail "cannot install ZFS on ${PRETTY_NAME:-$ID}, only on Debian and Ubuntu" ;;
    esac
}

# What an end of the accelerated stream needs. Where it cannot be had, streams go through ssh, so nothing fails here.
# Only the list of packages is fetched under a limit: an archive that does not answer must not keep the receiver.
ready_for_streams() {
    modprobe -q tcp_bbr
    [ ! -x /usr/bin/python3 ] || [ ! -d /usr/lib/python3/dist-packages/cryptography ] || return 0
    timeout 90 apt-get -q -o Acquire::Retries=1 update && apt install --no-install-recommends python3-cryptography
}

tell() {
    echo "zfs=$(cat /sys/module/zfs/version 2>/dev/null)"
    echo "zpool=$(command -v zpool)"
    echo "cryptsetup=$(cryptsetup --version 2>/dev/null)"
    echo "dm_crypt=$(modinfo -F filename dm_crypt 2>/dev/null)"
    echo "swap=$(tail -n +2 /proc/swaps | wc -l)"
    echo "memory_kib=$(awk '/^MemTotal:/ { print $2 }' /proc/meminfo)"
    echo "system=$(. /etc/os-release && echo "$PRETTY_NAME")"
}

# One at a time: over ssh we wait here until the first boot's own execution has ended.
exec 9>/run/ec2zfs-setup.lock
flock 9
set_dead_man "$1"
keep_memory_off_the_disk
if ! equipped >/dev/null 2>&1; then
    # Silent: the console must keep the host keys of the first boot, and EC2 shows its last 64 KiB only (fact 21).
    # Not `install_zfs || fail`, which would switch `set -e` off in there.
    set +e
    (set -e && install_zfs) >>"$log" 2>&1 9>&-
    installed=$?
    set -e
    [ "$installed" -eq 0 ] || fail "could not install ZFS and cryptsetup: $(tail -n 4 "$log")"
fi
tune_modules
modprobe -a zfs dm_crypt || fail "the kernel $(uname -r) does not load the modules zfs and dm_crypt"
printf 'zfs\ndm_crypt\n' >/etc/modules-load.d/ec2zfs.conf
ready_for_streams >>"$log" 2>&1 9>&- || true
tell
