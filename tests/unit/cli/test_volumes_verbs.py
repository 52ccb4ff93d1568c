"""`ec2zfs volumes` and `ec2zfs pool` against the local EC2 without machines: what they show, change and refuse."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.local_ec2 import IMAGE, OTHER_ZONE, REGION, ZONE, Served, launched, served

from ec2zfs.cli import main
from ec2zfs.cli.confirmation import confirm
from ec2zfs.cloud import patience, tags
from ec2zfs.cloud.session import Aws
from ec2zfs.errors import ExitCode, Refused
from ec2zfs.lab.faults import Fault, FaultKind

CONFIGURATION = """
[aws]
region = "{region}"
zone = "{zone}"
endpoint_url = "{endpoint}"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = {vdevs}
volumes_per_vdev = 3
[volumes]
type = "{type}"
size_gib = {size}
[receiver]
image = "{image}"
instance_type = "m7a.medium"
market = "on-demand"
allow_from = "203.0.113.9/32"
[site]
[[source]]
dataset = "tank"
[pool_key]
[paths]
state = "{state}"
"""


class QuickTime:
    """A clock on which waiting costs next to nothing, for cloud/patience.py."""

    def __init__(self) -> None:
        self._slept = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._slept

    def sleep(self, seconds: float) -> None:
        time.sleep(0.02)
        self._slept += seconds


class Command:
    """Runs `ec2zfs --json …` on a configuration, and keeps what it printed."""

    def __init__(self, cloud: Served, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.cloud = cloud
        self._file = directory / "ec2zfs.toml"
        self._state = directory / "state"
        self._capsys = capsys
        self.configure()

    def configure(self, *, zone: str = ZONE, vdevs: int = 1, kind: str = "gp3", size: int = 1) -> None:
        fixed = {"region": REGION, "endpoint": self.cloud.local.endpoint, "image": IMAGE, "state": self._state}
        self._file.write_text(CONFIGURATION.format(**fixed, zone=zone, vdevs=vdevs, type=kind, size=size))

    def __call__(self, *words: str) -> int:
        status = main(["--config", str(self._file), "--json", *words])
        printed = self._capsys.readouterr()
        self.events = [json.loads(line) for line in printed.out.splitlines()]
        self.error = printed.err
        return status

    def rows(self, event: str) -> list[dict[str, object]]:
        return [row for each in self.events if each["event"] == event for row in each["rows"]]

    def last(self) -> dict[str, object]:
        return dict(self.events[-1])

    @property
    def standing(self) -> int:
        """The volumes of the pool; EC2 still lists for a moment what is being deleted."""
        found = self.cloud.ec2.describe_volumes(Filters=[{"Name": "tag:ec2zfs:pool", "Values": ["cloud"]}])["Volumes"]
        return sum(each["State"] != "deleting" for each in found)

    @property
    def changes(self) -> list[str]:
        return [call for call in self.cloud.local.calls.counts() if not call.startswith("Describe")]


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    monkeypatch.setattr(patience, "time", QuickTime())
    with served() as cloud:
        monkeypatch.setattr(Aws, "ec2", lambda _: cloud.ec2)  # a client takes a third of a second to make
        yield Command(cloud, tmp_path, capsys)


def test_volumes_are_created_once_listed_and_deleted(command: Command) -> None:
    for _ in range(2):
        assert command("volumes", "create") == ExitCode.OK
        assert [row["place"] for row in command.rows("volumes")] == ["v1s1", "v1s2", "v1s3"]
        assert command.standing == 3
    assert command("volumes", "list") == ExitCode.OK
    assert {(row["GiB"], row["type"], row["zone"], row["state"]) for row in command.rows("volumes")} == {
        (1, "gp3", ZONE, "available")
    }
    assert command.last()["a_month"] == "$0.24"
    assert command("volumes", "delete", "--confirm", "clout") == ExitCode.REFUSED
    assert "'clout' is not cloud; nothing was done" in command.error
    assert command.standing == 3
    assert command("volumes", "delete", "--confirm", "cloud") == ExitCode.OK
    assert command.standing == 0
    assert command("volumes", "create") == ExitCode.OK
    assert command.standing == 3


def test_a_dry_run_shows_the_plan_and_its_price_and_changes_nothing(command: Command) -> None:
    command.configure(vdevs=2)
    assert command("volumes", "create", "--dry-run") == ExitCode.OK
    assert len(command.rows("actions")) == 6
    assert command.last()["a_month"] == "$0.48"
    assert command("pool", "create", "--dry-run") == ExitCode.OK
    actions = [str(row["action"]) for row in command.rows("actions")]
    assert [action.split()[0] for action in actions] == [
        *["create"] * 6,
        "run",
        "attach",
        *["format"] * 6,
        *["open"] * 6,
        "create",
        "lock",
    ]
    assert command.last()["a_month"] == "$0.48"
    assert str(command.last()["receiver"]).endswith("an hour at most")
    assert (command.changes, command.standing) == ([], 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"zone": OTHER_ZONE}, f"are in {ZONE}, not in {OTHER_ZONE}"),
        ({"size": 2}, "has 1 GiB of type gp3, where the configuration says 2 GiB of gp3"),
        ({"kind": "gp2"}, "where the configuration says 1 GiB of gp2"),
        ({"vdevs": 11}, "A pool of 33 volumes does not fit on a m7a.medium: it takes 30"),
    ],
    ids=["zone", "size", "type", "attachments"],
)
def test_what_contradicts_the_volumes_is_refused(command: Command, change: dict[str, object], words: str) -> None:
    assert command("volumes", "create") == ExitCode.OK
    command.cloud.local.calls.reset()
    command.configure(**change)  # type: ignore[arg-type]
    for verb in ("volumes", "pool"):
        assert command(verb, "create", *(["--dry-run"] if verb == "pool" else [])) == ExitCode.REFUSED
        assert words in command.error
    assert (command.changes, command.standing) == ([], 3)


def test_only_what_ec2_gave_up_is_deleted_as_failed(command: Command) -> None:
    command.cloud.local.faults.add(Fault(FaultKind.VOLUME_ERROR))
    assert command("volumes", "create") == ExitCode.CLOUD
    assert command("volumes", "create") == ExitCode.REFUSED
    assert "ec2zfs volumes delete --failed" in command.error
    assert command("volumes", "delete", "--failed", "--dry-run") == ExitCode.OK
    assert len(command.rows("actions")) == 1
    assert command("volumes", "delete", "--failed", "--confirm", "cloud") == ExitCode.OK
    assert command("volumes", "create") == ExitCode.OK
    assert {row["state"] for row in command.rows("volumes")} == {"available"}


def test_what_is_kept_and_what_grows_later_is_listed_and_deleted_with_all(command: Command) -> None:
    assert command("volumes", "create") == ExitCode.OK
    first, second, third = (str(row["volume"]) for row in command.rows("volumes"))
    for volume, tagged in (
        (first, {tags.RETIRED: "2026-11-25T02:17:00Z"}),
        (second, {tags.RETIRED: tags.UNPROVEN}),
        (third, {tags.GROW_TO: "2", tags.GROW_AFTER: "2026-11-26T02:17:00Z"}),
    ):
        command.cloud.ec2.create_tags(Resources=[volume], Tags=tags.as_tags(tagged))
    assert command("volumes", "list") == ExitCode.OK
    assert [(row["kept_since"], row["grows"]) for row in command.rows("volumes")] == [
        ("2026-11-25 02:17 UTC", ""),
        ("the pool was not healthy since", ""),
        ("", "to 2 GiB from 2026-11-26 02:17 UTC"),
    ]
    assert command("volumes", "delete", "--confirm", "cloud") == ExitCode.OK
    assert command.standing == 0


def test_a_volume_that_ec2_gave_up_is_detached(command: Command) -> None:
    assert command("volumes", "create") == ExitCode.OK
    machine = launched(command.cloud.ec2)
    ours = tags.as_tags({tags.POOL: "cloud", tags.ROLE: tags.ROLE_RECEIVER})
    command.cloud.ec2.create_tags(Resources=[machine], Tags=ours)
    broken = str(command.rows("volumes")[0]["volume"])
    command.cloud.ec2.attach_volume(VolumeId=broken, InstanceId=machine, Device="/dev/sdf")
    command.cloud.ec2.stop_instances(InstanceIds=[machine])
    waiter = command.cloud.ec2.get_waiter("instance_stopped")
    waiter.wait(InstanceIds=[machine], WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    command.cloud.local.marks.volume_status[broken] = "error"
    assert command("volumes", "detach") == ExitCode.OK
    row = command.rows("volumes")[0]
    assert (row["volume"], row["state"], row["attached_to"]) == (broken, "error", "")


def test_what_is_attached_is_not_deleted_until_it_is_detached(command: Command) -> None:
    assert command("volumes", "create") == ExitCode.OK
    machine = launched(command.cloud.ec2)
    for number, row in enumerate(command.rows("volumes")):
        device = f"/dev/sd{'fgh'[number]}"
        command.cloud.ec2.attach_volume(VolumeId=str(row["volume"]), InstanceId=machine, Device=device)
    assert command("volumes", "delete", "--confirm", "cloud") == ExitCode.REFUSED
    assert "3 of 3 volumes are attached, and were not deleted" in command.error
    assert command("volumes", "detach", "--dry-run") == ExitCode.OK
    assert len(command.rows("actions")) == 3
    assert command("volumes", "detach") == ExitCode.REFUSED
    assert f"{machine}, which is no receiver of this pool" in command.error
    ours = tags.as_tags({tags.POOL: "cloud", tags.ROLE: tags.ROLE_RECEIVER})
    command.cloud.ec2.create_tags(Resources=[machine], Tags=ours)
    command.cloud.ec2.stop_instances(InstanceIds=[machine])
    waiter = command.cloud.ec2.get_waiter("instance_stopped")
    waiter.wait(InstanceIds=[machine], WaiterConfig={"Delay": 0, "MaxAttempts": 200})
    assert command("volumes", "detach") == ExitCode.OK
    assert {row["state"] for row in command.rows("volumes")} == {"available"}


def test_without_a_receiver(command: Command) -> None:
    for words in (("volumes", "attach"), ("pool", "lock")):
        assert command(*words) == ExitCode.HOST
        assert "No receiver of pool cloud is running" in command.error
    assert command("pool", "status") == ExitCode.OK
    assert (command.last()["state"], command.last()["volumes"]) == ("absent", 0)
    command("volumes", "create")
    assert command("pool", "status") == ExitCode.OK
    assert (command.last()["state"], command.last()["volumes"], command.last()["attached"]) == ("locked", 3, 0)


@pytest.mark.parametrize(("typed", "goes_on"), [("cloud\n", True), ("cloud \n", True), ("yes\n", False), ("", False)])
def test_the_name_is_typed_to_confirm(monkeypatch: pytest.MonkeyPatch, typed: str, goes_on: bool) -> None:
    terminal = io.StringIO(typed)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdin", terminal)
    if goes_on:
        confirm("delete 6 volumes", "cloud", None)
    else:
        with pytest.raises(Refused, match="is not cloud; nothing was done"):
            confirm("delete 6 volumes", "cloud", None)


def test_without_a_terminal_the_name_is_given_as_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("cloud\n"))
    with pytest.raises(Refused, match="Add `--confirm cloud` if you mean it"):
        confirm("delete 6 volumes", "cloud", None)
