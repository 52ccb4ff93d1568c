"""`ec2zfs holds`: what it shows while the pool is locked and while it is open, and what it releases or refuses to."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.fakes.fuse import Killed
from tests.unit.replication.world import World

from ec2zfs.cli import main
from ec2zfs.cli.session import Session
from ec2zfs.errors import CloudError, CredentialsError, Ec2zfsError, ExitCode, HostError, HostKeyChanged

CONFIGURATION = """
[aws]
region = "eu-central-1"
zone = "eu-central-1a"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 1
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


class Command:
    """Types `ec2zfs holds …` at a world in which a run was killed in the middle of the second of three streams."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.monkeypatch = capsys, monkeypatch
        self.file = directory / "ec2zfs.toml"
        self.file.write_text(CONFIGURATION.format(state=directory / "state"))
        self.world = cut_off()
        self.locked = 0
        self.reach(imported=False)

    def reach(self, failure: Ec2zfsError | None = None, *, up: bool = True, imported: bool = True) -> None:
        """What becomes of whoever asks for the receiver; `up`: EC2 has one, so that a failure is the connection's."""

        def fails() -> object:
            raise failure or HostError("No receiver of pool cloud is running.")

        found = SimpleNamespace(found=lambda: object() if imported else None)
        reached = SimpleNamespace(reach=fails if failure else lambda: self.world.receiver)
        self._replace("running_receiver", lambda _: object() if up else fails())
        self._replace("receiver", reached)
        self._replace("cloud_pool", lambda _session, _host: found)
        self._replace("site", self.world.site)
        self._replace("lock", lambda _: self._lock())

    @contextmanager
    def _lock(self) -> Iterator[None]:
        self.locked += 1
        yield

    def _replace(self, name: str, part: object) -> None:
        self.monkeypatch.setattr(Session, name, part)

    def __call__(self, *words: str) -> int:
        status = main(["--config", str(self.file), "--json", "holds", *words])
        self.out, self.err = self.capsys.readouterr()
        return status

    def rows(self, event: str = "holds") -> list[dict[str, object]]:
        (told,) = map(json.loads, self.out.splitlines())
        assert told["event"] == event
        return list(told["rows"])

    def held(self) -> list[str]:
        return sorted(self.world.held())


def cut_off() -> World:
    world = World()
    for name, size in (("one", 1000), ("two", 600), ("three", 600)):
        world.site.zfs.snapshot("tank", name, size)
    world.transport.break_at[2] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()
    world.site.zfs.hold("mine", ["tank@one"])
    world.site.zfs.hold("ec2zfs:other", ["tank@two"])
    return world


@pytest.fixture
def holds(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return Command(tmp_path, capsys, monkeypatch)


SITE = [
    ("tank@one", "ec2zfs:cloud", "ec2zfs, for pool cloud"),
    ("tank@one", "mine", "somebody else"),
    ("tank@three", "ec2zfs:cloud", "ec2zfs, for pool cloud"),
    ("tank@two", "ec2zfs:cloud", "ec2zfs, for pool cloud"),
    ("tank@two", "ec2zfs:other", "ec2zfs, for pool other"),
]


def test_while_the_pool_is_locked_nobody_can_tell_what_is_needed(holds: Command) -> None:
    assert holds() == ExitCode.OK
    rows = holds.rows()
    assert [(row["snapshot"], row["tag"], row["whose"]) for row in rows] == SITE
    assert {row["needed"] for row in rows} == {None}
    assert str(rows[0]["since"]).startswith("2025-")
    assert (holds.locked, holds.err) == (0, "")


def test_an_open_pool_is_listed_too_and_tells_what_is_needed(holds: Command) -> None:
    holds.world.site.zfs.snapshot("tank", "four")
    holds.world.receiver.zfs.hold("ec2zfs:cloud", ["cloud/tank@one"])
    holds.world.site.zfs.create("tank/old")
    holds.world.site.zfs.snapshot("tank/old", "one")
    holds.world.replicate().raise_for_errors()
    holds.world.site.zfs.hold("ec2zfs:cloud", ["tank/old@one"])
    holds.world.site.zfs.snapshot("tank", "five")
    holds.world.site.zfs.hold("ec2zfs:cloud", ["tank@five"])
    holds.reach()
    assert holds() == ExitCode.OK
    assert [(row["host"], row["snapshot"], row["needed"]) for row in holds.rows()] == [
        ("site", "tank/old@one", False),
        ("site", "tank@five", True),
        ("site", "tank@one", None),
        ("site", "tank@two", None),
    ]


def test_a_hold_of_the_receiver_is_listed_and_released_there(holds: Command) -> None:
    holds.world.receiver.zfs.hold("ec2zfs:cloud", ["cloud/tank@one"])
    holds.reach()
    assert holds() == ExitCode.OK
    assert holds.rows()[0]["snapshot"] == "cloud/tank@one"
    assert holds("--release", "cloud/tank@one") == ExitCode.OK
    assert "cloud/tank@one" not in holds.held()


def test_ours_are_released_under_the_lock_and_others_stay(holds: Command) -> None:
    assert holds("--release", "tank@one", "--release", "tank@three", "--release", "tank@one") == ExitCode.OK
    assert [row["snapshot"] for row in holds.rows("released")] == ["tank@one", "tank@three"]
    assert holds.locked == 1
    assert holds.world.held() == {"tank@one": ["mine"], "tank@two": ["ec2zfs:cloud", "ec2zfs:other"]}


def test_releasing_what_is_needed_is_told(holds: Command) -> None:
    holds.reach()
    assert holds("--release", "tank@two") == ExitCode.OK
    assert "tank@two is still needed; the next backup holds it again." in holds.err


@pytest.mark.parametrize(
    ("snapshot", "words"),
    [
        ("tank@four", "is held with the tag `mine`, which ec2zfs did not put there for cloud"),
        ("tank@five", "is held with the tag `ec2zfs:other`"),
        ("tank@none", "Nothing is held as tank@none"),
        ("cloud/tank@one", "Nothing is held as cloud/tank@one"),
        ("-r", "Nothing is held as -r"),
    ],
)
def test_what_is_not_ours_is_refused_and_nothing_is_released(holds: Command, snapshot: str, words: str) -> None:
    for name, tag in (("four", "mine"), ("five", "ec2zfs:other")):
        holds.world.site.zfs.snapshot("tank", name)
        holds.world.site.zfs.hold(tag, [f"tank@{name}"])
    before = holds.held()
    assert holds(f"--release={snapshot}", "--release", "tank@one") == ExitCode.REFUSED
    assert words in holds.err
    assert holds.held() == before


@pytest.mark.parametrize(
    ("failure", "up", "told"),
    [
        (HostError("The receiver does not answer."), True, "Only the site's holds are shown. The receiver does not"),
        (CredentialsError("There are no credentials."), False, "Only the site's holds are shown. There are no"),
        (CloudError("EC2 does not answer."), False, "Only the site's holds are shown. EC2 does not answer."),
        (None, False, ""),
    ],
)
def test_without_the_cloud_the_site_is_shown(holds: Command, failure: Ec2zfsError | None, up: bool, told: str) -> None:
    holds.reach(failure, up=up)
    assert holds() == ExitCode.OK
    assert len(holds.rows()) == len(SITE)
    assert told in holds.err
    assert bool(told) == bool(holds.err)


def test_a_receiver_that_shows_another_key_is_not_passed_over(holds: Command) -> None:
    holds.reach(HostKeyChanged("It shows another key."))
    assert holds() == ExitCode.HOST_KEY
