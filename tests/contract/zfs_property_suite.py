"""What `zfs get`, `zfs set` and `zfs inherit` must do with the properties of sources and copies: cases of zfs_suite.py,
for real OpenZFS and for the tests' memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.contract.zfs_sides import Sides

from ec2zfs.model.properties import HELD, Setting, Settings
from ec2zfs.model.send_flags import SendFlags
from ec2zfs.plan.properties import keep as plan_keep
from ec2zfs.plan.replication_steps import Full, Incremental, KeepProperties
from ec2zfs.tools.zfs_properties import keep, settings

AWKWARD = " -rf\t*'\"$(x) `y` \\n %s ünï ☃ "

VALUES: tuple[dict[str, str], ...] = (
    {
        "aclinherit": "passthrough-x",
        "acltype": "posix",
        "atime": "on",
        "compression": "zstd-3",
        "dnodesize": "auto",
        "logbias": "throughput",
        "recordsize": "1048576",
        "relatime": "on",
        "snapdir": "visible",
        "xattr": "sa",
    },
    {
        "aclinherit": "restricted",
        "acltype": "nfsv4",
        "atime": "off",
        "compression": "gzip-9",
        "dnodesize": "16k",
        "logbias": "latency",
        "recordsize": "512",
        "relatime": "off",
        "snapdir": "hidden",
        "xattr": "on",
    },
    {"acltype": "off", "compression": "on", "dnodesize": "legacy", "recordsize": "131072", "xattr": "off"},
)
"""What a source may have set: a copy takes all of it, and tells it in the same words or in words that we know."""


def told(sides: Sides, dataset: str) -> Settings:
    return settings(sides.receiver, [dataset])[dataset]


def what_is_set_is_told_and_not_what_is_inherited(sides: Sides) -> None:
    child = f"{sides.source}/child"
    sides.hands.create(child)
    before = settings(sides.site, [sides.source, child, f"{sides.source}/none"])
    assert before[child] == {}
    assert before.keys() == {sides.source, child}
    for change in ("recordsize=1048576", "quota=1073741824", f"my:note={AWKWARD}", "my:empty=", "my:lines=x\ny"):
        sides.hands.assign(change, sides.source)
    found = settings(sides.site, [sides.source, child])
    assert found[child] == {}
    assert {"recordsize": Setting("1048576"), "quota": Setting("1073741824")}.items() <= found[sides.source].items()
    assert {"my:note": Setting(AWKWARD), "my:empty": Setting("")}.items() <= found[sides.source].items()
    assert found[sides.source]["my:lines"].value is None
    assert "line breaks" in found[sides.source]["my:lines"].fault


def a_copy_takes_all_that_a_source_may_have_and_loses_it_again(sides: Sides) -> None:
    one = sides.grown("one")
    sides.send(Full(sides.replica, one))
    born = told(sides, sides.target)
    for values in VALUES:
        ours = {name: Setting(value) for name, value in values.items()} | {"my:note": Setting(AWKWARD)}
        change = plan_keep(sides.target, ours, told(sides, sides.target))
        assert change
        assert keep(sides.receiver, [change]) == []
        assert plan_keep(sides.target, ours, told(sides, sides.target)) is None
    assert VALUES[0].keys() == HELD
    two = sides.grown("two")
    sides.send(Incremental(sides.replica, one, two))
    change = plan_keep(sides.target, {}, told(sides, sides.target))
    assert change
    assert keep(sides.receiver, [change]) == []
    assert told(sides, sides.target) == born
    sides.send(Incremental(sides.replica, two, sides.grown("three")))


def what_is_not_taken_is_told_and_the_rest_is_set(sides: Sides) -> None:
    sides.send(Full(sides.replica, sides.grown("one")))
    given = (("atime", "off"), ("compression", "nonsense"), ("nosuchproperty", "on"), ("ec2zfs:property:exec", "off"))
    refused = keep(sides.receiver, [KeepProperties(sides.target, given)])
    assert [(each.dataset, each.name) for each in refused] == [
        (sides.target, "compression"),
        (sides.target, "nosuchproperty"),
    ]
    assert "must be one of" in refused[0].words
    assert "invalid property" in refused[1].words
    found = told(sides, sides.target)
    assert (found["atime"], found["ec2zfs:property:exec"]) == (Setting("off"), Setting("off"))
    assert "compression" not in found
    (gone,) = keep(sides.receiver, [KeepProperties(f"{sides.target}-none", (("atime", "off"),))])
    assert "does not exist" in gone.words


def names_and_values_may_be_as_long_as_we_think(sides: Sides) -> None:
    sides.send(Full(sides.replica, sides.grown("one")))
    longest = "ec2zfs:property:a:" + "b" * (255 - len("ec2zfs:property:a:"))
    assert keep(sides.receiver, [KeepProperties(sides.target, ((longest, "v" * 8191),))]) == []
    assert told(sides, sides.target)[longest] == Setting("v" * 8191)
    (refused,) = keep(sides.receiver, [KeepProperties(sides.target, ((f"{longest}b", "v"),))])
    assert "too long" in refused.words
    (refused,) = keep(sides.receiver, [KeepProperties(sides.target, (("ec2zfs:property:a:b", "v" * 8192),))])
    assert "too long" in refused.words


def a_sealed_copy_takes_properties_without_its_key_and_goes_on(sides: Sides) -> None:
    sealed = f"{sides.source}/sealed"
    sides.hands.create(sealed, sealed=True)
    there = replace(sides, source=sealed)
    replica = replace(there.replica, flags=SendFlags.RAW)
    one = there.grown("one")
    there.send(Full(replica, one))
    given = (
        ("compression", "zstd"),
        ("ec2zfs:property:keylocation", "prompt"),
        ("recordsize", "1048576"),
        ("xattr", "dir"),
    )
    assert keep(there.receiver, [KeepProperties(there.target, given)]) == []
    found = told(there, there.target)
    assert {name: Setting(value) for name, value in given}.items() <= found.items()
    two = there.grown("two")
    there.send(Incremental(replica, one, two))
    assert there.copied() == [("one", one.guid), ("two", two.guid)]


PROPERTY_CASES: tuple[Callable[[Sides], None], ...] = (
    what_is_set_is_told_and_not_what_is_inherited,
    a_copy_takes_all_that_a_source_may_have_and_loses_it_again,
    what_is_not_taken_is_told_and_the_rest_is_set,
    names_and_values_may_be_as_long_as_we_think,
    a_sealed_copy_takes_properties_without_its_key_and_goes_on,
)
