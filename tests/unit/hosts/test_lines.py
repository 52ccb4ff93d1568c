"""Lines of a command that runs: all of them, its failure after them, and its end when nobody reads on."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ec2zfs.errors import CommandFailed, MissingTool
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.lines import printed_lines
from ec2zfs.hosts.local import LocalHost

HERE = LocalHost("site")


def of(script: str) -> list[bytes]:
    return list(printed_lines(HERE, Command.of("sh", "-c", script)))


def test_all_lines_also_one_that_does_not_end() -> None:
    assert of("printf 'one\\n\\nthree\\377\\nfour'") == [b"one", b"", b"three\xff", b"four"]
    assert of(":") == []


def test_many_lines_while_it_complains_as_much() -> None:
    assert len(of("seq 200000; seq 200000 >&2")) == 200000


def test_a_failure_is_told_after_the_lines() -> None:
    lines = printed_lines(HERE, Command.of("sh", "-c", "echo one; echo broken >&2; exit 3"))
    assert next(lines) == b"one"
    with pytest.raises(CommandFailed, match="broken"):
        next(lines)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MissingTool):
        next(printed_lines(HERE, Command.of("ec2zfs-has-no-such-program")))


def test_it_is_ended_when_nobody_reads_on(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    lines = printed_lines(HERE, Command.of("sh", "-c", f"echo $$ > {file}; while :; do echo on; done"))
    assert next(lines) == b"on"
    lines.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(int(file.read_text()), 0)
