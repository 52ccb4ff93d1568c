"""Describe calls give their answers in pages.

Rule: MaxResults limits a page, NextToken leads to the next one; a page shows the same things in the same order whatever
comes meanwhile; a token that was never given is refused (InvalidNextToken), and so is MaxResults together with ids
(InvalidParameterCombination) or out of its range (InvalidParameterValue). A page of instances counts instances, so that
a reservation of several may go on in the next page. Source: fact 14, EC2 API reference of each action. moto ignores
pages of volumes, images and security groups, and pages reservations instead of instances.
"""

from __future__ import annotations

import copy
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance, Reservation

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse


def _apart(reservations: Iterable[Reservation]) -> list[Reservation]:
    """Every instance in a reservation for itself: the items that a page counts."""
    return [_with(reservation, [instance]) for reservation in reservations for instance in reservation.instances]


def _together(items: Iterable[Reservation]) -> list[Reservation]:
    """The instances of a page in their reservations again."""
    groups = [list(group) for _, group in groupby(items, attrgetter("id"))]
    return [_with(group[0], [each for item in group for each in item.instances]) for group in groups]


def _with(reservation: Reservation, instances: list[Instance]) -> Reservation:
    shown = copy.copy(reservation)
    shown.instances = instances
    return shown


@dataclass(frozen=True)
class Paged:
    """A describe action: the list in its answer, its id parameter, the limits of MaxResults.

    `name` names an item. `apart` makes of the list what a page counts, `together` of a page what is shown.
    """

    items: str
    ids: str
    limits: tuple[int, int] = (5, 1000)
    name: Callable[[Any], str] = attrgetter("id")
    apart: Callable[[Iterable[Any]], list[Any]] = list
    together: Callable[[Iterable[Any]], list[Any]] = list


ACTIONS = {
    "describe_volumes": Paged("Volumes", "VolumeIds"),
    "describe_volumes_modifications": Paged(
        "VolumesModifications", "VolumeIds", (5, 500), name=attrgetter("volume_id")
    ),
    "describe_instances": Paged(
        "Reservations",
        "InstanceIds",
        name=lambda item: str(item.instances[0].id),
        apart=_apart,
        together=_together,
    ),
    "describe_snapshots": Paged("Snapshots", "SnapshotIds"),
    "describe_spot_instance_requests": Paged("SpotInstanceRequests", "SpotInstanceRequestIds"),
    "describe_instance_types": Paged("InstanceTypes", "InstanceTypes", (5, 100), name=attrgetter("name")),
    "describe_images": Paged("Images", "ImageIds"),
    "describe_security_groups": Paged("SecurityGroups", "GroupIds"),
}
# moto's own pages of DescribeInstances are switched off with a page that no lab can fill.
_ALL = 1_000_000


def install(local: LocalEc2) -> None:
    """Page every action that the product reads in pages, and what a user of the lab would: `ACTIONS`."""
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
    items = paged.apart(answer[paged.items])
    if token:
        named = {paged.name(item): item for item in items}
        items = [named[name] for name in rest[token] if name in named]
    page, left = (items[:size], items[size:]) if size else (items, [])
    return ActionResult({**answer, paged.items: paged.together(page), "NextToken": _token(rest, paged, left)})


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
    rest[token] = tuple(map(paged.name, left))
    return token
