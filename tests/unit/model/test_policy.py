"""How datasets come to their policy."""

from __future__ import annotations

import pytest

from ec2zfs.model.policy import STANDARD, Keep, Policy, PolicyRule, Tier, policy_of

FEW = {Tier.SITE: {"daily": Keep(3)}}
MANY = {Tier.SITE: {"daily": Keep(300)}, Tier.CLOUD: {"annual": Keep(100)}}


@pytest.mark.parametrize(
    ("pattern", "dataset", "covered"),
    [
        ("tank/home", "tank/home", True),
        ("tank/home", "tank/home/ada/mail", True),
        ("tank/home", "tank/homes", False),
        ("tank/home", "tank", False),
        ("tank/*/db", "tank/a/db", True),
        ("tank/*/db", "tank/a/db/logs", True),
        ("tank/*/db", "tank/a/b/db", False),
        ("tank/**/db", "tank/a/b/db", True),
        ("tank/user?", "tank/user1", True),
        ("tank/user?", "tank/user12", False),
        ("tank/a.b", "tank/aXb", False),
        ("tank/with space", "tank/with space/x", True),
        ("**", "any/thing", True),
    ],
)
def test_a_rule_is_for_what_matches_and_all_below(pattern: str, dataset: str, covered: bool) -> None:
    assert PolicyRule(("other", pattern)).covers(dataset) is covered


def test_without_rules_the_standard_holds() -> None:
    assert policy_of("tank/home", ()) == STANDARD


def test_later_rules_prevail_tier_by_tier() -> None:
    rules = [PolicyRule(("tank",), MANY), PolicyRule(("tank/home",), FEW)]
    assert policy_of("tank/www", rules) == Policy({**STANDARD.keeps, **MANY})
    assert policy_of("tank/home/ada", rules) == Policy({**STANDARD.keeps, **MANY, **FEW})


def test_what_is_excluded_can_be_taken_in_again_below() -> None:
    rules = [PolicyRule(("tank/tmp",), exclude=True), PolicyRule(("tank/tmp/precious",), FEW)]
    assert policy_of("tank/tmp", rules) is None
    assert policy_of("tank/tmp/x", rules) is None
    assert policy_of("tank/tmp/precious/x", rules) == Policy({**STANDARD.keeps, **FEW})


def test_what_any_tier_keeps_is_taken() -> None:
    policy = Policy({Tier.SITE: {"hourly": Keep(0), "daily": Keep(2)}, Tier.CLOUD: {"annual": Keep(1)}})
    assert policy.periods == ("daily", "annual")
    assert policy.of(Tier.STAGING) == {}
