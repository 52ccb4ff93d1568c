"""Bytes through a program: all of them in their order, and its input never ends well when what fed it did not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from ec2zfs.errors import MissingTool
from ec2zfs.hosts.filter import run_filter


def _through(argv: tuple[str, ...], *pieces: bytes, inherited: tuple[int, ...] = ()) -> tuple[int, bytes, bool]:
    taken: list[bytes] = []
    ended = run_filter(argv, pieces, taken.append, inherited)
    return ended.status, b"".join(taken), ended.took_all


def test_what_comes_out() -> None:
    data = os.urandom(3 << 20)
    assert _through(("cat",), data, b"", data) == (0, data + data, True)
    assert _through(("cat",)) == (0, b"", True)


def test_how_it_ended_and_what_it_said() -> None:
    ended = run_filter(("sh", "-c", "cat >/dev/null; echo why >&2; exit 7"), [b"x"], bytes)
    assert (ended.status, ended.stderr) == (7, "why\n")
    assert run_filter(("sh", "-c", "kill -9 $$"), [], bytes).status == -9


def test_one_that_does_not_take_everything() -> None:
    status, taken, took_all = _through(("head", "-c", "3"), b"abcdef", bytes(4 << 20))
    assert (status, taken, took_all) == (0, b"abc", False)


def test_a_source_that_fails_is_no_end_of_the_input(tmp_path: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"half"
        raise ValueError("the disk")

    argv = ("sh", "-c", 'cat >/dev/null; touch "$1"', "sh", str(tmp_path / "whole"))
    with pytest.raises(ValueError, match="the disk"):
        run_filter(argv, source(), bytes)
    assert not (tmp_path / "whole").exists()


def test_a_sink_that_fails_ends_it() -> None:
    def sink(_: bytes) -> None:
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        run_filter(("cat",), iter(lambda: bytes(1 << 20), None), sink)


def test_a_descriptor_that_it_inherits() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"secret")
    os.close(writing)
    assert _through(("cat", f"/dev/fd/{reading}"), inherited=(reading,)) == (0, b"secret", True)
    os.close(reading)


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MissingTool, match="no-such-program"):
        run_filter(("no-such-program",), [], bytes)
