"""What progress looks like in a log, to a program and on a terminal."""

from __future__ import annotations

import io
import json
import re
import threading
from collections.abc import Callable, Mapping

import pytest
from rich.console import Console

from ec2zfs.cli.bars import TerminalProgress
from ec2zfs.cli.output import Json, Words, emit, print_line
from ec2zfs.cli.progress import JsonProgress, LineProgress, Standing, amount, duration
from ec2zfs.execute.progress import Bar, Progress
from ec2zfs.model.line import Line

MIB = 1024**2


class Clock:
    """A clock that is set by hand, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


AMOUNTS = [
    (0, "B", "0 B"),
    (1023, "B", "1023 B"),
    (1024, "B", "1.0 KiB"),
    (200 * MIB, "B", "200.0 MiB"),
    (3 * 1024**5, "B", "3.0 PiB"),
    (5 * 1024**6, "B", "5120.0 PiB"),
    (40, "volumes", "40 volumes"),
]


@pytest.mark.parametrize(("number", "unit", "text"), AMOUNTS)
def test_amounts(number: int, unit: str, text: str) -> None:
    assert amount(number, unit) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


STANDINGS = [
    (Standing("tank@a", 50 * MIB, 200 * MIB, "B", 10), "tank@a: 50.0 MiB of 200.0 MiB, 25 %, 5.0 MiB/s, 30 s left"),
    (Standing("tank@a", 50 * MIB, None, "B", 10), "tank@a: 50.0 MiB, 5.0 MiB/s"),
    (Standing("Attach", 3, 40, "volumes", 3), "Attach: 3 volumes of 40 volumes, 7 %, 37 s left"),
    (Standing("tank@a", 0, 200 * MIB, "B", 0), "tank@a: 0 B of 200.0 MiB, 0 %"),
    (Standing("tank@a", 210 * MIB, 200 * MIB, "B", 10), "tank@a: 210.0 MiB of 200.0 MiB, 100 %, 21.0 MiB/s"),
    (Standing("empty", 0, 0, "B", 1), "empty: 0 B of 0 B"),
]


@pytest.mark.parametrize(("standing", "text"), STANDINGS)
def test_how_a_bar_stands_in_words(standing: Standing, text: str) -> None:
    assert str(standing) == text


def test_a_log_gets_a_line_at_the_beginning_at_the_end_and_now_and_then() -> None:
    lines: list[str] = []
    clock = Clock()
    with LineProgress(lines.append, pace=10, clock=clock).bar("tank@a", 200 * MIB, "B") as bar:
        for _ in range(200):
            clock.now += 0.11
            bar.advance(MIB)
    assert lines == [
        "tank@a: 200.0 MiB …",
        "tank@a: 91.0 MiB of 200.0 MiB, 45 %, 9.1 MiB/s, 12 s left",
        "tank@a: 182.0 MiB of 200.0 MiB, 91 %, 9.1 MiB/s, 2 s left",
        "tank@a: done, 200.0 MiB in 22 s, 9.1 MiB/s",
    ]


def test_a_log_says_when_the_work_broke_off() -> None:
    lines: list[str] = []

    def broken(progress: Progress) -> None:
        with progress.bar("Create", 40, "volumes") as bar:
            bar.advance(3)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        broken(LineProgress(lines.append, clock=Clock()))
    assert lines == ["Create: 40 volumes …", "Create: broken off, 3 volumes in 0 s"]


def test_a_program_gets_the_figures() -> None:
    events: list[tuple[str, Mapping[str, object]]] = []
    clock = Clock()
    progress = JsonProgress(lambda event, values: events.append((event, values)), clock=clock)
    progress.say("Sending.")
    with progress.bar("tank@a", 4, "B") as bar:
        clock.now = 2
        bar.advance(1)
        bar.advance(1)
    assert events[0] == ("message", {"message": "Sending."})
    shown = [(v["state"], v["done"], v["total"], v["unit"], v["rate"], v["seconds_left"]) for _, v in events[1:]]
    assert shown == [
        ("begin", 0, 4, "B", 0.0, None),
        ("going", 1, 4, "B", 0.5, 6.0),
        ("end", 2, 4, "B", 1.0, 2.0),
    ]
    assert {event for event, _ in events[1:]} == {"progress"}


LINE = Line(flows=8, retransmitted=3, sender_buffer=0.95, receiver_buffer=0.02)


def send_faster_and_faster(progress: Progress, clock: Clock) -> None:
    """Half a minute at 1 MiB/s and another at 3, over a line that is measured each second."""
    with progress.bar("replicate", 120 * MIB, "B") as bar:
        for second in range(60):
            clock.now += 1
            bar.measure(LINE)
            bar.advance(MIB if second < 30 else 3 * MIB)


def test_a_log_tells_the_rate_now_and_on_average_and_how_the_line_stands() -> None:
    lines: list[str] = []
    clock = Clock()
    send_faster_and_faster(LineProgress(lines.append, pace=30, clock=clock), clock)
    line = "8 connections, 3 segments sent again, buffers 95% and 2% full: line"
    assert lines[1:] == [
        f"replicate: 30.0 MiB of 120.0 MiB, 25 %, 1.0 MiB/s, 1 min 30 s left, {line}",
        f"replicate: 120.0 MiB of 120.0 MiB, 100 %, 3.0 MiB/s now, 2.0 MiB/s on average, {line}",
        "replicate: done, 120.0 MiB in 1 min 00 s, 2.0 MiB/s",
    ]


def test_a_program_gets_the_rate_now_and_the_line() -> None:
    events: list[Mapping[str, object]] = []
    clock = Clock()
    send_faster_and_faster(JsonProgress(lambda _, values: events.append(values), pace=30, clock=clock), clock)
    told = [(each["rate"], each["rate_now"]) for each in events]
    assert told == [(0.0, None), (MIB, MIB), (2 * MIB, 3 * MIB), (2 * MIB, 3 * MIB)]
    assert events[0]["line"] is None
    assert events[1]["line"] == {
        "flows": 8,
        "retransmitted": 3,
        "sender_buffer": 0.95,
        "receiver_buffer": 0.02,
        "limit": None,
        "bottleneck": "line",
    }


def test_a_terminal_shows_the_line_beside_the_bar() -> None:
    wide, narrow = screen(200), screen(80)
    for console in (wide, narrow):
        send_faster_and_faster(TerminalProgress(console), Clock())
    assert re.search(
        r"mean [\d.]+ .iB/s; 8 connections, 3 segments sent again, buffers 95% and 2% full: line", shown(wide)
    )
    assert re.search(r"120\.0 MiB of 120\.0 MiB.* line", shown(narrow))


def resilver_two_vdevs(progress: Progress, clock: Clock) -> None:
    """Two bars side by side, the first of which ends before the other."""
    with progress.bar("v2 raidz1-1 resilver", 40 * MIB, "B") as second:
        with progress.bar("v1 raidz1-0 resilver", 20 * MIB, "B") as first:
            for _ in range(2):
                clock.now += 10
                first.advance(10 * MIB)
                second.advance(10 * MIB)
        clock.now += 10
        second.advance(20 * MIB)


def test_bars_side_by_side_are_told_apart_in_a_log() -> None:
    lines: list[str] = []
    clock = Clock()
    resilver_two_vdevs(LineProgress(lines.append, pace=10, clock=clock), clock)
    assert lines == [
        "v2 raidz1-1 resilver: 40.0 MiB …",
        "v1 raidz1-0 resilver: 20.0 MiB …",
        "v1 raidz1-0 resilver: 10.0 MiB of 20.0 MiB, 50 %, 1.0 MiB/s, 10 s left",
        "v2 raidz1-1 resilver: 10.0 MiB of 40.0 MiB, 25 %, 1.0 MiB/s, 30 s left",
        "v1 raidz1-0 resilver: 20.0 MiB of 20.0 MiB, 100 %, 1.0 MiB/s",
        "v2 raidz1-1 resilver: 20.0 MiB of 40.0 MiB, 50 %, 1.0 MiB/s, 20 s left",
        "v1 raidz1-0 resilver: done, 20.0 MiB in 20 s, 1.0 MiB/s",
        "v2 raidz1-1 resilver: 40.0 MiB of 40.0 MiB, 100 %, 1.5 MiB/s now, 1.3 MiB/s on average",
        "v2 raidz1-1 resilver: done, 40.0 MiB in 30 s, 1.3 MiB/s",
    ]


def test_bars_side_by_side_are_told_apart_by_a_program() -> None:
    events: list[Mapping[str, object]] = []
    clock = Clock()
    resilver_two_vdevs(JsonProgress(lambda _, values: events.append(values), pace=10, clock=clock), clock)
    for label, total in (("v1 raidz1-0 resilver", 20), ("v2 raidz1-1 resilver", 40)):
        mine = [each for each in events if each["label"] == label]
        assert [each["state"] for each in mine] == ["begin", *["going"] * (len(mine) - 2), "end"]
        assert mine[-1]["done"] == mine[-1]["total"] == total * MIB


def test_a_bar_that_has_ended_stays_on_the_screen_while_another_is_up() -> None:
    console = screen()
    resilver_two_vdevs(TerminalProgress(console), Clock())
    last = shown(console).rstrip().splitlines()[-2:]
    assert [re.findall(r"v\d|[\d.]+ MiB of", line) for line in last] == [["v2", "40.0 MiB of"], ["v1", "20.0 MiB of"]]


def count(bar: Bar) -> None:
    for _ in range(1000):
        bar.advance(1)


def test_nothing_is_lost_when_many_threads_advance() -> None:
    lines: list[str] = []
    with LineProgress(lines.append, clock=Clock()).bar("Read", 8000, "blocks") as bar:
        threads = [threading.Thread(target=count, args=(bar,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert lines[-1] == "Read: done, 8000 blocks in 0 s"


def screen(width: int = 100) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=width, legacy_windows=False, color_system=None)


def shown(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", console.file.getvalue())


def test_a_terminal_shows_bars_with_amount_and_time_left_and_lines_above_them() -> None:
    console = screen()
    progress = TerminalProgress(console)
    with progress.bar("tank/home@a", 200 * MIB, "B") as one, progress.bar("Attach", 40, "volumes") as two:
        one.advance(50 * MIB)
        two.advance(40)
        progress.say("half [way]")
    text = shown(console)
    assert "half [way]\n" in text
    assert re.search(r"tank/home@a .* 50\.0 MiB of 200\.0 MiB", text)
    assert re.search(r"Attach .* 40 of 40 volumes", text)
    assert re.search(r"-:--|--:--|\d:\d\d", text)


def test_a_terminal_is_given_back_when_the_work_fails_and_serves_again() -> None:
    console = screen()
    progress = TerminalProgress(console)

    def broken() -> None:
        with progress.bar("First", None, "B") as bar:
            bar.advance(10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken()
    cursor_shown = "\x1b[?25h"
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().rstrip().endswith(cursor_shown)
    console.file.truncate(0)
    with progress.bar("Second", 1, "volumes") as bar:
        bar.advance(1)
    assert "First" not in shown(console)
    assert "1 of 1 volumes" in shown(console)


ROWS: list[dict[str, object]] = [
    {"place": "v1s1", "id": "vol-1", "gib": 1, "attached": True},
    {"place": "v1s10", "id": None, "gib": 16, "attached": False},
]


def words(capsys: pytest.CaptureFixture[str], show: Callable[[Words], None]) -> str:
    show(Words(LineProgress(print_line)))
    return capsys.readouterr().out


def test_a_table_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert words(capsys, lambda output: output.table("volumes", ROWS)).splitlines() == [
        "place  id     gib  attached",
        "v1s1   vol-1    1  yes",
        "v1s10  -       16  no",
    ]
    assert words(capsys, lambda output: output.table("volumes", [])) == "No volumes.\n"


def test_a_result_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    result = {"name": "cloud", "imported": True}
    assert words(capsys, lambda output: output.result("pool", result)) == "Pool\n  name      cloud\n  imported  yes\n"


def test_everything_in_json_is_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    output = Json(JsonProgress(emit), emit)
    output.table("volumes", ROWS)
    output.table("volumes", [])
    output.result("pool", {"name": "cloud", "imported": True})
    output.result("dry run: nothing changed", {"to send, about": 3})
    output.warn("old")
    out, err = capsys.readouterr()
    assert [json.loads(line) for line in out.splitlines()] == [
        {"event": "volumes", "rows": ROWS},
        {"event": "volumes", "rows": []},
        {"event": "pool", "name": "cloud", "imported": True},
        {"event": "dry_run_nothing_changed", "to_send_about": 3},
    ]
    assert json.loads(err) == {"event": "warning", "message": "old"}
