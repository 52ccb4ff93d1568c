"""What things cost, by a dated table: list prices in USD before tax (facts 24, 35). Asks nobody; reads one file.

The table beside this module is that of us-east-1; the operator may lay a file of the same shape over it. What the table
does not know has no price (None), and is shown as unknown rather than guessed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from importlib import resources
from typing import TYPE_CHECKING, Any

from ec2zfs.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CENT = Decimal("0.01")


@dataclass(frozen=True)
class Tier:
    """Egress up to so many GiB a month (None: whatever is left) at USD a GiB."""

    up_to_gib: Decimal | None
    gib: Decimal


@dataclass(frozen=True)
class Prices:
    """The table: when and where it held, and USD by what is paid for."""

    dated: str
    region: str
    source: str
    volume_gib_month: Mapping[str, Decimal]
    instance_hour: Mapping[str, Decimal]
    public_address_hour: Decimal
    egress: tuple[Tier, ...]

    @property
    def caption(self) -> str:
        """Which prices these are; stands beside every sum that is shown."""
        return f"list prices of {self.region}, {self.dated}"

    def volumes_per_month(self, volume_type: str, gib: int) -> Decimal | None:
        """USD a month for so many GiB of volumes in all, with the performance that is included."""
        price = self.volume_gib_month.get(volume_type)
        return None if price is None else price * gib

    def instance_per_hour(self, instance_type: str) -> Decimal | None:
        """USD an hour for a running instance with its public address, on demand; spot costs less (fact 24)."""
        price = self.instance_hour.get(instance_type)
        return None if price is None else price + self.public_address_hour

    def instance_run(self, instance_type: str, seconds: float) -> Decimal | None:
        """USD for one run of an instance: billed by the second, a minute at least (fact 18)."""
        hourly = self.instance_per_hour(instance_type)
        return None if hourly is None else hourly * max(Decimal(60), Decimal(seconds)) / 3600

    def egress_to_internet(self, gib: float) -> Decimal:
        """USD for taking so many GiB out of AWS within a month, from the first of the month (fact 35)."""
        total, below, left = Decimal(0), Decimal(0), Decimal(gib)
        for tier in self.egress:
            room = left if tier.up_to_gib is None else min(left, tier.up_to_gib - below)
            total += room * tier.gib
            left -= room
            below = tier.up_to_gib or below
        return total


def load_prices(override: Path | None = None) -> Prices:
    """The built-in table, with the operator's file laid over it, section by section.

    Such a file must have its own `dated`. Raises `ConfigurationError` naming the file and what is wrong in it.
    """
    table = _parsed(resources.files(__package__).joinpath("prices.json").read_text(), "the built-in price table")
    if override is None:
        return _prices(table, "the built-in price table")
    name = str(override)
    try:
        laid_over = _parsed(override.read_text(), name)
    except OSError as error:
        raise ConfigurationError(f"The price file {name} cannot be read: {error.strerror}.") from error
    unknown = sorted(set(laid_over) - set(table))
    if unknown or "dated" not in laid_over:
        wrong = f"has the unknown key {unknown[0]}" if unknown else "has no date"
        raise ConfigurationError(
            f"The price file {name} {wrong}.", hint=f'Its keys are {", ".join(table)}; "dated" must be there.'
        )
    for key, value in laid_over.items():
        table[key] = table[key] | value if isinstance(value, dict) and isinstance(table[key], dict) else value
    return _prices(table | {"source": laid_over.get("source", name)}, name)


def dollars(amount: Decimal | None) -> str:
    """A sum for people: `$1,234.56`, `under $0.01`, or `unknown`."""
    if amount is None:
        return "unknown"
    return "under $0.01" if 0 < amount < _CENT else f"${amount:,.2f}"


def _parsed(text: str, name: str) -> dict[str, Any]:
    try:
        table = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except ValueError as error:
        raise ConfigurationError(f"The price file {name} is no JSON: {error}.") from error
    if not isinstance(table, dict):
        raise ConfigurationError(f"The price file {name} holds no object.")
    return table


def _prices(table: dict[str, Any], name: str) -> Prices:
    try:
        return Prices(
            dated=str(table["dated"]),
            region=str(table["region"]),
            source=str(table["source"]),
            volume_gib_month=_by_name(table["volume_gib_month"]),
            instance_hour=_by_name(table["instance_hour"]),
            public_address_hour=_amount(table["public_address_hour"]),
            egress=tuple(_tier(each) for each in table["egress"]),
        )
    except (TypeError, KeyError, AttributeError, ValueError, InvalidOperation) as error:
        raise ConfigurationError(
            f"The price file {name} is not of the right shape: {error}.", hint="Take prices.json as the pattern."
        ) from error


def _by_name(section: dict[str, Any]) -> dict[str, Decimal]:
    return {name: _amount(value) for name, value in section.items()}


def _tier(section: dict[str, Any]) -> Tier:
    limit = section["up_to_gib"]
    return Tier(None if limit is None else _amount(limit), _amount(section["gib"]))


def _amount(value: object) -> Decimal:
    if not isinstance(value, Decimal) or not value.is_finite() or value < 0:
        raise ValueError(f"{value!r} is no price")
    return value
