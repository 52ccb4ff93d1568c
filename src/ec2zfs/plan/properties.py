"""Decides which properties each copy is given, and which it loses again, so that it has what was set on its source.

Pure. A property is held, recorded or neither (model/properties.py); what cannot be read for certain stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from ec2zfs.model.properties import HELD, OURS, RECORD, RECORDED, SAME, SeenProperties, Setting, Settings
from ec2zfs.model.replication import Replica, ReplicationState
from ec2zfs.plan.copies import name_after
from ec2zfs.plan.replication import ReplicationPlan
from ec2zfs.plan.replication_steps import KeepProperties, RenameCopy

LONGEST_PROPERTY = 255
LONGEST_VALUE = 8191
"""Bytes that ZFS takes for the name of a user property, and for its value."""

USER_PROPERTY = re.compile(r"[a-z0-9:._-]+")


def with_properties(state: ReplicationState, plan: ReplicationPlan) -> ReplicationPlan:
    """The plan with what its copies are to be given, once they stand under the names that they will have by then."""
    if state.properties is None:
        return plan
    changes, passed, unread = list[KeepProperties](), list[str](), list[str]()
    for replica, begun, ours, theirs in _pairs(state.properties, plan):
        if replica.source in state.settled:
            continue
        if ours is None or theirs is None:
            unread.append(replica.source if ours is None else replica.target)
            continue
        passed += (f"{fault} {replica.target} is left as it is." for fault in _faults(replica.source, ours))
        if change := keep(replica.target, ours, theirs, begun=begun):
            changes.append(change)
    if unread:
        more = f" and of {len(unread) - 1} more datasets" if unread[1:] else ""
        passed.append(f"The properties of {unread[0]}{more} could not be read; the copies keep theirs for now.")
    return replace(plan, properties=tuple(changes), passed_over=tuple(passed))


def _pairs(
    seen: SeenProperties, plan: ReplicationPlan
) -> Iterator[tuple[Replica, bool, Settings | None, Settings | None]]:
    """Each copy that stands or is to be made: whether it is to be, and what is set on its source and on it."""
    copies = _renamed(seen.copies, plan.partings)
    for dataset in plan.datasets:
        copies = _renamed(copies, (step for step in dataset.steps if isinstance(step, RenameCopy)))
        begun, replica = dataset.common is None, dataset.replica
        if not dataset.conflict and (dataset.transfers or not begun):
            yield replica, begun, seen.sources.get(replica.source), copies.get(replica.target, {} if begun else None)


def _renamed(copies: Mapping[str, Settings], steps: Iterable[RenameCopy]) -> Mapping[str, Settings]:
    for step in steps:
        copies = {name_after(name, step.old, step.new): each for name, each in copies.items()}
    return copies


def keep(target: str, ours: Settings, theirs: Settings, *, begun: bool = False) -> KeepProperties | None:
    """What makes the copy's properties those of the source; None when they are. `begun`: the copy is yet to be made."""
    wanted = {name: value for name, value in _wanted(ours) if value is not None}
    known = {copied for copied, _ in _wanted(ours)}
    present = {name: _plain(name, each) for name, each in theirs.items() if name in HELD or name.startswith(RECORD)}
    given = tuple((name, value) for name, value in sorted(wanted.items()) if present.get(name) != value)
    taken = tuple(sorted(present.keys() - known))
    before = tuple((name, present[name]) for name, _ in given if name in present)
    return KeepProperties(target, given, taken, before, begun) if given or taken else None


def _wanted(ours: Settings) -> Iterator[tuple[str, str | None]]:
    """What the copy is to have by its names there; None where it is not known, or cannot be, and so stays as it is."""
    for name, setting in ours.items():
        if name in HELD:
            yield name, _plain(name, setting)
        elif _is_recorded(name):
            yield f"{RECORD}{name}", None if _misfit(name, setting) else setting.value


def _is_recorded(name: str) -> bool:
    return name in RECORDED or (":" in name and not name.startswith(OURS))


def _faults(source: str, ours: Settings) -> Iterator[str]:
    for name, setting in sorted(ours.items()):
        reason = setting.fault or (_misfit(name, setting) if _is_recorded(name) else "")
        if reason and (name in HELD or _is_recorded(name)):
            yield f"The property {name} of {source} is passed over: {reason}."


def _misfit(name: str, setting: Setting) -> str:
    """Why a property cannot be recorded, or ""."""
    record = f"{RECORD}{name}"
    if len(record.encode()) > LONGEST_PROPERTY:
        return f"with {RECORD} before it, its name is longer than {LONGEST_PROPERTY} bytes"
    if not USER_PROPERTY.fullmatch(record):
        return "its name has characters that no name of a user property may have"
    if setting.value is not None and len(setting.value.encode("utf-8", "surrogateescape")) > LONGEST_VALUE:
        return f"its value is longer than {LONGEST_VALUE} bytes"
    return ""


def _plain(name: str, setting: Setting) -> str | None:
    value = setting.value
    return value if value is None else SAME.get((name, value), value)
