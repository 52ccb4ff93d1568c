"""What things cost, by the dated table."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from ec2zfs.cloud.prices import dollars, load_prices
from ec2zfs.errors import ConfigurationError

LIST = load_prices()


def test_the_date_is_always_at_hand() -> None:
    assert LIST.caption == "list prices of us-east-1, 2026-07-20"


@pytest.mark.parametrize(
    ("kind", "gib", "month"),
    [("gp3", 12500, "1000"), ("st1", 12500, "562.5"), ("sc1", 12500, "187.5"), ("gp3", 40, "3.2"), ("gp9", 1, None)],
)
def test_volumes_by_the_month(kind: str, gib: int, month: str | None) -> None:
    assert LIST.volumes_per_month(kind, gib) == (None if month is None else Decimal(month))


@pytest.mark.parametrize(
    ("kind", "seconds", "cost"),
    [
        ("m7g.medium", 3600, "0.0458"),
        ("m7g.medium", 7200, "0.0916"),
        ("m7g.medium", 1, "0.000763"),
        ("u-24tb1.metal", 3600, None),
    ],
)
def test_a_run_of_an_instance_with_its_address(kind: str, seconds: float, cost: str | None) -> None:
    run = LIST.instance_run(kind, seconds)
    assert (run and run.quantize(Decimal("0.000001"))) == (None if cost is None else Decimal(cost))


@pytest.mark.parametrize(
    ("gib", "cost"), [(0, "0"), (100, "0"), (101, "0.09"), (10240, "912.6"), (10340, "921.1"), (200000, "13882.2")]
)
def test_egress_by_its_tiers(gib: int, cost: str) -> None:
    assert LIST.egress_to_internet(gib) == Decimal(cost)


@pytest.mark.parametrize(
    ("amount", "text"),
    [("1234.5", "$1,234.50"), ("0", "$0.00"), ("0.004", "under $0.01"), ("0.01", "$0.01"), (None, "unknown")],
)
def test_dollars(amount: str | None, text: str) -> None:
    assert dollars(None if amount is None else Decimal(amount)) == text


def test_a_file_is_laid_over_the_table(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"dated": "2026-11-01", "region": "eu-west-1", "instance_hour": {"m7g.medium": 0.045, "x.y": 1}}')
    mine = load_prices(path)
    assert mine.caption == "list prices of eu-west-1, 2026-11-01"
    assert mine.source == str(path)
    assert mine.instance_hour["m7g.medium"] == Decimal("0.045")
    assert mine.instance_hour["x.y"] == 1
    assert mine.instance_hour["m7g.large"] == LIST.instance_hour["m7g.large"]
    assert mine.volume_gib_month == LIST.volume_gib_month


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "is no JSON"),
        ("[]", "holds no object"),
        ({"region": "x"}, "has no date"),
        ({"dated": "2026-11-01", "volumes": {}}, "unknown key volumes"),
        ({"dated": "2026-11-01", "volume_gib_month": {"gp3": "cheap"}}, "'cheap' is no price"),
        ({"dated": "2026-11-01", "public_address_hour": -1}, "is no price"),
        ({"dated": "2026-11-01", "egress": [{"gib": 1}]}, "not of the right shape"),
        ({"dated": "2026-11-01", "egress": 1}, "not of the right shape"),
        ({"dated": "2026-11-01", "instance_hour": 1}, "not of the right shape"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: object, words: str) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_prices(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.json cannot be read: No such file"):
        load_prices(tmp_path / "none.json")
