"""Progress where nobody watches a screen: lines for a log, JSON lines for a program. (A terminal: bars.py.)

Both may be told from several threads. They only show; nothing is decided here.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, replace

from ec2zfs.execute.progress import Bar
from ec2zfs.model.line import Line

Clock = Callable[[], float]
NOW_SECONDS = 10.0
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True)
class Standing:
    """How far a bar is: `done` of `total` (None: unknown) `unit`s after `seconds`.

    `rate_now`: units a second in the last `NOW_SECONDS`, once that is known. `line`: how the line stands that the
    bytes go over, if that is measured.
    """

    label: str
    done: int
    total: int | None
    unit: str
    seconds: float
    rate_now: float | None = None
    line: Line | None = None

    @property
    def rate(self) -> float:
        """Units a second since the bar began."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time to the end at this rate; None where nobody can say."""
        return max(0, self.total - self.done) / self.rate if self.total is not None and self.rate > 0 else None

    def __str__(self) -> str:
        of = "" if self.total is None else f" of {amount(self.total, self.unit)}"
        parts = [f"{self.label}: {amount(self.done, self.unit)}{of}"]
        if self.total:
            parts.append(f"{min(100, 100 * self.done // self.total)} %")
        if self.rate and self.unit == "B":
            parts.append(rates(self.rate_now, self.rate))
        if self.seconds_left:
            parts.append(f"{duration(self.seconds_left)} left")
        if self.line:
            parts.append(str(self.line))
        return ", ".join(parts)


def amount(number: int, unit: str) -> str:
    """`12.3 MiB`, `40 volumes`."""
    if unit != "B":
        return f"{number} {unit}"
    power = min(max(number.bit_length() - 1, 0) // 10, len(UNITS) - 1)
    return f"{number} B" if power == 0 else f"{number / 1024**power:.1f} {UNITS[power]}"


def rates(now: float | None, average: float) -> str:
    """`5.1 MiB/s now, 4.8 MiB/s on average`, or one figure where there is no difference to be seen."""
    usual = f"{amount(round(average), 'B')}/s"
    recent = usual if now is None else f"{amount(round(now), 'B')}/s"
    return usual if recent == usual else f"{recent} now, {usual} on average"


def duration(seconds: float) -> str:
    """`45 s`, `3 min 05 s`, `2 h 10 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class RecentRate:
    """Units a second in the last `NOW_SECONDS` or a little more, of a sum that grows. Not for several threads."""

    def __init__(self, began: float) -> None:
        self._marks = deque([(began, 0)])

    def at(self, now: float, done: int) -> float | None:
        """The rate, of a sum that has come so far; None in the first second."""
        began, before = self._marks[0]
        rate = (done - before) / (now - began) if now - began >= 1 else None
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, done))
        while len(self._marks) > 1 and now - self._marks[1][0] >= NOW_SECONDS:
            self._marks.popleft()
        return rate


def line_values(line: Line) -> dict[str, object]:
    """A line as JSON has it."""
    return {**asdict(line), "bottleneck": str(line.bottleneck)}


class PacedBar:
    """A bar that tells how it stands at its beginning, at its end, and at most once in `pace` seconds between."""

    def __init__(self, start: Standing, tell: Callable[[str, Standing], None], pace: float, clock: Clock) -> None:
        self._start = start
        self._tell = tell
        self._pace = pace
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._told = clock()
        self._recent = RecentRate(self._began)
        self._rate_now: float | None = None
        self._line: Line | None = None
        tell("begin", start)

    def advance(self, amount: int) -> None:
        """Count, and tell when it is time."""
        with self._lock:
            self._done += amount
            now = self._clock()
            self._rate_now = self._recent.at(now, self._done)
            if now - self._told >= self._pace:
                self._told = now
                self._tell("going", self._standing(now))

    def measure(self, line: Line) -> None:
        """Keep what was measured; it is told with the next figures."""
        with self._lock:
            self._line = line

    def end(self, how: str) -> None:
        """Tell how it ended: `end` or `broken`."""
        with self._lock:
            self._tell(how, self._standing(self._clock()))

    def _standing(self, now: float) -> Standing:
        seconds = now - self._began
        return replace(self._start, done=self._done, seconds=seconds, rate_now=self._rate_now, line=self._line)


@contextmanager
def paced(start: Standing, tell: Callable[[str, Standing], None], pace: float, clock: Clock) -> Iterator[Bar]:
    """A `PacedBar` for a `with` block, ended as the block ends."""
    bar = PacedBar(start, tell, pace, clock)
    try:
        yield bar
    except BaseException:
        bar.end("broken")
        raise
    bar.end("end")


class LineProgress:
    """Lines for a log."""

    def __init__(self, print_line: Callable[[str], None], pace: float = 10.0, clock: Clock = time.monotonic) -> None:
        self._print = print_line
        self._pace = pace
        self._clock = clock

    def say(self, message: str) -> None:
        """Print the line."""
        self._print(message)

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """A line at the beginning, at the end and every `pace` seconds."""
        return paced(Standing(label, 0, total, unit, 0.0), self._tell, self._pace, self._clock)

    def _tell(self, how: str, standing: Standing) -> None:
        match how:
            case "begin":
                of = "" if standing.total is None else f": {amount(standing.total, standing.unit)}"
                self._print(f"{standing.label}{of} …")
            case "going":
                self._print(str(standing))
            case _:
                done = amount(standing.done, standing.unit)
                rate = f", {amount(round(standing.rate), 'B')}/s" if standing.unit == "B" else ""
                word = "done" if how == "end" else "broken off"
                self._print(f"{standing.label}: {word}, {done} in {duration(standing.seconds)}{rate}")


class JsonProgress:
    """JSON lines for a program: `emit(event, values)`."""

    def __init__(
        self, emit: Callable[[str, Mapping[str, object]], None], pace: float = 1.0, clock: Clock = time.monotonic
    ) -> None:
        self._emit = emit
        self._pace = pace
        self._clock = clock

    def say(self, message: str) -> None:
        """Emit a `message`."""
        self._emit("message", {"message": message})

    def bar(self, label: str, total: int | None, unit: str) -> AbstractContextManager[Bar]:
        """Emit `progress` at the beginning, at the end and every `pace` seconds."""
        return paced(Standing(label, 0, total, unit, 0.0), self._tell, self._pace, self._clock)

    def _tell(self, how: str, standing: Standing) -> None:
        left = standing.seconds_left
        values: dict[str, object] = {
            "state": how,
            "label": standing.label,
            "done": standing.done,
            "total": standing.total,
            "unit": standing.unit,
            "seconds": round(standing.seconds, 1),
            "rate": round(standing.rate, 1),
            "rate_now": None if standing.rate_now is None else round(standing.rate_now, 1),
            "seconds_left": None if left is None else round(left, 1),
            "line": None if standing.line is None else line_values(standing.line),
        }
        self._emit("progress", values)
