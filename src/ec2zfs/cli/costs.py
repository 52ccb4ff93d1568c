"""What volumes cost, as a row to be shown: the sum a month by the dated price table."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ec2zfs.cloud.prices import Prices
    from ec2zfs.model.volume import Volume
    from ec2zfs.plan.volumes import CreateVolume


def volume_costs(prices: Prices, volumes: Iterable[Volume | CreateVolume]) -> dict[str, object]:
    """The GiB of these volumes, their price a month, and which prices these are."""
    from ec2zfs.cloud.prices import dollars

    gib: dict[str, int] = {}
    for volume in volumes:
        gib[volume.type] = gib.get(volume.type, 0) + volume.size_gib
    monthly = [prices.volumes_per_month(kind, size) for kind, size in gib.items()]
    known = [price for price in monthly if price is not None]
    total = dollars(sum(known, Decimal(0)) if len(known) == len(monthly) else None)
    return {"GiB": sum(gib.values()), "a month": total, "prices": prices.caption}
