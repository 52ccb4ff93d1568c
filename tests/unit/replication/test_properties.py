"""Properties in whole runs on imagined ZFS: what copies have after each, what it costs, and what is told."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes.fuse import Fuse, Killed
from tests.fakes.zfs_world import unheard
from tests.unit.replication.world import TANK, World, deaths_of

from ec2zfs.errors import CommandFailed, HostError
from ec2zfs.execute.replication import preview
from ec2zfs.model.properties import HELD, RECORD, RECORDED

NAMES = ("tank", "tank/a", "tank/a/deep", "tank/disk")


def given_to(world: World, source: str) -> dict[str, str]:
    """What the copy has of its source's properties."""
    found = world.receiver.zfs.find(f"cloud/{source}").properties
    return {name: value for name, value in found.items() if name in HELD or name.startswith(RECORD)}


def expected(properties: Mapping[str, str]) -> dict[str, str]:
    held = {name: value for name, value in properties.items() if name in HELD}
    others = {name: value for name, value in properties.items() if name in RECORDED or ":" in name}
    return held | {f"{RECORD}{name}": value for name, value in others.items()}


def grown() -> World:
    """A tree with a snapshot of each; the first copies are yet to be made."""
    world = World()
    for name in NAMES[1:]:
        world.site.zfs.create(name, kind="volume" if name == "tank/disk" else "filesystem")
    for name in NAMES:
        world.site.zfs.snapshot(name, "one")
    world.site.zfs.find("tank").properties |= {"compression": "zstd", "mountpoint": "/srv/with\ttab", "quota": "100"}
    world.site.zfs.find("tank/a").properties |= {"com.sun:auto-snapshot": "false", "sharenfs": "-rf ünï"}
    world.site.zfs.find("tank/a").received |= {"recordsize": "1048576", "com.sun:auto-snapshot": "true"}
    world.site.zfs.find("tank/disk").properties |= {"volsize": "1000", "refreservation": "1000", "snapdev": "visible"}
    return world


def commands(world: World) -> tuple[int, int]:
    counts = len(world.site.commands), len(world.receiver.commands)
    for host in (world.site, world.receiver):
        host.commands.clear()
    return counts


def test_a_new_copy_has_what_is_harmless_and_records_the_rest() -> None:
    world = grown()
    report = world.replicate()
    assert given_to(world, "tank") == {
        "compression": "zstd",
        "ec2zfs:property:mountpoint": "/srv/with\ttab",
        "ec2zfs:property:quota": "100",
    }
    assert given_to(world, "tank/a") == {
        "recordsize": "1048576",
        "ec2zfs:property:com.sun:auto-snapshot": "false",
        "ec2zfs:property:sharenfs": "-rf ünï",
    }
    assert given_to(world, "tank/a/deep") == {}
    assert given_to(world, "tank/disk") == {
        "ec2zfs:property:refreservation": "1000",
        "ec2zfs:property:snapdev": "visible",
    }
    assert [each.target for each in report.properties] == ["cloud/tank", "cloud/tank/a", "cloud/tank/disk"]
    assert report.warnings == ()


def test_later_runs_follow_the_source_and_set_back_what_was_changed_on_the_copy() -> None:
    world = grown()
    world.replicate()
    world.receiver.zfs.find("cloud/tank").properties |= {"compression": "off", "atime": "off"}
    del world.site.zfs.find("tank/a").properties["sharenfs"]
    world.site.zfs.find("tank/disk").properties["compression"] = "lz4"
    report = world.replicate()
    assert [str(each) for each in report.properties] == [
        "set compression=zstd (was off) and inherit atime on cloud/tank",
        "inherit ec2zfs:property:sharenfs on cloud/tank/a",
        "set compression=lz4 on cloud/tank/disk",
    ]
    for name in NAMES:
        held = world.site.zfs.find(name)
        assert given_to(world, name) == expected(held.received | held.properties)
    assert world.replicate().properties == ()


@pytest.mark.parametrize("copies", [3, 60])
def test_differences_cost_one_execution_and_none_costs_none(copies: int) -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    for number in range(copies):
        world.site.zfs.create(f"tank/{number}", properties={"compression": "lz4"})
        world.site.zfs.snapshot(f"tank/{number}", "one")
    world.replicate()
    commands(world)
    world.replicate()
    assert commands(world) == (3, 5)
    for number in range(copies):
        world.site.zfs.find(f"tank/{number}").properties |= {"compression": "off", "exec": "off"}
    assert len(world.replicate().properties) == copies
    assert commands(world) == (3, 5)
    assert world.replicate().properties == ()


def test_what_the_receivers_zfs_does_not_take_is_told_and_the_rest_is_set() -> None:
    world = grown()
    world.receiver.zfs.unknown = frozenset({"dnodesize"})
    world.site.zfs.find("tank").properties |= {"dnodesize": "auto", "atime": "off"}
    report = world.replicate()
    assert report.errors == ()
    assert report.warnings == (
        "cloud/tank keeps its dnodesize as it is: cannot set property for 'cloud/tank': invalid property 'dnodesize'",
    )
    assert {"compression": "zstd", "atime": "off"}.items() <= given_to(world, "tank").items()


def test_a_value_that_a_mount_option_hides_is_no_reason_to_change_the_copy() -> None:
    world = grown()
    world.site.zfs.find("tank").properties["atime"] = "on"
    world.replicate()
    world.site.zfs.find("tank").temporary["atime"] = "off"
    report = world.replicate()
    assert (report.properties, report.warnings) == ((), ())
    assert given_to(world, "tank")["atime"] == "on"


FORGED = "x\ntank/a\tcompression\tlocal\toff\ntank/a\tsharenfs\tlocal\t*"


def test_a_value_that_looks_like_properties_of_others_gives_them_nothing() -> None:
    world = grown()
    world.site.zfs.find("tank").properties["evil:note"] = FORGED
    report = world.replicate()
    assert given_to(world, "tank/a") == {"recordsize": "1048576"}
    assert "ec2zfs:property:evil:note" not in given_to(world, "tank")
    passed = [each.partition(" is passed over")[0].removeprefix("The property ") for each in report.warnings]
    assert passed == ["evil:note of tank", "com.sun:auto-snapshot of tank/a", "sharenfs of tank/a"]


def test_what_is_no_copy_of_ours_is_given_nothing() -> None:
    world = grown()
    world.receiver.zfs.create("cloud/tank")
    world.receiver.zfs.snapshot("cloud/tank", "theirs")
    report = world.replicate()
    assert [each.replica.target for each in report.errors] == ["cloud/tank"]
    assert given_to(world, "tank") == {}
    assert given_to(world, "tank/a")


def test_a_copy_that_could_not_be_made_is_given_nothing() -> None:
    world = grown()
    failure = CommandFailed("receiver", ("zfs", "receive"), 1, "permission denied")
    world.transport.break_at = dict.fromkeys(range(4, 20), failure)
    report = world.replicate()
    assert [each.replica.source for each in report.errors] == ["tank/disk"]
    assert [each.target for each in report.properties] == ["cloud/tank", "cloud/tank/a"]
    assert given_to(world, "tank/disk") == {}
    world.transport.break_at.clear()
    assert [each.target for each in world.replicate().properties] == ["cloud/tank/disk"]


def test_a_host_that_goes_while_properties_are_set_leaves_them_to_the_next_run() -> None:
    world = grown()

    def gone(event: str) -> None:
        if event.startswith("receiver: before zfs set compression"):
            raise HostError("the receiver is gone")

    world.listen(gone)
    report = world.replicate()
    assert report.warnings == ("The properties of copies wait for the next run: the receiver is gone",)
    assert (report.steps, report.properties) == (4, ())
    world.listen()
    assert len(world.replicate().properties) == 3


def test_killed_at_any_moment_the_next_run_ends_with_the_same_properties() -> None:
    whole = grown()
    deaths = deaths_of(whole, at_least=9)
    straight = {name: given_to(whole, name) for name in NAMES}
    for death in deaths:
        world = death.world
        world.replicate().raise_for_errors()
        assert {name: given_to(world, name) for name in NAMES} == straight, death.calls
        assert world.replicate().properties == ()


def test_the_preview_tells_what_new_copies_are_given() -> None:
    world = grown()
    plan = preview(world.site, TANK, "cloud", world.selection)
    assert [each.target for each in plan.properties] == ["cloud/tank", "cloud/tank/a", "cloud/tank/disk"]
    world.replicate()
    assert preview(world.site, TANK, "cloud", world.selection).properties == ()


@dataclass(frozen=True)
class Event:
    """A property is set or unset, at the site or by hand on a copy; or a run dies at a moment (0: it does not)."""

    what: str
    dataset: str = "tank"
    name: str = ""
    value: str = ""
    moment: int = 0


whats = st.sampled_from(("set", "unset", "set on the copy", "unset on the copy"))
datasets = st.sampled_from(NAMES)
natives = st.sampled_from(("compression", "recordsize", "atime", "mountpoint", "quota", "volsize"))
others = st.sampled_from(("my:note", "b:c"))
histories = st.lists(
    st.one_of(
        st.builds(Event, whats, datasets, natives, st.sampled_from(("on", "off"))),
        st.builds(Event, whats, datasets, others, st.text(" \t-=%'\"\\$`ü☃\u2028\r", max_size=8)),
        st.builds(Event, st.just("run"), moment=st.integers(0, 60)),
    ),
    min_size=3,
    max_size=25,
)


def happen(world: World, event: Event) -> None:
    by_hand = event.what.endswith("on the copy")
    pool, name = (world.receiver.zfs, f"cloud/{event.dataset}") if by_hand else (world.site.zfs, event.dataset)
    prop = f"{RECORD}{event.name}" if by_hand and event.name not in HELD else event.name
    if event.what == "run":
        world.listen(Fuse(event.moment).step if event.moment else unheard)
        with suppress(Killed):
            world.replicate()
        world.listen()
    elif event.what.startswith("set"):
        pool.find(name).properties[prop] = event.value
    else:
        pool.find(name).properties.pop(prop, None)


@settings(max_examples=sweep.examples(60), deadline=None)
@given(histories)
def test_whatever_is_set_the_copies_end_with_it(history: list[Event]) -> None:
    world = grown()
    world.replicate()
    for event in history:
        happen(world, event)
    world.take("last")  # what other programs set is looked for where the snapshots have changed
    assert world.replicate().warnings == ()
    for name in NAMES:
        held = world.site.zfs.find(name)
        assert given_to(world, name) == expected(held.received | held.properties)
    assert world.replicate().properties == ()
