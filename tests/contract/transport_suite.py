"""What every `Transport` does, whatever the way that the stream takes: cases that know the seam alone.

`CASES` is the table. A case gets `Sides`: a transport, the two hosts, and a folder that both see.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from pathlib import Path

import pytest
from tests.contract.processes import running, soon

from ec2zfs.errors import CommandFailed, MissingTool
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.model.rate import LEAST, RateRule, RateWindow
from ec2zfs.transport.limit import Limit
from ec2zfs.transport.transport import Transport

MIB = 1 << 20
ENDLESS = "cat /dev/zero"


@dataclass(frozen=True)
class Sides:
    """The two hosts between which a transport carries; `frame`: the size of its frames in bytes, if it has any.

    `limited` makes the same transport with a limit of its rate.
    """

    transport: Transport
    sender: Host
    receiver: Host
    folder: Path
    frame: int
    limited: Callable[[Limit], Transport]

    def carry(self, sending: str, receiving: str, meter: Callable[[int], None] = lambda _: None) -> None:
        """Carry from one script to another; `$0` is the folder."""
        self.transport.carry(
            Stage(self.sender, Command(("sh", "-c", sending, str(self.folder), "sending"))),
            Stage(self.receiver, Command(("sh", "-c", receiving, str(self.folder), "receiving"))),
            meter,
        )

    def failure(self, sending: str, receiving: str) -> CommandFailed:
        """The failure of a command that comes of it."""
        with pytest.raises(CommandFailed) as caught:
            self.carry(sending, receiving)
        return caught.value


def arrives(sides: Sides, size: int, sending: str = 'cat "$0/in"', receiving: str = 'cat >"$0/out"') -> None:
    """So many random bytes arrive as they were, and each was metered."""
    data = os.urandom(size)
    (sides.folder / "in").write_bytes(data)
    heard: list[int] = []
    sides.carry(sending, receiving, heard.append)
    assert hashlib.sha256((sides.folder / "out").read_bytes()).digest() == hashlib.sha256(data).digest()
    assert sum(heard) == size


def an_empty_stream(sides: Sides) -> None:
    arrives(sides, 0)


def one_byte(sides: Sides) -> None:
    arrives(sides, 1)


def exactly_a_frame(sides: Sides) -> None:
    arrives(sides, sides.frame)


def many_frames_and_a_byte(sides: Sides) -> None:
    arrives(sides, 40 * sides.frame + 1)


def a_slow_reader(sides: Sides) -> None:
    arrives(sides, 5 * MIB, receiving='sleep 0.4; head -c 100000 >"$0/out"; sleep 0.4; cat >>"$0/out"')


def a_slow_writer(sides: Sides) -> None:
    arrives(sides, 300_000, sending='head -c 100000 "$0/in"; sleep 0.5; tail -c +100001 "$0/in"')


def a_reader_that_does_not_look_for_the_end(sides: Sides) -> None:
    arrives(sides, 100_000, receiving='head -c 100000 >"$0/out"')


def a_reader_that_fails(sides: Sides) -> None:
    failure = sides.failure(ENDLESS, "head -c 100000 >/dev/null; echo full >&2; exit 5")
    assert (failure.host, failure.status, failure.argv[4]) == (sides.receiver.name, 5, "receiving")
    assert "full" in failure.stderr


def a_reader_that_fails_at_the_end(sides: Sides) -> None:
    failure = sides.failure("echo all", "cat >/dev/null; echo spoilt >&2; exit 255")
    assert (failure.host, failure.status, "spoilt" in failure.stderr) == (sides.receiver.name, 255, True)


def a_reader_that_is_content_too_soon(sides: Sides) -> None:
    failure = sides.failure(ENDLESS, "head -c 9 >/dev/null")
    assert (failure.host, failure.status) == (sides.receiver.name, 0)
    assert "before it had read the whole stream" in failure.stderr


def a_writer_that_fails(sides: Sides) -> None:
    failure = sides.failure("head -c 3000000 /dev/zero; echo torn >&2; exit 3", 'cat >/dev/null; touch "$0/whole"')
    assert (failure.host, failure.status, failure.argv[4]) == (sides.sender.name, 3, "sending")
    assert "torn" in failure.stderr
    assert not (sides.folder / "whole").exists()


def a_writer_that_fails_before_a_reader_that_does_not_heed(sides: Sides) -> None:
    """The reader has to be killed; until then nothing may look like the end of its input."""
    sides.failure(
        'until [ -e "$0/up" ]; do sleep 0.05; done; head -c 300000 /dev/zero; exit 3',
        'trap "" TERM; touch "$0/up"; cat >/dev/null; touch "$0/whole"',
    )
    assert not (sides.folder / "whole").exists()


def a_writer_that_is_killed(sides: Sides) -> None:
    failure = sides.failure("echo some; kill -KILL $$", 'cat >/dev/null; touch "$0/whole"')
    assert (failure.host, failure.status in {-9, 137}) == (sides.sender.name, True)
    assert not (sides.folder / "whole").exists()


def a_reader_that_is_killed(sides: Sides) -> None:
    failure = sides.failure(ENDLESS, "head -c 100000 >/dev/null; kill -KILL $$")
    assert (failure.host, failure.status in {-9, 137}) == (sides.receiver.name, True)


def a_program_that_is_missing(sides: Sides) -> None:
    with pytest.raises(MissingTool, match=f"{sides.receiver.name} has no program `no-such-program`"):
        sides.transport.carry(
            Stage(sides.sender, Command.of("echo", "all")),
            Stage(sides.receiver, Command.of("no-such-program")),
            lambda _: None,
        )


def an_interrupt(sides: Sides) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sides.carry(
            'until [ -e "$0/up" ]; do sleep 0.05; done; echo some; sleep 83.75',
            'sleep 84.75 & touch "$0/up"; cat; touch "$0/whole"; wait',
            interrupted,
        )
    assert soon(lambda: not running("sleep", "83.75") and not running("sleep", "84.75"))
    assert not (sides.folder / "whole").exists()


def a_rate_that_is_lifted(sides: Sides) -> None:
    """At first so slow that it would take an hour; the limit is lifted once the first bytes have come."""
    windows = (RateWindow(time(), time(12), LEAST), RateWindow(time(12), time(), None))
    now = datetime(2026, 11, 27, 9, tzinfo=UTC)
    slow = replace(sides, transport=sides.limited(Limit(RateRule(None, windows), lambda: now)))
    heard: list[int] = []

    def meter(size: int) -> None:
        nonlocal now
        heard.append(size)
        now = now.replace(hour=12)

    slow.carry(f"head -c {12 * MIB} /dev/zero", "cat >/dev/null", meter)
    assert heard[0] < 6 * MIB
    assert sum(heard) == 12 * MIB


Case = Callable[[Sides], None]

CASES: tuple[Case, ...] = (
    an_empty_stream,
    one_byte,
    exactly_a_frame,
    many_frames_and_a_byte,
    a_slow_reader,
    a_slow_writer,
    a_reader_that_does_not_look_for_the_end,
    a_reader_that_fails,
    a_reader_that_fails_at_the_end,
    a_reader_that_is_content_too_soon,
    a_writer_that_fails,
    a_writer_that_fails_before_a_reader_that_does_not_heed,
    a_writer_that_is_killed,
    a_reader_that_is_killed,
    a_program_that_is_missing,
    an_interrupt,
    a_rate_that_is_lifted,
)

FEW: tuple[Case, ...] = (many_frames_and_a_byte, a_reader_that_fails)
"""For a way that differs from another by its hosts alone."""

RELAYED: tuple[Case, ...] = (
    a_writer_that_fails,
    a_writer_that_fails_before_a_reader_that_does_not_heed,
    a_program_that_is_missing,
    an_interrupt,
)
"""For a way on which one of the commands runs behind an ssh of its end's."""
