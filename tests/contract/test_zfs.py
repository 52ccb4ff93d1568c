"""The cases of zfs_suite.py on the ZFS of the tests' memory; tests/lab runs the same ones on OpenZFS itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from tests.contract.zfs_sides import MIB, Sides
from tests.contract.zfs_suite import CASES, Case, named
from tests.fakes.zfs_pool import Pool, ZfsSays
from tests.fakes.zfs_world import WorldTransport, ZfsHost


@dataclass(frozen=True)
class Imagined:
    """`Hands` that change the two pools in memory."""

    site: Pool
    receiver: Pool

    def create(self, dataset: str, *, sealed: bool = False) -> None:
        self.site.create(dataset, encrypted=sealed)

    def assign(self, change: str, dataset: str) -> None:
        name, _, value = change.partition("=")
        self.site.find(dataset).properties[name] = value

    def snapshot(self, snapshot: str, mib: int) -> None:
        dataset, name = snapshot.split("@")
        self.site.snapshot(dataset, name, mib * MIB)

    def series(self, snapshots: Sequence[str], change: str) -> None:
        name, _, value = change.partition("=")
        for snapshot in snapshots:
            self.site.take([snapshot], {name: value})

    def destroy(self, snapshot: str) -> None:
        self.site.destroy_snapshot(snapshot)

    def destroy_in_vain(self, snapshot: str) -> str:
        try:
            self.site.destroy_snapshot(snapshot)
        except ZfsSays as refusal:
            return str(refusal)
        return ""

    def hold(self, tag: str, snapshot: str) -> None:
        self.site.hold(tag, [snapshot])

    def clone(self, snapshot: str, dataset: str) -> None:
        self.site.clone(snapshot, dataset)

    def meddle(self, snapshot: str) -> None:
        dataset, name = snapshot.split("@")
        self.receiver.snapshot(dataset, name, self.receiver.find(dataset).written)

    def write_to(self, copy: str) -> None:
        self.receiver.find(copy).written += MIB

    def leave_room(self, mib: int | None) -> None:
        self.receiver.available = 1 << 40 if mib is None else mib * MIB


@pytest.fixture
def sides() -> Sides:
    site, receiver = ZfsHost("site"), ZfsHost("receiver", may_repair=True)
    site.zfs.create("tank")
    receiver.zfs.create("cloud")
    return Sides(site, receiver, WorldTransport(), Imagined(site.zfs, receiver.zfs), "tank", "cloud/tank")


@pytest.mark.parametrize("case", CASES, ids=named)
def test_zfs_in_memory(case: Case, sides: Sides) -> None:
    case(sides)
