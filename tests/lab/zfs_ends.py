"""Two pools in one machine of the lab, reached as two hosts, and what tests do to them by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.replication import Replicator
from ec2zfs.execute.replication_report import ReplicationReport
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import Liveness, SshTarget
from ec2zfs.lab.description import LabDescription
from ec2zfs.model.line import Line
from ec2zfs.model.policy import Schedule, Tier
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.source import Source
from ec2zfs.plan.selection import Selection
from ec2zfs.runs.snapshots import keeps_of
from ec2zfs.tools.zfs import Zfs
from ec2zfs.transport.ssh import SshTransport
from ec2zfs.transport.transport import unwatched

MIB = 1 << 20
KEY = "0123456789abcdef" * 2
"""The key of natively encrypted sources: raw, because a passphrase costs minutes of emulated processor time."""

POOLS = """\
set -eu
modprobe zfs
mkdir -p /var/tmp/replication /mnt/copy
for pool in rsite:4G rcloud:4G rtiny:100M; do
  file=/var/tmp/replication/${pool%:*}
  truncate -s "${pool#*:}" "$file"
  pool=${pool%:*}
  zpool create -o ashift=12 -o cachefile=none -O mountpoint="/mnt/$pool" -O xattr=sa -O atime=off "$pool" "$file"
done
zfs set mountpoint=none rcloud
"""
NO_POOLS = """\
for pool in rsite rcloud rtiny; do zpool destroy -f $pool; done
rm -rf /var/tmp/replication
"""

AWKWARD = """\
set -eu
cd "$1"
printf 'tab\\there' > "$(printf 'tab\\tand new\\nline')"
printf x > ' leading and trailing '
printf x > '-rf'
printf x > 'ünï ☃ 100%.txt'
printf x > "$(printf 'not utf-8 \\377')"
printf x > "$(printf '%0255d' 7)"
ln -s 'nowhere at all' dangling
mkfifo fifo
mkdir -p deep/er/est empty
seq 1 5000 > deep/er/est/numbers
ln deep/er/est/numbers hard-link
truncate -s 1G hole
printf end >> hole
head -c 300000 /dev/urandom > random
chown 1234:5678 random
chmod 4751 random
python3 -c 'import os; os.setxattr("random", "user.note", bytes(range(1, 200)))'
"""

ATTRIBUTES = """\
import os
for folder, _, names in sorted(os.walk(b".")):
    for path in sorted(os.path.join(folder, name) for name in names):
        for key in sorted(os.listxattr(path, follow_symlinks=False)):
            print(path, key, os.getxattr(path, key, follow_symlinks=False))
"""
TREE_DIGEST = """\
set -eu
zpool sync
cd "$1"
{ tar --sort=name --format=gnu --numeric-owner -S -cf - .; python3 -c "$2"; } | sha256sum
"""
"""Only what has reached the disk tells how many blocks it has, by which tar knows a file with holes."""
DIGEST = """\
set -eu
mount -t zfs -o ro "$1" /mnt/copy
cd /mnt/copy
{ tar --sort=name --format=gnu --numeric-owner -S -cf - .; python3 -c "$2"; } | sha256sum
cd /
umount /mnt/copy
"""


@dataclass(frozen=True)
class Ends:
    """The two pools' hosts (one machine, two connections) and what tests do there by hand."""

    site: Host
    receiver: Host

    def zfs(self, *words: str) -> list[str]:
        return self.site.run(Command.of("zfs", *words, timeout=120.0)).lines()

    def sh(self, script: str, *words: str) -> str:
        return self.site.run(Command.of("sh", "-c", script, "test", *words, timeout=300.0)).text

    def fill(self, dataset: str, name: str, mib: int) -> None:
        self.sh('head -c "$2" /dev/urandom > "/mnt/$1"', f"{dataset}/{name}", str(mib * MIB))

    def digest(self, snapshot: str) -> str:
        """A digest over every name, byte, hole, link, mode, owner, time and attribute of a snapshot."""
        return self.sh(DIGEST, snapshot, ATTRIBUTES)

    @property
    def selection(self) -> Selection:
        """What the standard policy keeps in the cloud, at a fixed time."""
        return Selection(keeps_of(Schedule(), Tier.CLOUD), lambda: datetime(2026, 11, 24, tzinfo=UTC))

    def replicator(self, pool: str = "rcloud") -> Replicator:
        return Replicator(self.site, self.receiver, pool, Fixed(Carriage(SshTransport())), Silent(), self.selection)

    def replicate(self, dataset: str, pool: str = "rcloud") -> ReplicationReport:
        replicator = self.replicator(pool)
        return replicator.run(replicator.plan(replicator.observe([Source(dataset)])))

    def copy(self, dataset: str) -> Dataset:
        found = Zfs(self.receiver).dataset(f"rcloud/{dataset}")
        assert found
        return found

    def snapshots(self, dataset: str) -> list[str]:
        return [snapshot.name for snapshot in self.copy(dataset).snapshots]

    def value(self, dataset: str, name: str) -> str:
        return self.zfs("get", "-Hpo", "value", name, dataset)[0]


@dataclass(frozen=True)
class Breaking:
    """A transport during which something happens once so many bytes have passed."""

    after: int
    happens: Callable[[], object]

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        passed = [0]

        def heard(amount: int) -> None:
            before, passed[0] = passed[0], passed[0] + amount
            meter(amount)
            if before < self.after <= passed[0]:
                self.happens()

        SshTransport().carry(sender, receiver, heard, watch)

    def replicator(self, ends: Ends) -> Replicator:
        return Replicator(ends.site, ends.receiver, "rcloud", Fixed(Carriage(self)), Silent(), ends.selection)


def reached(name: str, lab: LabDescription, sockets: Path) -> SshHost:
    """The site's machine, under a name and with a connection of its own; slow emulation is given time."""
    assert lab.site
    target = SshTarget(
        address=lab.site.address,
        port=lab.site.port,
        user=lab.site.user,
        identity=Path(lab.identity),
        known_hosts=Path(lab.site.known_hosts),
        alias=lab.site.alias,
        sudo=False,
        control_directory=sockets / name,
    )
    return SshHost(name, target, Liveness(connect=90.0))


def create(ends: Ends, dataset: str, *, sealed: bool = False) -> None:
    options = ("-o", "encryption=on", "-o", "keyformat=raw", "-o", "keylocation=prompt") if sealed else ()
    ends.site.run(Command.of("zfs", "create", *options, dataset, stdin=KEY.encode() if sealed else None))
