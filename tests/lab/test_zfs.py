"""OpenZFS itself keeps to the cases of tests/contract/zfs_suite.py, which the tests' memory keeps to as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.contract.zfs_sides import MIB, Sides
from tests.contract.zfs_suite import CASES, Case, named
from tests.lab.zfs_ends import Ends, create

from ec2zfs.errors import CommandFailed
from ec2zfs.transport.ssh import SshTransport

WRITE = 'mount -t zfs -o zfsutil "$1" /mnt/copy && echo x > /mnt/copy/x && umount /mnt/copy'


@dataclass(frozen=True)
class Real:
    """`Hands` at the two pools of the lab's machine; what the copies stand below is `above`."""

    ends: Ends
    above: str

    def create(self, dataset: str, *, sealed: bool = False) -> None:
        create(self.ends, dataset, sealed=sealed)

    def assign(self, change: str, dataset: str) -> None:
        self.ends.zfs("set", change, dataset)

    def snapshot(self, snapshot: str, mib: int) -> None:
        dataset, name = snapshot.split("@")
        self.ends.fill(dataset, name, mib)
        self.ends.zfs("snapshot", snapshot)

    def series(self, snapshots: Sequence[str], change: str) -> None:
        self.ends.sh('change=$1; shift; for each; do zfs snapshot -o "$change" "$each"; done', change, *snapshots)

    def destroy(self, snapshot: str) -> None:
        self.ends.zfs("destroy", snapshot)

    def destroy_in_vain(self, snapshot: str) -> str:
        try:
            self.ends.zfs("destroy", snapshot)
        except CommandFailed as refusal:
            return refusal.stderr
        return ""

    def hold(self, tag: str, snapshot: str) -> None:
        self.ends.zfs("hold", tag, snapshot)

    def clone(self, snapshot: str, dataset: str) -> None:
        self.ends.zfs("clone", snapshot, dataset)

    def meddle(self, snapshot: str) -> None:
        self.ends.zfs("snapshot", snapshot)

    def write_to(self, copy: str) -> None:
        self.ends.zfs("set", "readonly=off", copy)
        self.ends.sh(WRITE, copy)

    def leave_room(self, mib: int | None) -> None:
        used = int(self.ends.value(self.above, "used"))
        self.ends.zfs("set", "quota=none" if mib is None else f"quota={used + mib * MIB}", self.above)


@pytest.mark.parametrize("case", CASES, ids=named)
def test_zfs_itself(case: Case, ends: Ends) -> None:
    source, above = (f"{pool}/{named(case)[:40]}" for pool in ("rsite", "rcloud"))
    ends.zfs("create", source)
    ends.zfs("create", "-o", "canmount=off", above)
    case(Sides(ends.site, ends.receiver, SshTransport(), Real(ends, above), source, f"{above}/copy"))
