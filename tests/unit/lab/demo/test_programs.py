"""The programs that the demonstration runs on its machines, run here: what they see, and what they must not lose."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ec2zfs.lab.demo.programs import make_sources, manifest, watch_processes
from ec2zfs.lab.demo.programs.make_sources import MIB
from ec2zfs.lab.demo.programs.watch_processes import Process, seen_now

Known = dict[str, Process]


def process(proc: Path, pid: int, argv: bytes, environment: bytes | None = None) -> None:
    directory = proc / str(pid)
    directory.mkdir(exist_ok=True)
    (directory / "cmdline").write_bytes(argv)
    if environment is not None:
        (directory / "environ").write_bytes(environment)


def test_argv_and_environment_are_seen_once(tmp_path: Path) -> None:
    known: Known = {}
    process(tmp_path, 7, b"zfs\0list\0", b"HOME=/\0")
    assert seen_now(known, str(tmp_path)) == [b"zfs\0list\0\0HOME=/\0"]
    assert seen_now(known, str(tmp_path)) == []


def test_an_argv_is_kept_when_its_environment_cannot_be_read(tmp_path: Path) -> None:
    known: Known = {}
    process(tmp_path, 7, b"zfs\0list\0")
    assert seen_now(known, str(tmp_path)) == [b"zfs\0list\0\0"]
    process(tmp_path, 7, b"zfs\0list\0", b"HOME=/\0")
    assert seen_now(known, str(tmp_path)) == [b"zfs\0list\0\0HOME=/\0"]


def test_a_process_that_becomes_another_program_is_seen_again(tmp_path: Path) -> None:
    known: Known = {}
    process(tmp_path, 7, b"sh\0-c\0", b"HOME=/\0")
    seen_now(known, str(tmp_path))
    process(tmp_path, 7, b"zfs\0list\0")
    assert seen_now(known, str(tmp_path)) == [b"zfs\0list\0\0HOME=/\0"]


def test_a_process_that_ends_is_no_news_and_its_number_is_used_again(tmp_path: Path) -> None:
    known: Known = {}
    process(tmp_path, 7, b"sh\0", b"HOME=/\0")
    seen_now(known, str(tmp_path))
    process(tmp_path, 7, b"", b"")
    assert seen_now(known, str(tmp_path)) == []
    for file in (tmp_path / "7").iterdir():
        file.unlink()
    (tmp_path / "7").rmdir()
    assert seen_now(known, str(tmp_path)) == []
    process(tmp_path, 7, b"sh\0", b"HOME=/\0")
    assert len(seen_now(known, str(tmp_path))) == 1


def test_a_kernel_thread_and_an_old_process_are_no_news(tmp_path: Path) -> None:
    process(tmp_path, 7, b"", b"")
    process(tmp_path, 8, b"new\0", b"")
    known: Known = {"8": Process(time.monotonic() - 4, 0.0, b"old\0")}
    assert seen_now(known, str(tmp_path)) == [b"new\0\0"]
    process(tmp_path, 8, b"newer\0", b"")
    assert seen_now(known, str(tmp_path)) == []


def test_the_watch_sees_this_very_machine() -> None:
    seen = seen_now({})
    assert any(b"pytest" in entry and b"PYTEST_CURRENT_TEST" not in entry for entry in seen)


def test_the_watch_ends_with_its_parent(tmp_path: Path) -> None:
    words = [sys.executable, "-c", PARENT, sys.executable, watch_processes.__file__, str(tmp_path / "record")]
    watcher = int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    deadline = time.monotonic() + 20
    while is_python(watcher):
        assert time.monotonic() < deadline
        time.sleep(0.05)


PARENT = """\
import subprocess, sys, time, os
with open(sys.argv[3], "wb") as record:
    watcher = subprocess.Popen(sys.argv[1:3], stdout=record)
while not os.path.getsize(sys.argv[3]):
    time.sleep(0.02)
print(watcher.pid, flush=True)
os._exit(0)
"""


def is_python(pid: int) -> bool:
    try:
        return b"watch_processes" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def told(*directories: Path) -> list[str]:
    return [f"{n} {line}" for n, each in enumerate(directories) for line in manifest.lines(os.fsencode(each))]


def test_the_manifest_of_several_directories(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for directory in (one, other):
        directory.mkdir()
        (directory / "file").write_text("content")
    words = [sys.executable, manifest.__file__, str(one), str(other)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout.splitlines()
    assert printed == told(one, other)
    assert [line.split()[:2] for line in printed] == [
        ["0", b".".hex()],
        ["0", b"file".hex()],
        ["1", b".".hex()],
        ["1", b"file".hex()],
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("Content"),
        lambda file: file.chmod(0o600),
        lambda file: os.utime(file, ns=(1, 1)),
        lambda file: file.rename(file.with_name("other")),
        lambda file: file.unlink(),
        lambda file: (file.unlink(), file.symlink_to("elsewhere")),
        lambda file: (file.unlink(), file.hardlink_to(file.with_name("twin"))),
    ],
    ids=["content", "mode", "time", "name", "gone", "kind", "hard link"],
)
def test_the_manifest_tells_every_change(tmp_path: Path, change: Callable[[Path], object]) -> None:
    for name in ("file", "twin"):
        (tmp_path / name).write_text("content")
        os.utime(tmp_path / name, ns=(5, 5))
    before = told(tmp_path)
    change(tmp_path / "file")
    assert told(tmp_path) != before


def test_the_sources_hold_the_incompressible_part_that_is_promised(tmp_path: Path) -> None:
    make_sources.bulk(tmp_path, 32, b"PLAIN")
    sizes = [path.stat().st_size for path in tmp_path.glob("bulk-*.bin")]
    assert sum(sizes) == make_sources.incompressible(32) * MIB == 24 * MIB
