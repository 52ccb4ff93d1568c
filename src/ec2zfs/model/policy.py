"""Which snapshots are taken of a dataset, how many of them each tier keeps, and how datasets come to their policy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from enum import StrEnum
from functools import cache

from ec2zfs.model.period import STANDARD as PERIODS
from ec2zfs.model.period import Period


class Tier(StrEnum):
    """A place where snapshots of a source stand: the site itself, the staging pool, the cloud pool."""

    SITE = "site"
    STAGING = "staging"
    CLOUD = "cloud"


@dataclass(frozen=True)
class Keep:
    """How many snapshots of a period are kept: the newest `count`, and of these only what is not older than `age`."""

    count: int
    age: timedelta | None = None


Keeps = Mapping[str, Keep]
"""What a tier keeps, by the names of periods."""


@dataclass(frozen=True)
class Policy:
    """What each tier keeps. A period that no tier keeps is not taken."""

    keeps: Mapping[Tier, Keeps] = field(default_factory=dict)

    @property
    def periods(self) -> tuple[str, ...]:
        """The periods of which snapshots are taken: those that any tier keeps."""
        rules = [(name, keep) for keeps in self.keeps.values() for name, keep in keeps.items()]
        return tuple(dict.fromkeys(name for name, keep in rules if keep.count))

    def of(self, tier: Tier) -> Keeps:
        """What a tier keeps."""
        return self.keeps.get(tier, {})


_AWAY = {"daily": Keep(30), "weekly": Keep(8), "monthly": Keep(12), "biannual": Keep(4), "annual": Keep(10)}
STANDARD = Policy(
    {
        Tier.SITE: {"hourly": Keep(48), "mid-day": Keep(14), **_AWAY},
        Tier.STAGING: _AWAY,
        Tier.CLOUD: _AWAY,
    }
)
"""What holds where nothing is configured."""


@dataclass(frozen=True)
class PolicyRule:
    """What is configured for the datasets that match a pattern, and for all below them.

    A tier that it does not tell of keeps what the rules before say. In a pattern `*` and `?` stand for text without a
    slash, `**` for any text. `exclude`: no snapshots are taken of them, and none are replicated.
    """

    patterns: tuple[str, ...]
    keeps: Mapping[Tier, Keeps] = field(default_factory=dict)
    exclude: bool = False

    def covers(self, dataset: str) -> bool:
        """Whether the rule is for the dataset."""
        return any(_pattern(each).fullmatch(dataset) for each in self.patterns)


def policy_of(dataset: str, rules: Iterable[PolicyRule]) -> Policy | None:
    """A dataset's policy, where later rules prevail; None when it is excluded."""
    keeps, excluded = dict(STANDARD.keeps), False
    for rule in rules:
        if rule.covers(dataset):
            excluded = rule.exclude
            keeps |= rule.keeps
    return None if excluded else Policy(keeps)


@cache
def _pattern(text: str) -> re.Pattern[str]:
    """A pattern for datasets, and what is below them."""
    words = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*|\*|\?)", text)
    return re.compile("".join(words.get(part) or re.escape(part) for part in parts) + "(/.*)?", re.DOTALL)


@dataclass(frozen=True)
class Schedule:
    """When snapshots are due, and which stay: the periods that there are, the zone of their clock, the rules."""

    zone: tzinfo = UTC
    periods: tuple[Period, ...] = PERIODS
    rules: tuple[PolicyRule, ...] = ()

    def policy_of(self, dataset: str) -> Policy | None:
        """A dataset's policy; None when it is excluded."""
        return policy_of(dataset, self.rules)

    def policies(self, datasets: Iterable[str]) -> dict[str, Policy]:
        """The policies of the datasets that are not excluded."""
        found = ((name, self.policy_of(name)) for name in datasets)
        return {name: policy for name, policy in found if policy}
