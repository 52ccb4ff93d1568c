"""Decides which datasets may be replicated at the same time: whose turn it is beside those that are under way.

Pure. Nothing begins below what does not stand yet, and a copy is renamed while nothing else is under way: what stands
below it goes with it, and its new place may be that of another one until that has been renamed too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

from ec2zfs.plan.replication import DatasetPlan, is_below
from ec2zfs.plan.replication_steps import CreateParent, RenameCopy


def next_turn(waiting: Iterable[DatasetPlan], running: Collection[DatasetPlan]) -> DatasetPlan | None:
    """The first of those that wait, in the order of the whole plan, that may begin now; None when none may.

    Of what runs, a plan is as it was when it began, but for the parents that are `founded` since.
    """
    if any(_renames(plan) for plan in running):
        return None
    coming = {name for plan in running for name in _coming(plan)}
    passed = bool(running)
    for plan in waiting:
        if _renames(plan):
            return None if passed else plan
        if not is_below(plan.replica.target, coming):
            return plan
        coming |= _coming(plan)
        passed = True
    return None


def begins(plan: DatasetPlan) -> bool:
    """Whether the plan makes the first copy or brings it here: nothing can stand below it before it is done."""
    return _renames(plan) or any(transfer.base is None for transfer in plan.transfers[:1])


def founded(plan: DatasetPlan, parent: str) -> DatasetPlan:
    """The plan once a parent that it creates is there."""
    return replace(plan, steps=tuple(step for step in plan.steps if step != CreateParent(parent)))


def _coming(plan: DatasetPlan) -> set[str]:
    """What does not stand before the plan is done, by the names in the pool."""
    parents = {step.name for step in plan.steps if isinstance(step, CreateParent)}
    return parents | {plan.replica.target} if begins(plan) else parents


def _renames(plan: DatasetPlan) -> bool:
    return any(isinstance(step, RenameCopy) for step in plan.steps)
