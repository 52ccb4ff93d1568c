"""Waits for a scrub or a resilver, shows how far it is, and stops at the first sign that more has failed. Reads only.

ZFS tells the progress of a whole scan; that of a vdev is seen from what is written onto its new members.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from ec2zfs.errors import HostError, HostKeyChanged, HostKeyUnknown, PoolUnwell
from ec2zfs.execute.progress import Bar, Progress
from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.pool import DeviceState, Member, PoolStatus, Vdev
from ec2zfs.model.scan import ScanFunction, ScanState
from ec2zfs.plan.replacement import AGAIN

SECOND_FAILURE = f"{AGAIN} `ec2zfs pool status` shows which volume it is."
_LOST = frozenset({DeviceState.FAULTED, DeviceState.UNAVAIL, DeviceState.REMOVED})


@dataclass(frozen=True)
class Pace:
    """Seconds: the first pause between two looks and the longest, for how long a replacement may stand still between
    two resilvers (ZFS begins a deferred one some seconds after the first), and for how long the receiver may be silent.
    """

    first: float = 0.5
    longest: float = 5.0
    standstill: float = 120.0
    silence: float = 300.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def await_scan(
    look: Callable[[], ReceiverView],
    function: ScanFunction,
    progress: Progress,
    pace: Pace = Pace(),
    before: PoolStatus | None = None,
) -> ReceiverView:
    """Wait until the scrub, or all resilvering, has ended; the last look. `look` tells what is written as well.

    Raises `PoolUnwell` as soon as a member fails that was sound in the pool `before` (at the first look, if none is
    given), the new half of a replacement fails, a scrub was paused, canceled or left errors, or a replacement stands
    still; `HostError` when the receiver answers no more. Errors that a scrub counts on its way stop nothing: to find
    them is what it is for.
    """
    with ExitStack() as bars:
        watch = _Watch(look, progress, pace, bars, first=_by_name(before) if before else None)
        pause = pace.first
        while not watch.ended(function):
            pace.sleep(pause)
            pause = min(pause * 1.5, pace.longest)
        return watch.view


@dataclass
class _Shown:
    """A bar that is up, how far it was moved, and what takes it down."""

    bar: Bar
    end: Callable[[], None]
    done: int = 0


@dataclass
class _Watch:
    look: Callable[[], ReceiverView]
    progress: Progress
    pace: Pace
    bars: ExitStack
    view: ReceiverView = field(default_factory=ReceiverView)
    first: Mapping[str, Member] | None = None
    written_before: dict[str, int] = field(default_factory=dict)
    shown: dict[str, _Shown] = field(default_factory=dict)
    still_since: float | None = None

    @property
    def pool(self) -> PoolStatus:
        """The pool as it was seen last."""
        if self.view.imported is None:
            raise PoolUnwell("The pool is not imported any more.", hint="Give the same command again.")
        return self.view.imported

    def ended(self, function: ScanFunction) -> bool:
        """Look once more; whether there is nothing to wait for."""
        self.view = self._seen()
        self._require_no_further_failure(function)
        return self._scrubbed() if function is ScanFunction.SCRUB else self._resilvered()

    def _seen(self) -> ReceiverView:
        """A look; a connection that is lost is tried again for a while, and that is told once."""
        lost_at: float | None = None
        while True:
            try:
                return self.look()
            except (HostKeyChanged, HostKeyUnknown):
                raise
            except HostError as error:
                now = self.pace.clock()
                if lost_at is None:
                    lost_at = now
                    self.progress.say(f"{error} Trying again.")
                if now - lost_at >= self.pace.silence:
                    raise
                self.pace.sleep(self.pace.longest)

    def _require_no_further_failure(self, function: ScanFunction) -> None:
        if self.first is None:
            self.first = _by_name(self.pool)
        failed = failures(self.first, self.pool, count_errors=function is ScanFunction.RESILVER)
        if failed:
            raise _unwell(self.pool, ", ".join(map(_told, failed)), SECOND_FAILURE)
        if self.pool.state is DeviceState.SUSPENDED:
            raise _unwell(self.pool, "ZFS suspended it, since too many of its volumes do not answer", SECOND_FAILURE)

    def _scrubbed(self) -> bool:
        scan = self.pool.scan
        if scan is None or scan.function is not ScanFunction.SCRUB:
            raise _unwell(self.pool, "the scrub was ended by a resilver", "Give the same command again.")
        if scan.state is ScanState.RUNNING:
            self._show("scrub", scan.issued, scan.total)
            return False
        if scan.state is ScanState.PAUSED:
            raise _unwell(self.pool, "the scrub was paused", "`ec2zfs pool scrub` takes it up again.")
        if scan.state is ScanState.CANCELED:
            raise _unwell(self.pool, "the scrub was canceled", "Give the same command again.")
        if scan.errors:
            raise PoolUnwell(
                f"The scrub of pool {self.pool.name} did not find it clean: {scan.line}.",
                hint="`ec2zfs pool status` shows which volume it is, `ec2zfs pool repair` mends it.",
            )
        return True

    def _resilvered(self) -> bool:
        if not self.pool.resilvering:
            return True
        for number, vdev in enumerate(self.pool.vdevs, 1):
            self._show_vdev(f"v{number} {vdev.name} resilver", vdev)
        self._require_motion()
        return False

    def _require_motion(self) -> None:
        """Between two resilvers ZFS tells of none for some seconds; more than that is a standstill."""
        if self.pool.scan and self.pool.scan.running:
            self.still_since = None
            return
        now = self.pace.clock()
        self.still_since = now if self.still_since is None else self.still_since
        if now - self.still_since > self.pace.standstill:
            stuck = ", ".join(each.name for each in self.pool.members if each.replacing or each.resilvering)
            raise _unwell(self.pool, f"no resilver runs, and yet one of {stuck} is not complete", SECOND_FAILURE)

    def _show_vdev(self, label: str, vdev: Vdev) -> None:
        """How far a vdev is. Its bar goes as soon as it is done, so that it tells this vdev's own time."""
        new = successors(vdev)
        if new:
            total = share(vdev) * len(new)
            self._show(label, sum(self._done(each, share(vdev)) for each in new), total)
        elif label in self.shown:
            self.shown.pop(label).end()

    def _done(self, member: Member, whole: int) -> int:
        """The bytes put onto a member of `whole`.

        One that came back had been written on before. Of one without a mapping, without encryption that is, only the
        scan's own progress is known.
        """
        written = {each.name: each.written for each in self.view.opened}.get(member.name)
        if written is None:
            scan = self.pool.scan
            return whole * min(scan.issued, scan.total) // scan.total if scan and scan.running and scan.total else 0
        before = 0 if member.replacing else self.written_before.setdefault(member.name, written)
        return max(0, min(whole, written - before))

    def _show(self, label: str, done: int, total: int) -> None:
        shown = self.shown.get(label)
        if shown is None:
            stack = self.bars.enter_context(ExitStack())
            bar = stack.enter_context(self.progress.bar(label, total, "B"))
            shown = self.shown[label] = _Shown(bar, stack.close)
        shown.bar.advance(max(0, done - shown.done))
        shown.done = max(done, shown.done)


def _by_name(pool: PoolStatus) -> Mapping[str, Member]:
    return {each.name: each for each in pool.members}


def failures(first: Mapping[str, Member], pool: PoolStatus, *, count_errors: bool) -> list[Member]:
    """The members that have failed since the first look (by name): a new half of a replacement that is lost, and who is
    worse than it was then, also by its first error where errors count. What is being replaced may fail.
    """
    new = {each.name for vdev in pool.vdevs for each in successors(vdev) if each.replacing}

    def failed(member: Member) -> bool:
        if member.replacing:
            return member.name in new and member.state in _LOST
        before = first.get(member.name)
        erring = count_errors and member.errors > 0 and (before is None or not before.errors)
        return erring or _badness(member) > (_badness(before) if before else 0)

    return [member for member in pool.members if failed(member)]


def successors(vdev: Vdev) -> Sequence[Member]:
    """The members that data is being put on: the newer halves of replacements, and who came back."""
    return [*_new_halves(vdev), *(each for each in vdev.members if each.resilvering and not each.replacing)]


def share(vdev: Vdev) -> int:
    """The bytes that each complete member of a vdev holds, about."""
    old_halves = sum(each.replacing for each in vdev.members) - len(_new_halves(vdev))
    return vdev.allocated if vdev.kind == "mirror" else vdev.allocated // max(1, len(vdev.members) - old_halves)


def _new_halves(vdev: Vdev) -> Sequence[Member]:
    """The newer half of each replacement. ZFS names it last; without encryption names do not tell who belongs together,
    and there it is every second one.
    """
    halves = [each for each in vdev.members if each.replacing]
    last = {each.place: each for each in halves if each.place}
    return [*last.values(), *[each for each in halves if each.place is None][1::2]]


def _badness(member: Member) -> int:
    """2 for one that is out, 1 for one that is in doubt."""
    return {DeviceState.ONLINE: 0, DeviceState.DEGRADED: 1}.get(member.state, 2)


def _told(member: Member) -> str:
    counted = f" with {member.errors} errors" if member.errors else ""
    return f"{member.place or member.name} ({member.name}) is {member.state}{counted}"


def _unwell(pool: PoolStatus, words: str, hint: str) -> PoolUnwell:
    return PoolUnwell(f"Pool {pool.name}: {words.rstrip('.')}.", hint=hint)
