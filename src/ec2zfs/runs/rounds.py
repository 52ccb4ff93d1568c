"""Volumes replaced in rounds, each a stage of the run with its start and its end."""

from __future__ import annotations

from collections.abc import Callable

from ec2zfs.model.scan import ScanFunction
from ec2zfs.model.standing import Standing
from ec2zfs.plan.replacement import Caution, Want, begun_places, leaving_places, plan_replacement, rounds
from ec2zfs.plan.upkeep import AwaitScan, NoteScrub, ReplaceMember, StartScan, Step
from ec2zfs.plan.volumes import RetireVolume
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool

Plan = Callable[[Standing], Step]


def replace_in_rounds(
    pool: OpenPool, want: Want, caution: Caution, journal: Journal, *, after: Callable[[Step], None] = lambda _: None
) -> None:
    """Replace every volume that is not as wanted; `after` is told the actions of one family once they are done.

    Raises as `plan_replacement` does, with nothing taken away.
    """

    def plan(standing: Standing) -> Step:
        return plan_replacement(want, standing, caution)

    def carry_out(step: Step) -> None:
        pool.carry_out(step, after)

    standing = pool.observe()
    total = rounds(want, standing) + bool(begun_places(standing) or leaving_places(standing))
    number = 0
    while step := plan(standing):
        if _scrubs(step):
            with journal.stage("scrub before volumes are replaced"):
                carry_out(step)
        else:
            number += 1
            with journal.stage(f"round {number} of {max(number, total)}") as stage:
                stage.outcome = _round(plan, step, pool.observe, carry_out)
        standing = pool.observe()


def _round(plan: Plan, step: Step, observe: Callable[[], Standing], carry_out: Callable[[Step], None]) -> str:
    """Steps until replaced volumes are put aside for good, which ends a round; what was replaced."""
    replaced: list[str] = []
    while step:
        carry_out(step)
        replaced += [str(action.volume.place) for action in step if isinstance(action, ReplaceMember)]
        if any(isinstance(action, RetireVolume) and action.since for action in step):
            break
        step = plan(observe())
    return f"replaced {', '.join(replaced)}" if replaced else "finished what had been begun"


def _scrubs(step: Step) -> bool:
    first = step[0]
    scrub = isinstance(first, AwaitScan) and first.function is ScanFunction.SCRUB
    return scrub or isinstance(first, StartScan | NoteScrub)
