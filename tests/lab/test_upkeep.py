"""The life of a pool for real: it grows both ways, volumes fail, controllers and a receiver are killed, keys change.

One pool of 2 x raidz1 of 3 and one story, told by the tests in their order, since every start of a machine takes a
minute under emulation. A writer writes all the time, and files from before keep their checksums. After each run what is
seen must be what was foreseen.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.lab.machines import backing, during, state, until
from tests.lab.upkeep import Operator, a_pool

from ec2zfs.cloud.tags import GENERATION, as_values
from ec2zfs.errors import ExitCode
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.plan.growth import Strategy, plan_growth
from ec2zfs.plan.repair import Mending, plan_repair
from ec2zfs.plan.replacement import Caution, Want

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "living"
PLACES = 6
CAUTION = Caution(timedelta(days=7))
HALT = "echo {} >/sys/module/zfs/parameters/zfs_scan_suspend_progress"
"""Scans make no progress while it is 1: so a resilver is met that has not ended."""
GROW = "pool grow --size 2 --by replacement"
LUKS = b"LUKS\xba\xbe"


@pytest.fixture(scope="module")
def operator(lab: LabDescription, ec2: EC2Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """Has a pool that is open, with data in it and a writer at work. What was made is gone after the tests."""
    with a_pool(lab, ec2, tmp_path_factory.mktemp("upkeep"), POOL) as operator:
        yield operator


@pytest.fixture(autouse=True)
def nothing_is_lost(operator: Operator) -> Iterator[None]:
    """After each test the data is whole, the writer writes, and every current volume is a member of the pool."""
    yield
    operator.require_data()
    seen = operator.observes()
    members = {(place, generation) for _, vdev in seen.members for place, generation, _ in vdev}
    assert members == {(place, generation) for place, generation, _, _ in seen.volumes}


def grown(size: int) -> Want:
    return Want(size, "gp3", "us-east-1a")


def formatted(operator: Operator) -> int:
    """How many volumes of the second generation bear a LUKS header at this moment."""
    return sum(begins(backing(operator.lab, each["VolumeId"])) == LUKS for each in operator.current(2))


def begins(file: Path) -> bytes:
    """Its first bytes alone: this is asked ten times a second of files of gibibytes."""
    try:
        with file.open("rb", buffering=0) as volume:
            return volume.read(len(LUKS))
    except FileNotFoundError:
        return b""


def test_quotas_and_a_wrong_key_change_nothing(operator: Operator, client: LabClient, tmp_path: Path) -> None:
    before = operator.observes()
    with during(client, Fault(FaultKind.FAIL, "CreateVolume", "VolumeLimitExceeded", times=None)):
        said = operator.types(GROW, ExitCode.CLOUD)
    assert "maximum volume limit" in said
    assert operator.observes() == before
    wrong = tmp_path / "key"
    wrong.write_text("a key that opens some other pool, not this\n")
    operator.changes(f"{operator.lab.directory}/pool_key", str(wrong))
    try:
        assert "does not open living-v1s1-g1" in operator.types(GROW, ExitCode.POOL_KEY)
    finally:
        operator.changes(str(wrong), f"{operator.lab.directory}/pool_key")
    assert operator.observes() == before


def test_growth_by_replacement_is_killed_in_every_phase_and_its_receiver_dies(
    operator: Operator, client: LabClient, ec2: EC2Client
) -> None:
    foreseen = operator.foresees(partial(plan_growth, grown(2), Strategy.REPLACEMENT, CAUTION))
    with during(client, Fault(FaultKind.DELAY, "CreateVolume", seconds=20.0, skip=1, times=None)):
        operator.is_killed(GROW, lambda: len(operator.volumes) > PLACES)
    operator.is_killed(GROW, lambda: formatted(operator))
    until(lambda: len(operator.current(2)) == 2)  # EC2 makes the second one too, long after its asker was killed.

    operator.does(HALT.format(1))
    operator.is_killed(GROW, lambda: operator.sees("replacing-") and operator.sees("resilver in progress"))
    dead = operator.receiver
    client.strike("kill-machine", dead)
    until(lambda: state(ec2, dead) in ("stopped", "terminated"))
    ec2.terminate_instances(InstanceIds=[dead])
    for command in ("instance create", "pool unlock"):
        operator.types(command)
    assert operator.receiver != dead
    operator.writes()

    with during(client, Fault(FaultKind.DELAY, "DetachVolume", seconds=20.0, times=None)):
        operator.is_killed(GROW, lambda: f"{POOL}-v1s1-g1" not in operator.does("dmsetup ls"))
    with during(client, Fault(FaultKind.FAIL, "CreateTags", "RequestLimitExceeded", times=None)):
        operator.is_killed(GROW, lambda: any(not each["Attachments"] for each in operator.current(1)))
    said = operator.types(GROW)
    assert "growth complete" in said.lower()
    assert {as_values(each["Tags"])[GENERATION] for each in operator.current()} == {"2"}
    assert len(operator.volumes) == 2 * PLACES, "one new volume for each place, and no other"
    assert operator.observes() == foreseen
    assert len(rounds_of(operator)) >= 2, "each round stands in the report"


def rounds_of(operator: Operator) -> list[dict[str, str]]:
    """The rounds in the newest report, each with its start and its end."""
    newest = max((operator.settings.parent / "state" / "reports").iterdir())
    stages = json.loads(newest.read_text())["stages"]
    rounds = [stage for stage in stages if stage["name"].startswith("round ")]
    assert all(stage["started"] <= stage["ended"] for stage in rounds)
    return rounds


def test_the_pool_has_grown_and_what_it_was_made_of_is_kept(operator: Operator) -> None:
    shown = [json.loads(line) for line in operator.types("pool status --json").splitlines()]
    events = {each["event"]: each for each in shown}
    assert len(events["members"]["rows"]) == PLACES
    assert {row["generation"] for row in events["members"]["rows"]} == {2}
    assert len(events["kept"]["rows"]) == PLACES
    assert all(not each["Attachments"] for each in operator.volumes if each not in operator.current())
    size = int(operator.does("zpool list -Hpo size {pool}"))
    assert size > 0.85 * PLACES * 2 * 2**30


def test_growth_in_place_resilvers_nothing(operator: Operator) -> None:
    foreseen = operator.foresees(partial(plan_growth, grown(3), None, CAUTION))
    before = operator.does("zpool events -H | grep -c resilver_start || true")
    size = int(operator.does("zpool list -Hpo size {pool}"))
    with operator.starts("pool grow --size 3") as controller:
        until(lambda: any(each["Size"] == 3 for each in operator.volumes) or controller.poll() is not None, pause=0.1)
        controller.kill()
    assert "way" not in operator.types("pool grow --size 3")
    assert {each["Size"] for each in operator.current()} == {3}
    assert int(operator.does("zpool list -Hpo size {pool}")) > size + 0.8 * PLACES * 2**30
    assert operator.does("zpool events -H | grep -c resilver_start || true") == before
    assert operator.observes() == foreseen
    operator.changes("size_gib = 1", "size_gib = 3")


def test_a_volume_that_was_pulled_out_comes_back(operator: Operator, ec2: EC2Client) -> None:
    pulled, before = operator.at(1, 2), operator.observes()
    ec2.detach_volume(VolumeId=pulled, Force=True)
    until(lambda: operator.sees("FAULTED") or operator.sees("REMOVED"))
    assert "v1s2" in operator.types("pool status")
    operator.types("pool repair")
    assert operator.at(1, 2) == pulled
    assert operator.observes() == before


def test_a_replacement_meets_a_broken_volume_an_attachment_that_hangs_and_throttling(
    operator: Operator, client: LabClient
) -> None:
    old = operator.names["VOLUME"] = operator.at(2, 3)
    with during(client, Fault(FaultKind.VOLUME_ERROR, "*")):
        assert "state error" in operator.types("pool repair --replace VOLUME", ExitCode.CLOUD)
    foreseen = operator.foresees(
        partial(plan_repair, grown(3), caution=CAUTION, mending=Mending(condemned=frozenset([old])))
    )
    with during(client, Fault(FaultKind.HANG_ATTACH, "*")):
        client.add(Fault(FaultKind.FAIL, "*", "RequestLimitExceeded", times=None, share=0.3))
        operator.types("pool repair --replace VOLUME")
    assert operator.at(2, 3) != old
    assert operator.observes() == foreseen


def test_not_enough_attachments_are_told_and_the_command_finishes_later(operator: Operator, client: LabClient) -> None:
    operator.names["VOLUME"] = operator.at(2, 1)
    with during(client, Fault(FaultKind.FAIL, "AttachVolume", "AttachmentLimitExceeded", times=None)):
        assert "ttachment" in operator.types("pool repair --replace VOLUME", ExitCode.CLOUD)
    operator.types("pool repair --replace VOLUME")
    assert operator.at(2, 1) != operator.names["VOLUME"]


def test_a_scrub_rests_and_goes_on_after_a_restart(operator: Operator) -> None:
    operator.does(HALT.format(1))
    operator.types("pool scrub")
    operator.types("pool scrub --pause")
    assert operator.sees("scrub paused")
    operator.does("systemctl stop writer; umount /mnt/{pool}-data")
    operator.types("pool lock")
    operator.does(HALT.format(0))
    operator.types("pool unlock")
    assert operator.sees("scrub paused")
    operator.writes()
    assert "0 errors" in operator.types("pool scrub --wait")


def test_the_pool_key_changes_though_its_controller_is_killed(operator: Operator, tmp_path: Path) -> None:
    key = tmp_path / "new_key"
    key.write_text("the new key of the pool, long enough to be one\n")
    text = operator.settings.read_text()
    new = f'\n[new_pool_key]\nfrom = "command"\ncommand = ["cat", "{key}"]\n'
    operator.settings.write_text(text + new)
    operator.is_killed("pool rekey", lambda: "add the new key" in operator.log.read_text())
    operator.types("pool rekey")
    operator.settings.write_text(text.replace(f"{operator.lab.directory}/pool_key", str(key)))
    operator.types("pool unlock")
    operator.settings.write_text(text)
    assert "does not open" in operator.types("pool unlock", ExitCode.POOL_KEY)
    operator.settings.write_text(text.replace(f"{operator.lab.directory}/pool_key", str(key)))


def test_a_second_failure_in_a_round_takes_nothing_away_and_fresh_volumes_come_later(
    operator: Operator, ec2: EC2Client, tmp_path: Path
) -> None:
    """`pool rekey --replace` meets it: the old volumes of the round are attached still, and the pool is whole."""
    key, text = tmp_path / "new_key", operator.settings.read_text()
    key.write_text("the third key of the pool, which fresh volumes are made with\n")
    operator.settings.write_text(f'{text}\n[new_pool_key]\nfrom = "command"\ncommand = ["cat", "{key}"]\n')
    before = {each["VolumeId"] for each in operator.current()}
    second = operator.at(1, 3)
    operator.does(HALT.format(1))
    said = operator.meets(
        "pool rekey --replace",
        lambda: operator.sees("replacing-") and operator.sees("resilver in progress"),
        lambda: ec2.detach_volume(VolumeId=second, Force=True),
        ExitCode.POOL_UNWELL,
    )
    assert "Nothing was taken away" in said
    assert "v1s3" in said
    assert before < {each["VolumeId"] for each in operator.current()}
    assert before - {second} == {each["VolumeId"] for each in operator.current() if each["Attachments"]} & before
    operator.require_data()

    operator.does(HALT.format(0))
    operator.types("pool repair")
    assert operator.at(1, 3) == second
    operator.types("pool rekey --replace")
    assert not before & {each["VolumeId"] for each in operator.current()}
    operator.settings.write_text(text.replace(re.findall(r'"cat", "(.*)"', text)[0], str(key)))


def test_one_more_vdev_comes_whole(operator: Operator, client: LabClient) -> None:
    operator.changes("vdevs = 2", "vdevs = 3")
    with during(client, Fault(FaultKind.DELAY, "AttachVolume", seconds=10.0, skip=1, times=None)):
        operator.is_killed("pool add-vdev", lambda: any(not each["Attachments"] for each in operator.current(1)))
    operator.types("pool add-vdev")
    assert len(operator.current()) == PLACES + 3
    assert "raidz1-2" in operator.does("zpool status {pool}")


def test_what_was_kept_long_enough_is_deleted_and_no_more(operator: Operator) -> None:
    operator.settings.write_text(operator.settings.read_text() + "\n[upkeep]\ngrace_days = 0\n")
    current = {each["VolumeId"] for each in operator.current()}
    assert len(operator.volumes) > len(current)
    operator.types("pool repair")
    assert {each["VolumeId"] for each in operator.volumes} == current
