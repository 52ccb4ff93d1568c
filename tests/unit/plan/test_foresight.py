"""What is foreseen is what is done: the whole plan against what the executor really does on the imagined receiver."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.pools import PAIR, SIX, design, wish
from tests.fakes.world import World, attached

from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.volume import Volume
from ec2zfs.plan.foresight import after, blank, created, foreseen
from ec2zfs.plan.pool import CreatePool, FormatVolume, OpenVolume
from ec2zfs.plan.volumes import plan_creation
from ec2zfs.tools import volume_keys

KEY = Secret(b"the key that opens the pool, and no other")


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


def test_before_any_volume_exists_the_whole_way_is_foreseen() -> None:
    volumes = [created(action) for action in plan_creation(wish(SIX), [])]
    actions = foreseen(design(SIX), volumes, blank(volumes))
    assert [type(action) for action in actions] == [FormatVolume] * 6 + [OpenVolume] * 6 + [CreatePool]
    assert str(actions[0]) == "format cloud-v1s1-g1 (yet to be created: v1s1) with LUKS2: it holds nothing"


def test_without_encryption_only_the_pool_is_made() -> None:
    volumes = [created(action) for action in plan_creation(wish(PAIR), [])]
    bare = design(PAIR, encrypted=False)
    assert [type(action) for action in foreseen(bare, volumes, blank(volumes))] == [CreatePool]


@pytest.mark.parametrize("killed_after", [0, 2, 4, 7, 9])
def test_what_is_done_was_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_after: int) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    world, heard = World(tmp_path / "world"), Heard()
    volumes = attached(world, PAIR)
    cloud = CloudPool(world.host, design(PAIR), heard)
    if killed_after:
        world.kill_after(killed_after)
        with pytest.raises(Exception, match="signal 9"):
            cloud.create(KEY, volumes)
    before = cloud.observe(volumes)
    expected = foreseen(design(PAIR), volumes, before)
    heard.lines.clear()
    status = cloud.create(KEY, volumes)
    assert heard.lines == [str(action) for action in expected]
    vdevs = tuple(replace(vdev, size=0, allocated=0, expandable=0) for vdev in status.vdevs)
    made = replace(status, guid=0, size=0, allocated=0, free=0, errors="", vdevs=vdevs)
    assert made == foreseen_status(before, volumes)


def foreseen_status(view: ReceiverView, volumes: list[Volume]) -> PoolStatus | None:
    for action in foreseen(design(PAIR), volumes, view):
        view = after(view, action)
    return view.imported
