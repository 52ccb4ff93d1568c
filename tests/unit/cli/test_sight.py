"""`ec2zfs pool status` as it is typed: what is looked at, once or again and again, and what becomes of what goes."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.fakes.pools import instance, volume
from tests.fakes.standing import NOW, at, broken, failed, standing, vanished, with_member, with_pool, with_volume

from ec2zfs.cli import main
from ec2zfs.cli.session import Session
from ec2zfs.errors import AlreadyRunning, CloudError, Ec2zfsError, ExitCode, HostError, HostKeyChanged
from ec2zfs.model.contents import OpenMapping, ReceiverView
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.scan import Scan, ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Retirement, Volume
from ec2zfs.plan.simulated_pool import leaf

CONFIGURATION = """
[aws]
region = "eu-central-1"
zone = "eu-central-1a"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 2
volumes_per_vdev = 3
[volumes]
type = "gp3"
size_gib = 1
[receiver]
image = "ami-00000000000000001"
instance_type = "m7g.medium"
[site]
[[source]]
dataset = "tank"
[pool_key]
[paths]
state = "{state}"
"""
HEALTHY = standing()
ZFS_LINE = (
    "resilver in progress since Wed Nov 25 02:10:00 2026 "
    "1.20G / 3.40G scanned at 100M/s, 850M / 3.40G issued at 50.1M/s"
)
HALF_WAY = Scan(ScanFunction.RESILVER, ScanState.RUNNING, NOW, issued=25, total=100, seconds_left=185, line=ZFS_LINE)


@dataclass
class Seen:
    """What is to be seen, look by look, the last one for ever: a whole standing, or what goes wrong.

    A `CloudError` is EC2's; every other error the receiver's. None: no receiver is up.
    """

    looks: Sequence[Standing | Ec2zfsError | None]
    count: int = -1
    connections: int = 0
    volumes_then: Sequence[Volume] = HEALTHY.volumes

    def volumes(self) -> Sequence[Volume]:
        self.count += 1
        if isinstance(self.now, CloudError):
            raise self.now
        if isinstance(self.now, Standing):
            self.volumes_then = self.now.volumes
        return self.volumes_then

    @property
    def now(self) -> Standing | Ec2zfsError | None:
        return self.looks[min(self.count, len(self.looks) - 1)]

    def running(self) -> object:
        if self.now is None:
            raise HostError("No receiver of pool cloud is running.")
        return instance()

    def reach(self) -> object:
        self.connections += 1
        return SimpleNamespace(name="receiver i-0123456789abcdef0")

    def look(self, *, detail: bool) -> ReceiverView:
        assert detail, "the key slots are asked for"
        if isinstance(self.now, Ec2zfsError):
            raise self.now
        if self.now is None:
            raise HostError("The receiver stopped answering.")
        return self.now.view


@dataclass
class Shown:
    """What a command printed, and how it ended."""

    status: int
    out: str
    err: str
    seen: Seen

    @property
    def events(self) -> dict[str, dict[str, object]]:
        return {str(each["event"]): each for each in self.all_events}

    @property
    def all_events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def rows(self, event: str) -> list[dict[str, object]]:
        return self.events[event]["rows"]  # type: ignore[return-value]


@dataclass
class Command:
    """Types `ec2zfs pool status …`; `pauses` is how long a watch rested, which is interrupted after its last look."""

    directory: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    pauses: list[float] = field(default_factory=list)

    def __call__(self, *words: str, looks: Sequence[Standing | Ec2zfsError | None]) -> Shown:
        seen = Seen(looks)
        file = self.directory / "ec2zfs.toml"
        file.write_text(CONFIGURATION.format(state=self.directory / "state"))
        self._replace("fleet", SimpleNamespace(volumes=seen.volumes))
        self._replace("receiver", SimpleNamespace(reach=seen.reach))
        self._replace("running_receiver", lambda _: seen.running())
        self._replace("cloud_pool", lambda _session, _host: SimpleNamespace(look=seen.look))
        for forbidden in ("lock", "pool_key"):
            self._replace(forbidden, lambda _: pytest.fail("it takes no lock and needs no key"))
        self.monkeypatch.setattr(time, "sleep", lambda seconds: self._rest(seconds, seen))
        status = main(["--config", str(file), "pool", "status", *words])
        return Shown(status, *self.capsys.readouterr(), seen)

    def _replace(self, name: str, part: object) -> None:
        self.monkeypatch.setattr(Session, name, part)

    def _rest(self, seconds: float, seen: Seen) -> None:
        self.pauses.append(seconds)
        if seen.count + 1 >= len(seen.looks):
            raise KeyboardInterrupt


@pytest.fixture
def status(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capsys, monkeypatch)


def replacing(stands: Standing) -> Standing:
    """The volume at v1s1 is replaced by one of generation 2, which hangs there too and has two key slots."""
    old, _ = at(stands, "v1s1")
    new = volume("v1s1", 2, attached="attached", size_gib=2)
    half = replace(leaf(f"/dev/mapper/{new.mapping}"), replacing=True, resilvering=True)
    first, *others = stands.pool.vdevs
    members = (replace(old, replacing=True), half, *first.members[1:])
    changed = with_pool(stands, vdevs=(replace(first, members=members), *others), scan=HALF_WAY)
    opened = (*stands.view.opened, OpenMapping(new.mapping, 2**31, 4096, keyslots=(0, 1)))
    return replace(changed, volumes=(*stands.volumes, new)).seeing(replace(changed.view, opened=opened))


def retired(stands: Standing, place: str, retirement: Retirement) -> Standing:
    return replace(stands, volumes=(*stands.volumes, volume(place, 9, retirement=retirement)))


def row(shown: Shown, place: str, generation: int = 1) -> dict[str, object]:
    return next(each for each in shown.rows("members") if (each["place"], each["generation"]) == (place, generation))


def test_a_replacement_under_way(status: Command) -> None:
    shown = status("--json", looks=[replacing(HEALTHY)])
    assert row(shown, "v1s1")["note"] == "replacing"
    new = row(shown, "v1s1", 2)
    assert (new["note"], new["GiB"], new["LUKS_slots"]) == ("replacing, resilvering", 2, "0,1")
    assert shown.events["scan"] == {
        "event": "scan",
        "function": "resilver",
        "state": "running",
        "percent": 25.0,
        "rate": "50.1 MiB/s",
        "time_left": "3 min 05 s",
        "errors": 0,
        "told": ZFS_LINE,
    }


@pytest.mark.parametrize(
    ("line", "rate"),
    [
        (" 500M issued at 50M/s, 3.4G total", "50 MiB/s"),
        (" 32768 / 65536 issued at 4096/s", "4096 B/s"),
        (" 0B / 3.4G issued at 0B/s", "0 B/s"),
        (" 500M / 3.4G issued", None),
    ],
)
def test_the_rate_is_what_zfs_tells(status: Command, line: str, rate: str | None) -> None:
    shown = status("--json", looks=[with_pool(HEALTHY, scan=replace(HALF_WAY, line=line))])
    assert shown.events["scan"]["rate"] == rate


def pulled(stands: Standing) -> Standing:
    """Its device has gone, which ZFS has not noticed."""
    return stands.seeing(replace(stands.view, opened=(OpenMapping("cloud-v1s2-g1", 2**30, stale=True),)))


def put_aside(stands: Standing) -> Standing:
    return with_volume(failed(stands, "v1s2", DeviceState.OFFLINE), at(stands, "v1s2")[1], retirement=Retirement())


ODD: dict[str, tuple[Callable[[Standing], Standing], dict[str, object]]] = {
    "faulted": (
        lambda stands: failed(stands, "v1s2", read_errors=3, write_errors=25, checksum_errors=1),
        {"state": "FAULTED", "read": 3, "write": 25, "checksum": 1, "EC2": "attached"},
    ),
    "broken at EC2": (lambda stands: broken(stands, at(stands, "v1s2")[1]), {"EC2": "error, attached"}),
    "detached": (
        lambda stands: with_volume(stands, at(stands, "v1s2")[1], attachment=None, state=volume("v1s2").state),
        {"EC2": "available"},
    ),
    "gone": (
        lambda stands: vanished(stands, "v1s2"),
        {"EC2": "gone", "volume": None, "GiB": None, "state": "UNAVAIL"},
    ),
    "pulled": (pulled, {"note": "its device is gone", "state": "ONLINE"}),
    "back": (lambda stands: with_member(stands, at(stands, "v1s2")[0], resilvering=True), {"note": "resilvering"}),
    "put aside": (put_aside, {"note": "put aside", "state": "OFFLINE"}),
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_as_it_should_be(status: Command, name: str) -> None:
    change, told = ODD[name]
    found = row(status("--json", looks=[change(HEALTHY)]), "v1s2")
    assert {key: found[key] for key in told} == told


def test_a_volume_that_is_gone_from_a_pool_without_encryption_has_the_place_that_is_left(status: Command) -> None:
    shown = status("--json", looks=[vanished(standing(encrypted=False), "v1s2")])
    assert [each["place"] for each in shown.rows("members")][:3] == ["v1s1", "v1s2", "v1s3"]


def test_the_table_can_be_read_without_colours(status: Command) -> None:
    shown = status(looks=[replacing(HEALTHY)])
    assert "\x1b" not in shown.out
    lines = shown.out.splitlines()
    assert "raidz1-0  v1s1            1  vol-01010000000000001    1  attached  ONLINE" in shown.out
    assert sum("replacing" in line for line in lines) == 2
    assert [line for line in lines if "percent" in line] == ["  percent    25.0"]


def test_a_locked_pool_is_what_ec2_shows(status: Command) -> None:
    shown = status("--json", looks=[None])
    assert (shown.status, shown.seen.connections) == (ExitCode.OK, 0)
    pool = shown.events["pool"]
    assert (pool["state"], pool["receiver"], pool["volumes"], pool["attached"]) == ("locked", "none is up", 6, 6)


def test_a_pool_that_is_half_open(status: Command) -> None:
    view = ReceiverView(mappings=("cloud-v1s1-g1", "cloud-v1s2-g1"))
    pool = status("--json", looks=[HEALTHY.seeing(view)]).events["pool"]
    assert (pool["state"], pool["open_mappings"]) == ("half open", "cloud-v1s1-g1, cloud-v1s2-g1")


def test_what_is_kept_does_not_count_as_the_pools(status: Command) -> None:
    stands = retired(HEALTHY, "v1s1", Retirement(NOW)).seeing(ReceiverView())
    shown = status("--json", looks=[stands])
    assert shown.events["pool"]["volumes"] == 6
    assert len(shown.rows("kept")) == 1


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (HostError("The receiver stopped answering."), ExitCode.HOST),
        (AlreadyRunning("Another command still works on pool cloud."), ExitCode.LOCKED),
    ],
)
def test_a_receiver_that_does_not_answer_leaves_what_ec2_shows(
    status: Command, error: Ec2zfsError, code: ExitCode
) -> None:
    shown = status("--json", looks=[error])
    assert shown.status == code
    assert (shown.events["pool"]["state"], shown.events["pool"]["volumes"]) == ("unknown", 6)
    assert error.message in shown.err


@pytest.mark.parametrize("words", [("--watch",), ()])
@pytest.mark.parametrize(
    "error", [HostKeyChanged("It shows another key."), CloudError("EC2 does not answer.")], ids=["host key", "EC2"]
)
def test_what_ends_even_a_watch_at_its_first_look(status: Command, words: tuple[str, ...], error: Ec2zfsError) -> None:
    shown = status("--json", *words, looks=[error])
    assert (shown.status, shown.out) == (error.exit_code, "")
    assert error.message in shown.err


def test_a_watch_looks_until_it_is_interrupted_over_one_connection(status: Command) -> None:
    shown = status("--json", "--watch", looks=[HEALTHY, replacing(HEALTHY), HEALTHY])
    assert (shown.status, shown.err, shown.seen.connections) == (ExitCode.OK, "", 1)
    assert [each["event"] for each in shown.all_events].count("pool") == 3
    assert status.pauses == [2.0] * 3


def test_a_watch_goes_on_when_the_receiver_goes_and_when_it_comes_back(status: Command) -> None:
    lost = HostError("The receiver stopped answering.")
    shown = status("--json", "--watch", "0.5", looks=[HEALTHY, lost, None, None, HEALTHY, HEALTHY])
    states = [each["state"] for each in shown.all_events if each["event"] == "pool"]
    assert states == ["ONLINE", "unknown", "locked", "locked", "ONLINE", "ONLINE"]
    assert (shown.status, shown.seen.connections) == (ExitCode.OK, 2)
    assert [json.loads(line)["message"] for line in shown.err.splitlines()] == ["The receiver stopped answering."]


@pytest.mark.parametrize("error", [AlreadyRunning("Another works on it."), CloudError("EC2 does not answer.")])
def test_a_watch_waits_for_what_only_takes_long(status: Command, error: Ec2zfsError) -> None:
    shown = status("--json", "--watch", looks=[HEALTHY, error, HEALTHY])
    assert [each["state"] for each in shown.all_events if each["event"] == "pool"] == ["ONLINE", "unknown", "ONLINE"]
    assert (shown.status, shown.seen.connections) == (ExitCode.OK, 1)


def test_a_watch_ends_when_nobody_reads_it(status: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unread(io.StringIO):
        def write(self, _text: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Unread())
    shown = status("--json", "--watch", looks=[HEALTHY] * 9)
    assert shown.seen.count == 0


def test_a_terminal_is_redrawn_with_the_picture_above_the_table(
    status: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = status("--watch", looks=[HEALTHY, HEALTHY]).out
    assert coloured.count("\x1b[2J") == 2
    assert "\x1b[30;42m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = status(looks=[HEALTHY]).out
    assert "42m" not in plain
    assert "v1 raidz1-0" in plain


def test_a_volume_on_its_way_stands_apart(status: Command) -> None:
    stands = replace(HEALTHY, volumes=(*HEALTHY.volumes, volume("v2s2", 2)))
    shown = status("--json", looks=[stands])
    assert [(each["place"], each["generation"]) for each in shown.rows("not_in_the_pool")] == [("v2s2", 2)]
    assert len(shown.rows("members")) == 6
