"""The cloud pool on an imagined receiver: our real scripts, in every odd state that a receiver can be in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.fakes.day import Listener
from tests.fakes.pools import PAIR, SIX, design, instance, instance_type, wish
from tests.fakes.world import World, attached, newcomer

from ec2zfs.errors import AlreadyRunning, CommandFailed, Refused, WrongPoolKey
from ec2zfs.execute import members, opening, pool
from ec2zfs.execute.pool import CloudPool
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.contents import OpenMapping
from ec2zfs.model.layout import GIB, Layout, Redundancy
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.volume import Retirement, Volume, VolumeState
from ec2zfs.plan.pool import FormatVolume, Holding, plan_pool
from ec2zfs.plan.volumes import plan_creation
from ec2zfs.tools import volume_keys
from ec2zfs.tools.hostid import host_id
from ec2zfs.tools.scripts import BUSY
from ec2zfs.tools.volume_keys import VolumeKeys

KEY = Secret(b"the key that opens the pool, and no other")
WRONG = Secret(b"a key that was right for another pool, once")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)
    return World(tmp_path / "world")


@pytest.fixture
def volumes(world: World) -> list[Volume]:
    return attached(world, PAIR)


@pytest.fixture
def heard() -> Listener:
    return Listener()


@pytest.fixture
def made(world: World, volumes: list[Volume]) -> CloudPool:
    """A pool that was made and locked; the commands and effects so far are forgotten."""
    cloud = CloudPool(world.host, design(PAIR))
    cloud.create(KEY, volumes)
    cloud.lock()
    world.host.commands.clear()
    world.forget_effects()
    return cloud


def test_create_makes_the_pool_of_the_layout(world: World) -> None:
    cloud = CloudPool(world.host, design(SIX))
    status = cloud.create(KEY, attached(world, SIX))
    assert [[str(member.place) for member in vdev.members] for vdev in status.vdevs] == [
        ["v1s1", "v1s2", "v1s3"],
        ["v2s1", "v2s2", "v2s3"],
    ]
    assert status.healthy
    assert cloud.create(KEY, world.volumes.volumes()) == status
    assert world.pools == ["cloud"]


def test_unlock_and_lock_are_one_execution_each_for_forty_volumes(world: World) -> None:
    forty = Layout(Redundancy.RAIDZ1, 5, 8, 1)
    volumes = attached(world, forty)
    cloud = CloudPool(world.host, design(forty))
    cloud.create(KEY, volumes)
    for work, commands, mappings in ((cloud.lock, 1, 0), (lambda: cloud.unlock(KEY, volumes), 1, 40)):
        world.host.commands.clear()
        work()
        assert (len(world.host.commands), len(world.mappings)) == (commands, mappings)


def test_unlock_and_lock_twice_are_fine(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    for _ in range(2):
        made.unlock(KEY, volumes)
        assert (world.mappings, world.imported) == (["cloud-v1s1-g1", "cloud-v1s2-g1"], ["cloud"])
    assert made.status().state is DeviceState.ONLINE
    for _ in range(2):
        made.lock()
        assert (world.mappings, world.imported) == ([], [])
    assert made.found() is None
    with pytest.raises(Refused, match="Pool cloud is not imported on receiver"):
        made.status()


def test_the_key_is_in_no_argument(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    (command,) = world.host.commands
    assert isinstance(command.stdin, Secret)
    assert len(command.stdin) == 64 * 4  # for each volume one to test and one to open it
    words = " ".join(command.argv).encode()
    assert KEY.reveal() not in words
    assert not any(command.stdin.reveal()[at : at + 8] in words for at in range(len(command.stdin) - 8))


def test_a_wrong_key_opens_and_changes_nothing(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    with pytest.raises(WrongPoolKey, match="does not open cloud-v1s1-g1 on receiver; nothing was opened"):
        made.unlock(WRONG, volumes)
    with pytest.raises(WrongPoolKey):
        made.create(WRONG, volumes)
    assert (world.effects, world.mappings, world.imported) == ([], [], [])


def test_a_wrong_key_formats_nothing(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    world.wipe(volumes[1].serial)
    world.forget_effects()
    with pytest.raises(WrongPoolKey):
        made.create(WRONG, volumes)
    assert world.effects == []


def test_a_key_that_opens_only_the_first_leaves_nothing_open(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    world.change_key(volumes[1].serial)
    with pytest.raises(WrongPoolKey, match="cloud-v1s2-g1"):
        made.unlock(KEY, volumes)
    assert (world.mappings, world.imported) == ([], [])


def test_what_was_open_before_a_failure_stays_open(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    world.close(volumes[1].mapping)
    world.change_key(volumes[1].serial)
    with pytest.raises(WrongPoolKey):
        made.unlock(KEY, volumes)
    assert world.mappings == ["cloud-v1s1-g1"]


def test_a_missing_volume_is_refused_unless_accepted(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    with pytest.raises(
        Refused, match=r"open with less redundancy, without v1s1; nothing was left open\. Bring it to .*"
    ):
        made.unlock(KEY, volumes[1:])
    world.pull(volumes[0])
    with pytest.raises(Refused, match=r"cloud-v1s1-g1 \(vol\w+\) does not show on receiver"):
        made.unlock(KEY, volumes)
    assert (world.mappings, world.imported) == ([], [])
    made.unlock(KEY, volumes, accept_degraded=True)
    assert (world.mappings, world.imported) == (["cloud-v1s2-g1"], ["cloud"])


def test_less_redundancy_is_refused_though_every_volume_is_there(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    world.fail(volumes[0], "OFFLINE")
    with pytest.raises(Refused, match=r"would be open with less redundancy; nothing was left open\."):
        made.unlock(KEY, volumes)
    assert (world.mappings, world.imported) == ([], [])
    made.unlock(KEY, volumes, accept_degraded=True)
    assert world.imported == ["cloud"]


def test_what_zfs_gave_up_comes_back_at_the_import(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    world.fail(volumes[0], "REMOVED")
    made.unlock(KEY, volumes)
    assert world.imported == ["cloud"]


def test_with_volumes_missing_the_key_is_tested_on_those_that_are_there(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    world.pull(volumes[0])
    with pytest.raises(WrongPoolKey, match="cloud-v1s2-g1"):
        made.unlock(WRONG, volumes, accept_degraded=True)


def test_a_volume_that_was_pulled_out_and_came_back_is_opened_anew(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    world.reboot()
    world.leave_open(volumes[0], stale=True)
    world.forget_effects()
    made.unlock(KEY, volumes)
    assert world.effects[:3] == ["close cloud-v1s1-g1", "open cloud-v1s1-g1", "open cloud-v1s2-g1"]
    assert world.imported == ["cloud"]


@pytest.mark.parametrize(
    "disturb",
    [
        lambda world, volumes: world.close(volumes[0].mapping),
        lambda world, _: world.forget_import(),
        lambda world, volumes: (world.forget_import(), world.close(volumes[1].mapping)),
        lambda world, volumes: world.leave_open(volumes[0], mapping="cloud-v1s1-g2"),
        lambda world, _: world.let("busy"),
    ],
    ids=["one closed", "exported but open", "half open", "an older volume open", "busy until forced"],
)
def test_lock_in_odd_states(
    disturb: Callable[[World, list[Volume]], object], world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    disturb(world, volumes)
    world.host.commands.clear()
    made.lock()
    assert (world.mappings, world.imported, len(world.host.commands)) == ([], [], 1)


def test_lock_leaves_what_is_not_ours(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    world.leave_open(volumes[0], mapping="cloudy-v1s1-g1")
    world.leave_open(volumes[1], mapping="swap")
    made.lock()
    assert world.mappings == ["cloudy-v1s1-g1", "swap"]


def test_lock_says_when_a_suspended_pool_cannot_be_locked(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    world.let("suspended")
    with pytest.raises(CommandFailed) as failed:
        made.lock()
    said = str(failed.value)
    assert "Pool cloud is suspended: too many of its volumes are gone" in said
    assert "imported SUSPENDED, open cloud-v1s1-g1, open cloud-v1s2-g1" in said
    assert "The key is still in the receiver's memory: stop the receiver" in said


def test_lock_recovers_a_suspended_pool_whose_volumes_came_back(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    world.let("suspended", "until cleared")
    made.lock()
    assert (world.mappings, world.imported) == ([], [])


def test_unlock_resumes_a_suspended_pool_whose_volumes_came_back(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    world.close(volumes[0].mapping)
    world.let("suspended", "until cleared")
    made.unlock(KEY, volumes)
    made.lock()
    assert (world.mappings, world.imported) == ([], [])


def test_unlock_says_when_a_pool_stays_suspended(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    world.let("suspended")
    with pytest.raises(CommandFailed, match="Pool cloud is suspended"):
        made.unlock(KEY, volumes)


def test_a_receiver_that_died_needs_no_force(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    world.reboot()
    made.unlock(KEY, [replace(volume, attachment=None) for volume in volumes])
    assert world.imported == ["cloud"]


def test_a_pool_of_another_machine_is_imported_only_when_ec2_proves_that_it_is_ours(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    world.reboot()
    world.last_used_by("deadbeef")
    with pytest.raises(CommandFailed, match=r"(?s)previously in use from another system.*was not imported"):
        made.unlock(KEY, [replace(volume, attachment=None) for volume in volumes])
    assert world.mappings == []
    made.unlock(KEY, volumes)
    assert world.imported == ["cloud"]
    assert host_id("cloud") in " ".join(world.host.commands[-1].argv)


def test_a_pool_of_another_machine_is_imported_without_what_ec2_lost(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    made.unlock(KEY, volumes)
    world.reboot()
    world.last_used_by("deadbeef")
    lost = replace(volumes[0], state=VolumeState.ERROR, attachment=None)
    away = replace(volumes[0], state=VolumeState.AVAILABLE, attachment=None)
    for left in ([lost, volumes[1]], [away, volumes[1]]):
        made.unlock(KEY, left, accept_degraded=True)
        assert world.imported == ["cloud"]
        made.lock()
        world.last_used_by("deadbeef")


def test_a_volume_that_is_not_formatted_yet_is_passed_over(
    world: World, made: CloudPool, volumes: list[Volume], heard: Listener
) -> None:
    new = newcomer(world, volumes[0])
    made = CloudPool(world.host, design(PAIR), heard)
    for _ in range(2):
        made.unlock(KEY, [*volumes, new])
        assert (world.mappings, world.imported) == (["cloud-v1s1-g1", "cloud-v1s2-g1"], ["cloud"])
        assert heard.said[-1] == (
            f"cloud-v1s1-g2 ({new.id}) was left out: it bears no LUKS2 header of ours, being new yet, or dead."
        )
    made.lock()
    members.Members(world.host, design(PAIR)).carry_out([FormatVolume(new, Holding.BLANK)], VolumeKeys(KEY, "cloud"))
    made.unlock(KEY, [*volumes, new])
    assert (world.mappings, world.imported) == (["cloud-v1s1-g1", "cloud-v1s1-g2", "cloud-v1s2-g1"], ["cloud"])


def test_a_volume_that_left_the_pool_is_not_opened(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    left = replace(volumes[0], retirement=Retirement())
    made.unlock(KEY, [left, volumes[1]], accept_degraded=True)
    assert world.mappings == ["cloud-v1s2-g1"]


@pytest.mark.usefixtures("made")
def test_a_vdev_that_is_yet_to_be_added_is_not_missing(world: World, volumes: list[Volume]) -> None:
    larger = design(replace(PAIR, vdevs=2))
    fleet = VolumeFleet(world.volumes)
    orders = plan_creation(wish(larger.layout), volumes)
    for order in orders:
        fleet.carry_out([order])
        CloudPool(world.host, larger).unlock(KEY, fleet.attached(instance(), instance_type(64)))
        assert (world.mappings, world.imported) == (["cloud-v1s1-g1", "cloud-v1s2-g1"], ["cloud"])
        CloudPool(world.host, larger).lock()
    assert len(orders) == 2


def test_a_volume_on_its_way_in_may_be_under_another_key(
    world: World, made: CloudPool, volumes: list[Volume], heard: Listener
) -> None:
    new = newcomer(world, volumes[0])
    members.Members(world.host, design(PAIR)).carry_out([FormatVolume(new, Holding.BLANK)], VolumeKeys(WRONG, "cloud"))
    for degraded in (False, True):
        CloudPool(world.host, design(PAIR), heard).unlock(KEY, [*volumes, new], accept_degraded=degraded)
        assert (world.mappings, world.imported) == (["cloud-v1s1-g1", "cloud-v1s2-g1"], ["cloud"])
        assert heard.said[-1] == (
            f"cloud-v1s1-g2 ({new.id}) was left out: it is on its way into the pool under another key; "
            "`ec2zfs pool rekey --replace` with both keys ends that."
        )
        made.lock()
    with pytest.raises(WrongPoolKey, match="does not open cloud-v1s1-g1 on receiver; nothing was opened"):
        made.unlock(WRONG, [*volumes, new], accept_degraded=True)
    assert (world.mappings, world.imported) == ([], [])


def test_a_key_that_opens_none_is_wrong_whatever_is_on_its_way(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    new = newcomer(world, volumes[0])
    members.Members(world.host, design(PAIR)).carry_out([FormatVolume(new, Holding.BLANK)], VolumeKeys(WRONG, "cloud"))
    for each in volumes:
        world.wipe(each.serial)
    with pytest.raises(WrongPoolKey, match="does not open cloud-v1s1-g2 on receiver; nothing was opened"):
        made.unlock(KEY, [*volumes, new], accept_degraded=True)
    assert (world.mappings, world.imported) == ([], [])


def test_a_dead_volume_is_passed_over_when_less_redundancy_is_accepted(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    world.wipe(volumes[0].serial)
    with pytest.raises(
        Refused, match=r"without v1s1; nothing was left open\. cloud-v1s1-g1 \(.*\) was left out: it bears"
    ):
        made.unlock(KEY, volumes)
    assert (world.mappings, world.imported) == ([], [])
    made.unlock(KEY, volumes, accept_degraded=True)
    assert (world.mappings, world.imported) == (["cloud-v1s2-g1"], ["cloud"])
    assert [str(member.state) for member in made.status().members] == ["UNAVAIL", "ONLINE"]


def test_a_volume_that_came_back_while_its_pool_is_imported_is_left_to_the_repair(
    world: World, made: CloudPool, volumes: list[Volume], heard: Listener
) -> None:
    made.unlock(KEY, volumes)
    world.put_back(volumes[0])
    CloudPool(world.host, design(PAIR), heard).unlock(KEY, volumes)
    assert heard.said[1].startswith(
        f"cloud-v1s1-g1 ({volumes[0].id}) was left out: it is open on a device that is gone"
    )
    assert [each.stale for each in made.look().opened] == [True, False]


def test_a_look_tells_of_mappings_and_vdevs(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    room = GIB - 16 * 2**20
    plain = [OpenMapping(volume.mapping, room, 2048 * 512) for volume in volumes]
    for view in (made.look(), made.observe(volumes)):
        assert list(view.opened) == plain
        assert view.imported
        assert [(vdev.size, vdev.expandable) for vdev in view.imported.vdevs] == [(room, 0)]
    assert list(made.look(detail=True).opened) == [replace(each, keyslots=(0,)) for each in plain]
    assert made.look().imported == made.status()


def test_zfs_notes_more_often_how_far_a_scan_has_come(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    made.unlock(KEY, volumes)
    assert (world.directory / "checkpoint_interval").read_text() == "300\n"


@pytest.mark.parametrize("what", ["ext4", "zfs_member", "gpt", ""])
def test_foreign_data_is_never_formatted(what: str, world: World, volumes: list[Volume]) -> None:
    world.put(volumes[1].serial, what)
    with pytest.raises(Refused, match="did not put there stands on v1s2"):
        CloudPool(world.host, design(PAIR)).create(KEY, volumes)
    assert world.effects == []


def test_the_script_looks_again_before_it_formats(world: World, volumes: list[Volume]) -> None:
    cloud = CloudPool(world.host, design(PAIR))
    view = cloud.observe(volumes)
    world.put(volumes[1].serial, "xfs")
    actions = plan_pool(design(PAIR), volumes, view)
    request = opening.Opening(design(PAIR), actions, tuple(volumes))
    with pytest.raises(Refused, match=r"cloud-v1s2-g1 \(/dev/vd\w\) holds something, and was not formatted"):
        opening.carry_out(world.host, request, VolumeKeys(KEY, "cloud"))
    assert not [effect for effect in world.effects if "cloud-v1s2-g1" in effect]


def test_a_pool_of_that_name_with_other_members_is_refused(world: World, volumes: list[Volume]) -> None:
    world.import_other("cloud")
    with pytest.raises(Refused, match=r"A pool named cloud .* is imported on the receiver, and its members are not"):
        CloudPool(world.host, design(PAIR)).create(KEY, volumes)
    assert world.effects == []


def test_a_strangers_pool_of_that_name_is_neither_exported_nor_used(
    world: World, made: CloudPool, volumes: list[Volume]
) -> None:
    world.import_other("cloud")
    with pytest.raises(CommandFailed, match="A pool named cloud is imported that is none of ours"):
        made.unlock(KEY, volumes)
    made.lock()
    assert (world.imported, world.mappings) == (["cloud"], [])


def test_another_pool_on_our_volumes_is_refused(world: World, made: CloudPool, volumes: list[Volume]) -> None:
    world.rename_pool("tank")
    with pytest.raises(Refused, match="hold these pools: tank"):
        made.create(KEY, volumes)
    assert world.pools == ["tank"]


def test_without_encryption_the_volumes_are_the_members(world: World, volumes: list[Volume]) -> None:
    bare = CloudPool(world.host, design(PAIR, encrypted=False))
    status = bare.create(None, volumes)
    assert [member.path for member in status.members] == ["/dev/vdc", "/dev/vdb"]
    bare.lock()
    assert world.imported == []
    for _ in range(2):
        bare.unlock(None, volumes)
        assert (world.imported, world.mappings) == (["cloud"], [])
    assert bare.create(None, volumes) == status


def test_an_encrypted_pool_needs_its_key(world: World, volumes: list[Volume]) -> None:
    with pytest.raises(Refused, match="its pool key is needed"):
        CloudPool(world.host, design(PAIR)).unlock(None, volumes)


def test_unlocking_what_was_never_formatted_says_so(world: World, volumes: list[Volume]) -> None:
    with pytest.raises(CommandFailed, match="No volume of pool cloud bears a LUKS2 header of ours"):
        CloudPool(world.host, design(PAIR)).unlock(KEY, volumes)


def test_a_pool_that_another_command_works_on_is_left_alone(volumes: list[Volume]) -> None:
    class Taken:
        name = "receiver"

        def run(self, command: Command) -> Result:
            assert command.argv[:4] == ("flock", "--close", "--wait", "180")
            return Result(BUSY, b"", b"")

    with pytest.raises(AlreadyRunning, match="another command still works on pool cloud"):
        CloudPool(Taken(), design(PAIR)).unlock(KEY, volumes)  # type: ignore[arg-type]
