"""Which properties of a source its copy is given: tables of what is set there and here, and what follows."""

from __future__ import annotations

import pytest

from ec2zfs.model.properties import HELD, RECORDED, SeenProperties, Setting, Settings
from ec2zfs.model.replication import ReplicationState
from ec2zfs.model.snapshot import Dataset, Snapshot
from ec2zfs.plan.properties import keep, with_properties
from ec2zfs.plan.replication import ReplicationPlan, plan_replication
from ec2zfs.plan.replication_steps import KeepProperties

FITTING = "a:" + "b" * (255 - len("ec2zfs:property:a:"))


def settings(**values: str) -> Settings:
    return set_on({name.replace("__", ":"): value for name, value in values.items()})


def set_on(values: dict[str, str]) -> Settings:
    return {name: Setting(value) for name, value in values.items()}


def test_nothing_is_held_and_recorded() -> None:
    assert not HELD & RECORDED


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({}, {}, ""),
        ({"compression": "lz4"}, {}, "set compression=lz4"),
        ({"compression": "lz4"}, {"compression": "lz4"}, ""),
        ({"compression": "lz4"}, {"compression": "off"}, "set compression=lz4 (was off)"),
        ({}, {"compression": "off"}, "inherit compression"),
        ({"mountpoint": "/a b"}, {}, "set ec2zfs:property:mountpoint=/a b"),
        ({"mountpoint": "/a"}, {"ec2zfs:property:mountpoint": "/a"}, ""),
        ({}, {"ec2zfs:property:mountpoint": "/a"}, "inherit ec2zfs:property:mountpoint"),
        ({"com.sun:auto-snapshot": ""}, {}, "set ec2zfs:property:com.sun:auto-snapshot="),
        ({"com.sun:auto-snapshot": "-rf"}, {}, "set ec2zfs:property:com.sun:auto-snapshot=-rf"),
        ({"volsize": "1", "filesystem_count": "7", "ec2zfs:holds": "cloud"}, {}, ""),
        ({}, {"readonly": "on", "canmount": "noauto", "ec2zfs:send": "-w", "my:note": "x"}, ""),
        ({"xattr": "sa"}, {"xattr": "on"}, ""),
        ({"xattr": "on"}, {"xattr": "on"}, ""),
        ({"xattr": "on"}, {}, "set xattr=sa"),
        ({"a:b": "esc\x1b[1m"}, {}, r"set ec2zfs:property:a:b='esc\x1b[1m'"),
        (
            {"atime": "off", "quota": "7"},
            {"relatime": "on", "ec2zfs:property:quota": "9", "ec2zfs:property:a:b": ""},
            "set atime=off, ec2zfs:property:quota=7 (was 9) and inherit ec2zfs:property:a:b, relatime",
        ),
    ],
)
def test_what_differs_is_set_or_inherited(ours: dict[str, str], theirs: dict[str, str], words: str) -> None:
    change = keep("cloud/tank", set_on(ours), set_on(theirs))
    assert (str(change) if change else "") == (f"{words} on cloud/tank" if words else "")


UNKNOWN = Setting(None)


def test_what_cannot_be_told_at_the_source_stays_as_it_is() -> None:
    theirs = settings(atime="off", ec2zfs__property__exec="off")
    assert keep("cloud/tank", {"atime": UNKNOWN, "exec": UNKNOWN}, theirs) is None


def test_what_cannot_be_told_on_the_copy_is_set_or_inherited() -> None:
    change = keep("cloud/tank", settings(a__b="x"), {"ec2zfs:property:a:b": UNKNOWN, "ec2zfs:property:c:d": UNKNOWN})
    assert change == KeepProperties(
        "cloud/tank", (("ec2zfs:property:a:b", "x"),), ("ec2zfs:property:c:d",), (("ec2zfs:property:a:b", None),)
    )
    assert str(change) == "set ec2zfs:property:a:b=x and inherit ec2zfs:property:c:d on cloud/tank"


def dataset(name: str, *snapshots: str) -> Dataset:
    return Dataset(
        name, 1, encrypted=False, snapshots=tuple(Snapshot(name, each, ord(each), ord(each)) for each in snapshots)
    )


def planned(
    ours: Settings | None, theirs: Settings | None = None, copy: str = "a", source: str = "a"
) -> ReplicationPlan:
    """The plan for `tank`; `copy` and `source` hold a letter for each snapshot."""
    targets = (dataset("cloud"), *((dataset("cloud/tank", *copy),) if copy else ()))
    seen = SeenProperties(
        {} if ours is None else {"tank": ours}, {"cloud": {}} | ({} if theirs is None else {"cloud/tank": theirs})
    )
    state = ReplicationState("cloud", (dataset("tank", *source),), targets, properties=seen)
    return with_properties(state, plan_replication(state))


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        (FITTING, "", ""),
        (f"{FITTING}b", "", "its name is longer than 255 bytes"),
        ("a:B", "", "characters that no name of a user property may have"),
        ("a:b", "ü" * 4095, ""),
        ("a:b", "ü" * 4096, "its value is longer than 8191 bytes"),
    ],
)
def test_what_does_not_fit_is_passed_over_and_told(name: str, value: str, reason: str) -> None:
    plan = planned({name: Setting(value)}, {})
    assert (len(plan.properties), len(plan.passed_over)) == ((0, 1) if reason else (1, 0))
    assert reason in "".join(plan.passed_over)
    if reason:
        assert planned({name: Setting(value)}, {f"ec2zfs:property:{name}": Setting("old")}).properties == ()


def test_a_fault_is_told_of_what_would_be_kept_only() -> None:
    broken = Setting(None, "its value is broken over lines")
    assert planned({"volsize": broken, "ec2zfs:holds": broken}, {}).passed_over == ()
    (told,) = planned({"mountpoint": broken}, {}).passed_over
    assert told == (
        "The property mountpoint of tank is passed over: its value is broken over lines. cloud/tank is left as it is."
    )


@pytest.mark.parametrize(
    ("case", "plan"),
    [
        ("the source could not be read", planned(None, settings(atime="off"))),
        ("the copy could not be read", planned(settings(atime="off"), None)),
    ],
)
def test_what_was_not_seen_is_left_alone(case: str, plan: ReplicationPlan) -> None:
    assert plan.properties == (), case
    assert "could not be read" in plan.passed_over[0]


@pytest.mark.parametrize(
    ("copy", "source", "begun"),
    [("", "a", True), ("a", "a", False), ("a", "ab", False), ("", "", None), ("b", "a", None)],
)
def test_a_copy_is_given_properties_when_it_stands_or_is_to_be_made(copy: str, source: str, begun: bool | None) -> None:
    plan = planned(settings(atime="off"), {} if copy else None, copy, source)
    assert [each.begun for each in plan.properties] == ([] if begun is None else [begun])
    assert plan.passed_over == ()


def test_what_nobody_looked_at_is_no_part_of_the_plan() -> None:
    state = ReplicationState("cloud", (dataset("tank", "a"),), (dataset("cloud"),))
    plan = plan_replication(state)
    assert with_properties(state, plan) is plan


def test_a_copy_that_follows_its_source_has_its_properties_with_it() -> None:
    source = dataset("tank/new", "a")
    seen = SeenProperties({"tank/new": settings(atime="off", exec="off")}, {"cloud/tank/old": settings(atime="off")})
    targets = tuple(
        dataset(name, *("a" if "old" in name else "")) for name in ("cloud", "cloud/tank", "cloud/tank/old")
    )
    state = ReplicationState("cloud", (source,), targets, identities={"cloud/tank/old": 1}, properties=seen)
    (change,) = with_properties(state, plan_replication(state)).properties
    assert change == KeepProperties("cloud/tank/new", (("ec2zfs:property:exec", "off"),))
