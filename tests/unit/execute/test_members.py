"""Members of an imported pool on an imagined receiver: our real scripts, done once, done twice, and killed anywhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.pools import PAIR, SIX, design, volume
from tests.fakes.world import NEVER, World, attached, newcomer

from ec2zfs.errors import CommandFailed, Ec2zfsError, WrongPoolKey
from ec2zfs.execute import opening, pool
from ec2zfs.execute.members import Members
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.layout import GIB, Layout, Place, Redundancy
from ec2zfs.model.pool import DeviceState, Member
from ec2zfs.model.scan import ScanFunction, ScanState
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume, Holding, OpenVolume
from ec2zfs.plan.upkeep import (
    AddVdev,
    AwaitScan,
    ClearErrors,
    CloseVolume,
    DropMember,
    ExpandMembers,
    NoteScrub,
    OfflineMember,
    ReopenMember,
    ReplaceMember,
    StartScan,
    UpkeepAction,
)
from ec2zfs.plan.volumes import DetachVolume
from ec2zfs.tools import volume_keys
from ec2zfs.tools.volume_keys import VolumeKeys

KEY = Secret(b"the key that opens the pool, and no other")
WRONG = Secret(b"a key that was right for another pool, once")
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)


class Heard(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, message: str) -> None:
        self.lines.append(message)


class There:
    """An imported pool on a receiver, and what was said."""

    def __init__(self, directory: Path, layout: Layout = PAIR, *, encrypted: bool = True) -> None:
        self.world = World(directory)
        self.volumes = attached(self.world, layout)
        self.heard = Heard()
        self.design = design(layout, encrypted=encrypted)
        self.pool = CloudPool(self.world.host, self.design)
        self.members = Members(self.world.host, self.design, self.heard, sleep=lambda _: None)
        self.key = KEY if encrypted else None
        self.pool.create(self.key, self.volumes)
        self.world.forget_effects()
        self.world.host.commands.clear()

    def do(self, *actions: UpkeepAction, key: Secret = KEY) -> None:
        self.members.carry_out(actions, VolumeKeys(key, "cloud") if self.design.encrypted else None)

    def effects(self, *actions: UpkeepAction) -> list[str]:
        """What these changed."""
        self.world.forget_effects()
        self.do(*actions)
        return self.world.effects

    def of(self, volume: Volume) -> Member:
        """Its member now."""
        return next(each for each in self.pool.status().members if each.name == volume.mapping)

    def ready(self, old: Volume) -> tuple[Volume, ReplaceMember]:
        """A new volume, open, and what replaces the old one by it."""
        new = newcomer(self.world, old)
        self.do(FormatVolume(new, Holding.BLANK), OpenVolume(new))
        return new, ReplaceMember(self.of(old), new, f"/dev/mapper/{new.mapping}")

    @property
    def states(self) -> list[str]:
        """Every member with what it is."""
        return [
            f"{each.place} g{each.generation} {each.state}"
            + (" replacing" if each.replacing else "")
            + (" resilvering" if each.resilvering else "")
            for each in self.pool.status().members
        ]


@pytest.fixture
def there(tmp_path: Path) -> There:
    return There(tmp_path / "world")


def test_a_member_is_replaced_while_the_old_one_stays(there: There) -> None:
    there.world.hold_scans()
    new, replacing = there.ready(there.volumes[0])
    for effects in (["replace /dev/mapper/cloud-v1s1-g1 /dev/mapper/cloud-v1s1-g2"], []):
        assert there.effects(replacing) == effects
        assert there.states == ["v1s1 g1 ONLINE replacing", "v1s1 g2 ONLINE replacing resilvering", "v1s2 g1 ONLINE"]
    assert there.pool.status().resilvering
    there.world.end_scans()
    assert there.states == ["v1s1 g2 ONLINE", "v1s2 g1 ONLINE"]
    assert not there.pool.status().resilvering
    for effects in (["close cloud-v1s1-g1"], []):
        assert there.effects(CloseVolume(there.volumes[0])) == effects
    assert there.world.mappings == [new.mapping, "cloud-v1s2-g1"]


def test_several_replacements_are_one_execution_and_one_resilver(tmp_path: Path) -> None:
    there = There(tmp_path / "world", SIX)
    there.world.hold_scans()
    replacing = [there.ready(there.volumes[number])[1] for number in (0, 3)]
    there.world.host.commands.clear()
    effects = there.effects(*replacing)
    assert [effect.partition(" ")[0] for effect in effects] == ["replace", "replace", "resilver"]
    assert len(there.world.host.commands) == 1
    there.world.end_scans()
    assert [state for state in there.states if "g2" in state] == ["v1s1 g2 ONLINE", "v2s1 g2 ONLINE"]


def test_a_replacement_that_failed_is_given_up(there: There) -> None:
    there.world.hold_scans()
    new, replacing = there.ready(there.volumes[0])
    there.do(replacing)
    there.world.fail(new)
    failed = there.of(new)
    assert there.effects(DropMember(failed), CloseVolume(new)) == [
        "detach /dev/mapper/cloud-v1s1-g2",
        "close cloud-v1s1-g2",
    ]
    assert there.effects(DropMember(failed), CloseVolume(new)) == []
    assert there.states == ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]


def test_a_member_that_is_in_use_is_not_closed(there: There) -> None:
    with pytest.raises(CommandFailed, match="still in use"):
        there.do(CloseVolume(there.volumes[0]))


def test_a_member_leaves_before_its_successor_comes(there: There) -> None:
    old = there.of(there.volumes[0])
    assert there.effects(OfflineMember(old), CloseVolume(there.volumes[0])) == [
        "offline /dev/mapper/cloud-v1s1-g1",
        "close cloud-v1s1-g1",
    ]
    assert there.effects(OfflineMember(old), CloseVolume(there.volumes[0])) == []
    assert there.states == ["v1s1 g1 OFFLINE", "v1s2 g1 ONLINE"]


def test_a_member_that_cannot_be_spared_stays_online(there: There) -> None:
    there.world.fail(there.volumes[1])
    with pytest.raises(CommandFailed, match="no valid replicas"):
        there.do(OfflineMember(there.of(there.volumes[0])))
    assert there.world.mappings == ["cloud-v1s1-g1", "cloud-v1s2-g1"]


def test_scrubs(there: There) -> None:
    there.world.hold_scans()
    assert there.effects(ClearErrors(), StartScan()) == ["clear cloud", "scrub: scrub"]
    assert there.effects(StartScan()) == []
    scan = there.pool.status().scan
    assert scan
    assert (scan.function, scan.state, scan.seconds_left) == (ScanFunction.SCRUB, ScanState.RUNNING, 77)
    for _ in range(2):
        there.members.pause_scrub()
        scan = there.pool.status().scan
        assert scan
        assert scan.state is ScanState.PAUSED
    assert there.effects(StartScan()) == ["scrub: scrub"]
    there.world.end_scans()
    assert there.pool.status().last_clean_scrub == datetime(2026, 11, 23, 22, 46, 28, tzinfo=UTC)
    there.do(NoteScrub(NOON))
    assert there.pool.status().last_clean_scrub == NOON


def test_a_vdev_is_added(tmp_path: Path) -> None:
    there = There(tmp_path / "world")
    more = attached(there.world, Layout(Redundancy.MIRROR, 2, 2, 1))[2:]
    paths = tuple(f"/dev/mapper/{each.mapping}" for each in more)
    there.do(*(FormatVolume(each, Holding.BLANK) for each in more), *map(OpenVolume, more))
    added = AddVdev("mirror", tuple(more), paths)
    assert there.effects(added, StartScan()) == ["add mirror-1", "scrub: scrub"]
    assert there.effects(added) == []
    assert [vdev.name for vdev in there.pool.status().vdevs] == ["mirror-0", "mirror-1"]
    assert all(vdev.size for vdev in there.pool.status().vdevs)


def test_a_volume_that_came_back_is_opened_anew_and_resilvered(there: There) -> None:
    old = there.volumes[0]
    there.world.put_back(old)
    back = ReopenMember(there.of(old), old)
    assert there.effects(back) == [
        "offline /dev/mapper/cloud-v1s1-g1",
        "close cloud-v1s1-g1",
        "open cloud-v1s1-g1",
        "online /dev/mapper/cloud-v1s1-g1",
    ]
    assert there.effects(back) == []
    assert there.states == ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]


def test_a_member_that_was_given_up_is_tried_again_where_it_is(there: There) -> None:
    there.world.fail(there.volumes[0])
    there.do(ReopenMember(there.of(there.volumes[0]), there.volumes[0]))
    assert there.states == ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]
    assert "warning: device '/dev/mapper/cloud-v1s1-g1' onlined, but remains in faulted state" in there.heard.lines


def test_a_member_goes_by_its_number_when_its_device_is_gone(there: There) -> None:
    there.world.close(there.volumes[0].mapping)
    gone = there.pool.status().members[0]
    assert gone.guid
    assert there.effects(ReopenMember(gone, there.volumes[0])) == ["open cloud-v1s1-g1"]
    assert there.states == ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]


@pytest.mark.parametrize(
    ("disturb", "told"),
    [
        (lambda there: there.world.pull(there.volumes[0]), "does not show."),
        (lambda there: there.world.wipe(there.volumes[0].serial), "could not be opened."),
    ],
    ids=["absent", "dead"],
)
def test_a_volume_that_does_not_come_back_is_told_of_and_the_others_do(
    there: There, disturb: Callable[[There], None], told: str
) -> None:
    one, two = there.volumes
    for each in there.volumes:
        there.world.close(each.mapping)
    gone = there.pool.status().members
    disturb(there)
    there.do(ReopenMember(gone[0], one), ReopenMember(gone[1], two))
    assert there.heard.lines[-1].endswith(told)
    assert there.states == ["v1s1 g1 UNAVAIL", "v1s2 g1 ONLINE"]


def test_a_wrong_key_brings_nothing_back(there: There) -> None:
    there.world.close(there.volumes[0].mapping)
    gone = there.pool.status().members[0]
    with pytest.raises(WrongPoolKey, match="does not open cloud-v1s1-g1 on receiver"):
        there.do(ReopenMember(gone, there.volumes[0]), key=WRONG)


def test_what_is_left_of_a_volume_stays_in_use_where_none_can_be_spared(there: There) -> None:
    there.world.fail(there.volumes[1])
    there.world.put_back(there.volumes[0])
    with pytest.raises(CommandFailed, match=r"(?s)no valid replicas.*cloud-v1s1-g1 is open on a device that is gone"):
        there.do(ReopenMember(there.of(there.volumes[0]), there.volumes[0]))


def grown(there: There, *numbers: int, size_gib: int = 2) -> tuple[Volume, ...]:
    """All volumes, of which some have more GiB now."""
    for number in numbers:
        there.world.volumes.modify(there.volumes[number], size_gib, "gp3")
    return tuple(there.world.volumes.volumes())


@pytest.mark.parametrize("layout", [PAIR, SIX, Layout(Redundancy.RAIDZ2, 1, 4, 1)], ids=str)
def test_volumes_that_grew_are_used_in_one_execution(tmp_path: Path, layout: Layout) -> None:
    there = There(tmp_path / "world", layout)
    before = [vdev.size for vdev in there.pool.status().vdevs]
    volumes = grown(there, *range(layout.volumes))
    there.world.host.commands.clear()
    for _ in range(2):
        there.do(ExpandMembers(volumes))
    assert len(there.world.host.commands) == 2
    after = there.pool.status().vdevs
    assert all(vdev.size > 1.9 * size and not vdev.expandable for vdev, size in zip(after, before, strict=True))


def test_a_vdev_of_which_one_volume_did_not_grow_keeps_its_size(there: There) -> None:
    there.do(ExpandMembers(grown(there, 0)))
    assert there.pool.status().vdevs[0].size < GIB


def test_a_size_that_does_not_show_is_told(there: There) -> None:
    larger = replace(there.volumes[0], size_gib=2)
    with pytest.raises(CommandFailed, match=r"cloud-v1s1-g1 \(vol\w+\) shows 1073741824 bytes, not 2147483648"):
        there.do(ExpandMembers((larger, there.volumes[1])))


def test_growing_needs_the_right_key(there: There) -> None:
    volumes = grown(there, 0, 1)
    with pytest.raises(WrongPoolKey, match="cloud-v1s1-g1"):
        there.do(ExpandMembers(volumes), key=WRONG)


def test_a_vdev_that_did_not_grow_is_told_of(there: There, monkeypatch: pytest.MonkeyPatch) -> None:
    volumes = tuple(replace(each, size_gib=1) for each in grown(there, 0, 1))
    monkeypatch.setattr("ec2zfs.execute.members._LEAST_SHARE", 4)
    with pytest.raises(Ec2zfsError, match=r"Vdev mirror-0 of pool cloud did not grow: it has \d+ bytes"):
        there.do(ExpandMembers(volumes))


def test_the_keys_are_in_no_argument(there: There) -> None:
    there.world.put_back(there.volumes[0])
    there.do(ReopenMember(there.of(there.volumes[0]), there.volumes[0]), ExpandMembers(tuple(there.volumes)))
    for command in there.world.host.commands:
        if isinstance(command.stdin, Secret):
            key = command.stdin.reveal()
            words = " ".join(command.argv).encode()
            assert not any(key[at : at + 8] in words for at in range(len(key) - 8))


def test_without_encryption_whole_disks_go_by_their_own_names(tmp_path: Path) -> None:
    there = There(tmp_path / "world", encrypted=False)
    one, _ = there.pool.status().members
    there.do(StartScan(), NoteScrub(NOON), ClearErrors())
    assert there.effects(OfflineMember(replace(one, path=f"{one.path}-part1"))) == [f"offline {one.path}"]
    assert there.effects(ReopenMember(one, there.volumes[0])) == [f"online {one.path}"]
    there.do(ExpandMembers(grown(there, 0, 1)))
    assert there.pool.status().vdevs[0].size == 2 * GIB


@pytest.mark.parametrize("action", [AwaitScan(ScanFunction.SCRUB), DetachVolume(volume("v1s1"))])
def test_what_is_not_the_receivers_is_a_bug_and_nothing_is_done(there: There, action: UpkeepAction) -> None:
    with pytest.raises(TypeError, match="not the receiver's to do"):
        there.do(StartScan(), action)
    assert there.world.host.commands == []


def test_only_our_pool_is_worked_on(there: There) -> None:
    there.pool.lock()
    with pytest.raises(CommandFailed, match="Pool cloud is not imported"):
        there.do(StartScan())
    there.world.import_other("cloud")
    for action in (StartScan(), ReopenMember(Member("/dev/sdx", DeviceState.OFFLINE), there.volumes[0])):
        with pytest.raises(CommandFailed, match="A pool named cloud is imported that is none of ours"):
            there.do(action)
    with pytest.raises(CommandFailed, match="none of ours"):
        there.do(ExpandMembers(tuple(there.volumes)))


def test_what_is_done_is_said(there: There) -> None:
    there.do(ClearErrors(), StartScan())
    assert there.heard.lines == ["clear the error counters", "scrub the pool"]


Work = Callable[[There], None]


def replacement(there: There) -> None:
    """A new volume from its first byte to the end of the old one's mapping."""
    old = there.volumes[0]
    new = next((each for each in there.world.volumes.volumes() if each.generation == 2), None)
    new = new or newcomer(there.world, old)
    view = there.pool.observe([new])
    seen = view.volume(new.serial)
    assert seen
    formats: list[UpkeepAction] = [] if seen.keyslots else [FormatVolume(new, Holding.BEGUN)]
    member = Member(f"/dev/mapper/{old.mapping}", DeviceState.ONLINE)
    replaces = ReplaceMember(member, new, f"/dev/mapper/{new.mapping}")
    there.do(*formats, OpenVolume(new), replaces)
    assert not there.pool.status().resilvering
    there.do(CloseVolume(old), StartScan(), NoteScrub(NOON))


def comeback(there: There) -> None:
    """A volume that was pulled out is back."""
    path = f"/dev/mapper/{there.volumes[0].mapping}"
    there.do(ReopenMember(Member(path, DeviceState.ONLINE, place=Place(1, 1)), there.volumes[0]))


def enlargement(there: There) -> None:
    """Both volumes have more."""
    there.do(ExpandMembers(grown(there, 0, 1)))


@pytest.mark.parametrize(
    ("work", "count", "states"),
    [
        (replacement, 8, ["v1s1 g2 ONLINE", "v1s2 g1 ONLINE"]),
        (comeback, 4, ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]),
        (enlargement, 4, ["v1s1 g1 ONLINE", "v1s2 g1 ONLINE"]),
    ],
)
def test_killed_after_any_effect_and_done_again(tmp_path: Path, work: Work, count: int, states: list[str]) -> None:
    for effect in range(1, count + 1):
        there = There(tmp_path / str(effect))
        if work is comeback:
            there.world.put_back(there.volumes[0])
        there.world.kill_after(effect)
        with pytest.raises(CommandFailed, match="ended by signal 9"):
            work(there)
        there.world.kill_after(NEVER)
        work(there)
        assert there.states == states
        assert there.pool.status().healthy
        assert len(there.world.mappings) == 2
    if work is enlargement:
        assert there.pool.status().vdevs[0].size > 1.9 * GIB
