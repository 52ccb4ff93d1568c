"""Describe calls give their answers in pages.

Rule: MaxResults limits a page, NextToken leads to the next one; a page shows the same things in the same order whatever
comes meanwhile; a token that was never given is refused (InvalidNextToken), and so is MaxResults together with ids
(InvalidParameterCombination) or out of its range (InvalidParameterValue). Source: fact 14, EC2 API reference of each
action. moto ignores pages of volumes, and pages reservations instead of instances.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from moto.core.responses import ActionResult

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse


@dataclass(frozen=True)
class Paged:
    """A describe action: the list in its answer, its id parameter, the limits of MaxResults, how items are named."""

    items: str
    ids: str
    limits: tuple[int, int]
    key: str


ACTIONS = {
    "describe_volumes": Paged("Volumes", "VolumeIds", (5, 1000), "id"),
    "describe_volumes_modifications": Paged("VolumesModifications", "VolumeIds", (5, 500), "volume_id"),
    "describe_instances": Paged("Reservations", "InstanceIds", (5, 1000), "id"),
    "describe_snapshots": Paged("Snapshots", "SnapshotIds", (5, 1000), "id"),
    "describe_spot_instance_requests": Paged("SpotInstanceRequests", "SpotInstanceRequestIds", (5, 1000), "id"),
    "describe_instance_types": Paged("InstanceTypes", "InstanceTypes", (5, 100), "name"),
}
# moto's own pages of DescribeInstances are switched off with a page that no lab can fill.
_ALL = 1_000_000


def install(local: LocalEc2) -> None:
    """Page every action that the product reads in pages."""
    for action, paged in ACTIONS.items():
        rest: dict[str, tuple[str, ...]] = {}
        local.on_action(action, partial(_describe, paged, rest))


def _describe(paged: Paged, rest: dict[str, tuple[str, ...]], proceed: Proceed, call: ActionCall) -> ActionResult:
    size, token = call.number("MaxResults"), call.text("NextToken")
    _check(paged, size, call.texts(paged.ids))
    if token and token not in rest:
        refuse("InvalidNextToken", f"The token '{token}' is invalid or has expired.")
    call.set_parameter("NextToken", None)
    call.set_parameter("MaxResults", _ALL if paged.items == "Reservations" else None)
    answer = cast(dict[str, Any], proceed().result)
    items = list(answer[paged.items])
    if token:
        wanted = {name: place for place, name in enumerate(rest[token])}
        items = sorted((item for item in items if _name(paged, item) in wanted), key=lambda i: wanted[_name(paged, i)])
    page, left = (items[:size], items[size:]) if size else (items, [])
    return ActionResult({**answer, paged.items: page, "NextToken": _token(rest, paged, left)})


def _check(paged: Paged, size: int | None, ids: list[str]) -> None:
    if size is None:
        return
    if ids:
        refuse("InvalidParameterCombination", f"The parameter {paged.ids} cannot be used with the parameter maxResults")
    least, most = paged.limits
    if not least <= size <= most:
        refuse(
            "InvalidParameterValue",
            f"Value ({size}) for parameter maxResults is not in {least}-{most}.",
        )


def _token(rest: dict[str, tuple[str, ...]], paged: Paged, left: list[Any]) -> str | None:
    if not left:
        return None
    token = secrets.token_urlsafe(24)
    rest[token] = tuple(_name(paged, item) for item in left)
    return token


def _name(paged: Paged, item: object) -> str:
    name: str = getattr(item, paged.key)
    return name
