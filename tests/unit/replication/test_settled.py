"""What a run notes where nothing is to be done, and that no note ever hides what has changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import chain

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests import sweep
from tests.fakes import zfs_properties
from tests.fakes.zfs_pool import FakeDataset, Pool, Stream, ZfsSays
from tests.unit.replication.histories import EVENTS, Event, Watched
from tests.unit.replication.test_histories import TREE, inner, names, numbers, trees
from tests.unit.replication.world import NOW, STANDARD, TANK, World, deaths_of

from ec2zfs.errors import Refused
from ec2zfs.execute import replication_state
from ec2zfs.model.policy import Keep
from ec2zfs.plan.conflicts import PlaceTaken
from ec2zfs.plan.selection import Selection
from ec2zfs.plan.settled import SETTLED, TRUSTED_FOR, Note, PoolNote, known_to_be_alone
from ec2zfs.tools.zfs_look import parse_look


def settled_world() -> World:
    """Two datasets and their copies, of which a run has noted that they are equal."""
    world = World()
    world.site.zfs.create("tank/a")
    world.take("one")
    for _ in range(2):
        world.replicate().raise_for_errors()
    assert settled(world) == {"tank", "tank/a"}
    return world


def settled(world: World) -> frozenset[str]:
    return world.replicator().observe(TANK).settled


def copy_of(world: World, name: str = "tank/a") -> FakeDataset:
    return world.receiver.zfs.find(f"cloud/{name}")


def _cut(world: World) -> None:
    held = copy_of(world)
    held.partial = (Stream("x@y", 1, 0, raw=False, encrypted=False, kind="filesystem", size=9), 4)


def _exchange_notes(world: World) -> None:
    copies = copy_of(world), copy_of(world, "tank")
    notes = [held.properties[SETTLED] for held in copies]
    for held, note in zip(copies, reversed(notes), strict=True):
        held.properties[SETTLED] = note


CHANGES: dict[str, Callable[[World], object]] = {
    "a new snapshot": lambda world: world.site.zfs.snapshot("tank/a", "two"),
    "a snapshot less": lambda world: world.site.zfs.destroy_snapshot("tank/a@one"),
    "a snapshot on the copy": lambda world: world.receiver.zfs.snapshot("cloud/tank/a", "theirs", 0),
    "a snapshot less on the copy": lambda world: world.receiver.zfs.destroy_snapshot("cloud/tank/a@one"),
    "a write to the copy": lambda world: setattr(copy_of(world), "written", 7),
    "a stream that was cut": _cut,
    "a property": lambda world: world.site.zfs.find("tank/a").properties.update(compression="zstd"),
    "a property of the copy": lambda world: copy_of(world).properties.update(compression="zstd"),
    "another dataset at the site": lambda world: setattr(world.site.zfs.find("tank/a"), "guid", 4711),
    "another dataset at the copy's place": lambda world: setattr(copy_of(world), "guid", 4711),
    "no mark": lambda world: copy_of(world).properties.pop("ec2zfs:source"),
    "a change that is too young": lambda world: setattr(copy_of(world), "changed", world.receiver.zfs.now + 59),
    "an older ZFS, which does not tell": lambda world: setattr(copy_of(world), "changed", 0),
    "somebody else's note": lambda world: copy_of(world).properties.update({SETTLED: "1 yes please"}),
    "no note": lambda world: copy_of(world).properties.pop(SETTLED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_has_changed_is_not_settled_and_nothing_else_is_looked_into(change: str) -> None:
    world = settled_world()
    CHANGES[change](world)
    assert settled(world) == {"tank"}


def test_notes_of_others_settle_nothing() -> None:
    world = settled_world()
    _exchange_notes(world)
    assert settled(world) == frozenset()


@pytest.mark.parametrize("later", [-timedelta(days=1), TRUSTED_FOR + timedelta(seconds=1)])
def test_a_note_is_trusted_for_some_days(later: timedelta) -> None:
    world = settled_world()
    world.selection = replace(STANDARD, now=lambda: NOW + later)
    assert settled(world) == frozenset()
    world.replicate().raise_for_errors()
    assert settled(world) == {"tank", "tank/a"}


def test_other_rules_settle_nothing() -> None:
    world = settled_world()
    world.selection = Selection(lambda _name: {"daily": Keep(3)}, lambda: NOW)
    assert settled(world) == frozenset()


def test_where_a_copy_is_to_follow_its_source_all_is_looked_into() -> None:
    world = settled_world()
    world.site.zfs.datasets["tank/b"] = world.site.zfs.datasets.pop("tank/a")
    assert settled(world) == frozenset()
    world.replicate().raise_for_errors()
    assert world.copies() == {"tank": ["one"], "tank/b": ["one"]}


def test_settled_copies_cost_one_look_at_each_side_and_at_the_pools_note() -> None:
    world = settled_world()
    for host in (world.site, world.receiver):
        host.commands.clear()
    report = world.replicate()
    assert [each.note for each in report.datasets] == ["its newest snapshot is there already"] * 2
    assert (len(world.site.commands), len(world.receiver.commands)) == (1, 2)


def asked_of_the_pool(world: World) -> list[str]:
    """The options of the looks at the receiver: by names (-d0), or at all that the pool holds (-r)."""
    world.receiver.commands.clear()
    world.replicate()
    return [argv[5] for argv in world.receiver.commands if "zfs_look.sh" in argv]


def test_where_nothing_else_is_in_the_pool_the_copies_are_looked_at_by_their_names() -> None:
    world = settled_world()
    assert asked_of_the_pool(world) == ["-d0"]
    world.take("two")
    assert asked_of_the_pool(world) == ["-d0"]
    assert world.copies() == {"tank": ["one", "two"], "tank/a": ["one", "two"]}


def _orphan(world: World) -> None:
    del world.site.zfs.datasets["tank/a"]


ELSE: dict[str, tuple[Callable[[World], object], list[str]]] = {
    "a copy that is gone": (lambda world: world.receiver.zfs.datasets.pop("cloud/tank/a"), ["-d0", "-r"]),
    "a new source": (lambda world: world.site.zfs.create("tank/b"), ["-r"]),
    "a copy without a source": (_orphan, ["-r"]),
    "no note on the pool": (lambda world: world.receiver.zfs.find("cloud").properties.pop(SETTLED), ["-r"]),
    "a note of others": (lambda world: world.receiver.zfs.find("cloud").properties.update({SETTLED: "1 x 9"}), ["-r"]),
}


@pytest.mark.parametrize("change", ELSE)
def test_where_something_else_may_be_all_of_the_pool_is_looked_at(change: str) -> None:
    world, (happen, options) = settled_world(), ELSE[change]
    happen(world)
    assert asked_of_the_pool(world) == options


def test_as_long_as_there_is_a_copy_without_a_source_it_is_told_each_time() -> None:
    world = settled_world()
    _orphan(world)
    assert [[each.copy for each in world.replicate().orphans] for _ in range(3)] == [["cloud/tank/a"]] * 3


def _grown(world: World) -> None:
    """A third dataset and its copy: the sources make other names than the pool's note was written for."""
    world.site.zfs.create("tank/x")
    world.site.zfs.snapshot("tank/x", "one")
    world.replicate().raise_for_errors()
    assert "cloud/tank/x" in world.receiver.zfs.datasets


def test_a_note_does_not_come_back_when_the_sources_have_their_names_again() -> None:
    world = settled_world()
    _grown(world)
    del world.site.zfs.datasets["tank/x"]
    assert [[each.copy for each in world.replicate().orphans] for _ in range(2)] == [["cloud/tank/x"]] * 2


def test_a_dataset_that_took_anothers_name_is_seen_with_its_own_copy() -> None:
    world = settled_world()
    _grown(world)
    world.site.zfs.datasets["tank/a"] = world.site.zfs.datasets.pop("tank/x")
    (conflict,) = world.replicator().plan(world.replicator().observe(TANK)).conflicts
    assert isinstance(conflict, PlaceTaken)


def test_wherever_a_run_is_killed_no_note_hides_what_it_made() -> None:
    world = settled_world()
    world.site.zfs.create("tank/x")
    world.site.zfs.snapshot("tank/x", "one")
    for death in deaths_of(world, at_least=5):
        left = death.world
        del left.site.zfs.datasets["tank/x"]
        made = left.receiver.zfs.datasets.get("cloud/tank/x")
        plan = left.replicator().plan(left.replicator().observe(TANK))
        told = "cloud/tank/x" in {each.copy for each in plan.orphans}
        assert told == (made is not None and "ec2zfs:source" in made.properties)


def test_a_note_that_cannot_be_withdrawn_keeps_the_run_from_making_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pool: Pool, words: Sequence[str]) -> None:
        raise ZfsSays(f"cannot inherit {words[0]} for '{words[1]}': permission denied")

    world = settled_world()
    world.site.zfs.create("tank/x")
    world.site.zfs.snapshot("tank/x", "one")
    monkeypatch.setattr(zfs_properties, "inherit", refuse)
    with pytest.raises(Refused, match="a note of an earlier run cannot be withdrawn"):
        world.replicate()
    assert "cloud/tank/x" not in world.receiver.zfs.datasets


@pytest.mark.parametrize("later", [-timedelta(days=1), TRUSTED_FOR + timedelta(seconds=1)])
def test_after_some_days_all_of_the_pool_is_looked_at(later: timedelta) -> None:
    world = settled_world()
    world.selection = replace(STANDARD, now=lambda: NOW + later)
    assert [asked_of_the_pool(world), asked_of_the_pool(world)] == [["-r"], ["-d0"]]


def test_more_names_than_fit_into_a_command_are_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    world = settled_world()
    monkeypatch.setattr(replication_state, "_MOST_NAMED", len("cloudcloud/tankcloud/tank/a") + 3 * 9)
    assert asked_of_the_pool(world) == ["-r"]


def test_a_value_that_looks_like_other_rows_settles_nothing() -> None:
    rows = "5\nzfs-kmod-2.3.2-1\n\nholds\tp\t-\n\n" + "".join(
        f"p\t{name}\t-\t{value}\n"
        for name, value in (("type", "filesystem"), ("guid", "7"), ("snapshots_changed", "1"))
    )
    assert parse_look(rows).sightings["p"].changed == 1
    assert parse_look(f"{rows}p\tguid\t-\t8\n").sightings["p"].changed == 0
    assert parse_look(f"{rows}p\tmountpoint\tlocal\t/a\nb\n").sightings["p"].changed == 0


@given(
    st.builds(
        Note,
        st.integers(0, 1 << 64),
        *[st.tuples(*[st.integers(0, 1 << 64)] * 2)] * 2,
        st.just("d"),
        st.integers(0, 1 << 64),
        st.tuples(*[st.integers(0, 1 << 64)] * 2),
        st.text("a b%:", min_size=1),
    )
)
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert Note.parse(str(note)) == note


DAYS = int(TRUSTED_FOR.total_seconds())


@pytest.mark.parametrize(
    ("age", "trusted"), [(-(1 << 64), False), (-1, False), (0, True), (DAYS, True), (DAYS + 1, False)]
)
def test_how_old_a_pools_note_may_be(age: int, trusted: bool) -> None:
    noted = PoolNote.parse(settled_world().receiver.zfs.find("cloud").properties[SETTLED])
    assert noted
    told = str(replace(noted, at=int(NOW.timestamp()) - age))
    assert bool(known_to_be_alone("cloud", ["tank", "tank/a"], told, NOW)) is trusted


@pytest.mark.parametrize(
    "text", ["", "1", "1 x", "2 x 9", "1 x -9", f"1 x {'9' * 5000}", f"1 x {'9' * 5000} {'1 ' * 7}n"]
)
def test_a_word_that_is_no_note_harms_nothing(text: str) -> None:
    assert PoolNote.parse(text) is None
    assert Note.parse(text) is None


@given(st.text(max_size=60))
def test_anything_else_is_no_note(text: str) -> None:
    assert Note.parse(text) is None or text.startswith("1 ")


UNSEEN = {"lose bookmarks", "let go", "run", "daily run", "fail", "fill", "rename", "exchange", "take", "create"}
events = st.one_of(
    st.builds(Event, st.sampled_from(["take", "create"]), names, number=numbers),
    st.builds(Event, st.sampled_from(["rename", "exchange"]), inner, inner),
    st.builds(Event, st.sampled_from(sorted(EVENTS.keys() - UNSEEN)), names, number=numbers),
    st.builds(Event, st.just("run"), number=st.sampled_from([0, 0, 0, 20, 60, 100])),
    st.builds(Event, st.just("daily run")),
)
histories = st.tuples(trees, st.lists(events, min_size=2, max_size=10)).map(lambda parts: [*chain(*parts)])


@settings(max_examples=sweep.examples(40), deadline=None)
@example([*TREE, Event("run"), Event("take", "tank/a", number=4), Event("write", "tank/b", number=1)])
@given(histories)
def test_what_is_planned_with_notes_is_what_is_planned_without(history: list[Event]) -> None:
    watched = Watched()
    for event in history:
        watched.happen(event)
    replicator = watched.world.replicator()
    noted, whole = (replicator.observe(TANK, thorough=each) for each in (False, True))
    with_notes, without = replicator.plan(noted), replicator.plan(whole)
    for mine, theirs in zip(with_notes.datasets, without.datasets, strict=True):
        assert (mine.replica, mine.steps, mine.note, mine.common) == (
            theirs.replica,
            theirs.steps,
            theirs.note,
            theirs.common,
        )
        assert type(mine.conflict) is type(theirs.conflict)
    assert (with_notes.partings, with_notes.marks, with_notes.orphans) == (
        without.partings,
        without.marks,
        without.orphans,
    )
