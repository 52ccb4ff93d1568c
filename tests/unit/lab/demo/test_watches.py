"""Watches run when they say so: on the controller and the site at once, on an instance at every boot that comes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from ec2zfs.errors import HostError
from ec2zfs.lab.demo import watches
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.watches import CONTROLLER, Record, Watches, watcher_argv
from ec2zfs.lab.description import LabDescription, SiteAccess

INSTANCE = "i-0abc"
SEES = ("sh", "-c", "cat > /dev/null; echo seen; echo journal >&2; exec sleep 60")


class World:
    """Machines that are watched by commands of here."""

    def __init__(self, directory: Path) -> None:
        self.up: set[str] = set()
        self.answers = True
        self.watcher: Sequence[str] = SEES
        self.watches = Watches(directory, self.argv, lambda: self.up)

    def argv(self, machine: str) -> Sequence[str]:
        if machine == INSTANCE and not self.answers:
            raise HostError("The console shows no ssh host keys yet.")
        return self.watcher if machine == INSTANCE else SEES


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(watches, "_POLL", 0.01)
    world = World(tmp_path)
    yield world
    world.watches.end()


def until(record: Path, content: str) -> None:
    deadline = time.monotonic() + 20
    while not record.exists() or record.read_text() != content:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_controller_and_the_site_are_watched_from_the_beginning(world: World, tmp_path: Path) -> None:
    world.watches.begin()
    for machine in (CONTROLLER, "site"):
        assert Record(tmp_path, machine).processes.read_text() == "seen\n"
        until(Record(tmp_path, machine).journal, "journal\n")


def test_an_instance_is_watched_at_each_of_its_boots(world: World, tmp_path: Path) -> None:
    world.watches.begin()
    for boot in (1, 2, 3):
        world.up = {INSTANCE}
        until(Record(tmp_path, INSTANCE, boot).processes, "seen\n")
        world.watches.wait_for(INSTANCE)
        world.up = set()
        time.sleep(0.1)
    world.watches.end()
    assert len(list(tmp_path.glob(f"processes-{INSTANCE}-*"))) == 3


def test_an_instance_that_does_not_answer_yet_is_tried_again(world: World, tmp_path: Path) -> None:
    world.answers = False
    world.watches.begin()
    world.up = {INSTANCE}
    with pytest.raises(DemonstrationFailed, match="no login"):
        world.watches.wait_for(INSTANCE, 0.1)
    world.answers, world.watcher = True, ("sh", "-c", "echo refused >&2; exit 255")
    with pytest.raises(DemonstrationFailed, match=r"not watched after 0\.3 s: .*refused"):
        world.watches.wait_for(INSTANCE, 0.3)
    world.watcher = SEES
    world.watches.wait_for(INSTANCE)
    assert Record(tmp_path, INSTANCE, 1).processes.read_text() == "seen\n"


def test_a_watcher_that_sees_nothing_is_no_watch(world: World) -> None:
    world.watches.begin()
    world.up, world.watcher = {INSTANCE}, ("sleep", "60")
    with pytest.raises(DemonstrationFailed, match="it is silent"):
        world.watches.wait_for(INSTANCE, 0.3)


def test_a_watch_that_broke_off_is_begun_again_in_the_same_record(world: World, tmp_path: Path) -> None:
    world.watches.begin()
    world.up, world.watcher = {INSTANCE}, ("sh", "-c", "echo seen")
    until_longer(Record(tmp_path, INSTANCE, 1).processes, len("seen\n" * 2))


def until_longer(record: Path, size: int) -> None:
    deadline = time.monotonic() + 20
    while not record.exists() or record.stat().st_size < size:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_controllers_watcher_sees_this_machine(tmp_path: Path) -> None:
    lab = LabDescription(str(tmp_path), 1, "", "", "", "", "", "", 22, "", None)
    here = Watches(tmp_path, lambda _: watcher_argv(lab, CONTROLLER), lambda: ())
    here.begin()
    here.end()
    assert b"pytest" in Record(tmp_path, CONTROLLER).processes.read_bytes()


def test_a_login_that_gets_no_answer_is_soon_tried_again(tmp_path: Path) -> None:
    site = SiteAccess("127.1.2.3", 2222, "root", str(tmp_path / "known_hosts"), "site")
    argv = watcher_argv(LabDescription(str(tmp_path), 1, "", "", "", "", "key", "admin", 22, "", site), "site")
    # ssh takes the first value that it reads.
    assert next(word for word in argv if word.startswith("ConnectTimeout=")) == "ConnectTimeout=4"
    assert argv[-1].startswith("sudo sh -c ")
