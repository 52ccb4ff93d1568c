"""Planner and executor together on imagined ZFS: days of replication, refusals, breaks and what is done after each."""

from __future__ import annotations

import pytest
from tests.fakes.fuse import Killed
from tests.fakes.zfs_world import ZfsHost
from tests.unit.replication.world import STANDARD, TANK, World

from ec2zfs.errors import (
    CommandFailed,
    ConfigurationError,
    HostError,
    HostKeyChanged,
    NoSpace,
    Refused,
    ReplicationConflict,
    ReplicationIncomplete,
)
from ec2zfs.execute.carrier import Carriage, Fixed
from ec2zfs.execute.progress import Silent
from ec2zfs.execute.replication import Replicator, preview
from ec2zfs.model.source import Source
from ec2zfs.plan.settled import SETTLED


def broken(said: str, status: int = 1) -> CommandFailed:
    return CommandFailed("receiver", ("zfs", "receive"), status, said)


def test_the_first_day_sends_all_and_the_second_the_difference() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one", 1000)
        world.site.zfs.snapshot(name, "two", 50)
    first = world.replicate()
    assert world.sent() == ["tank@one", "-i tank@one tank@two", "tank/home@one", "-i tank/home@one tank/home@two"]
    assert (first.bytes, first.steps, first.errors, first.warnings) == (2100, 4, (), ())
    world.site.zfs.snapshot("tank/home", "three", 7)
    second = world.replicate()
    assert world.sent() == ["-i tank/home@two tank/home@three"]
    tank, home = second.datasets
    assert (tank.note, tank.bytes) == ("its newest snapshot is there already", 0)
    assert (home.base, home.to, home.bytes) == ("two", "three", 7)
    assert world.copies() == {"tank": ["one", "two"], "tank/home": ["one", "two", "three"]}


def test_nothing_to_do_costs_a_constant_number_of_executions() -> None:
    counts = []
    for children in (1, 40):
        world = World()
        world.site.zfs.snapshot("tank", "one")
        for number in range(children):
            world.site.zfs.create(f"tank/{number}")
            world.site.zfs.snapshot(f"tank/{number}", "one")
        world.replicate()
        for host in (world.site, world.receiver):
            host.commands.clear()
        for _ in range(2):  # the first of them notes that both sides are equal
            world.replicate()
            counts.append((len(world.site.commands), len(world.receiver.commands)))
            world.site.commands.clear()
            world.receiver.commands.clear()
    assert counts == [(3, 5), (1, 2)] * 2


def test_children_belong_to_a_recursive_source_only() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    world.site.zfs.create("tank/home/ann")
    for name in ("tank", "tank/home", "tank/home/ann"):
        world.site.zfs.snapshot(name, "one")
    world.replicate([Source("tank/home", recursive=False)])
    assert world.copies() == {"tank": [], "tank/home": ["one"]}
    parent = world.receiver.zfs.datasets["cloud/tank"].properties
    assert parent == {"canmount": "off", "readonly": "on", "ec2zfs:role": "parent"}
    world.replicate([Source("tank/home", recursive=False), Source("tank/home/ann")])
    assert world.copies() == {"tank": [], "tank/home": ["one"], "tank/home/ann": ["one"]}


def test_new_children_volumes_and_sealed_datasets_come_along() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    world.replicate()
    world.sent()
    world.site.zfs.create("tank/disk", kind="volume")
    world.site.zfs.create("tank/sealed", encrypted=True)
    world.site.zfs.snapshot("tank/disk", "one")
    world.site.zfs.snapshot("tank/sealed", "one")
    world.replicate().raise_for_errors()
    assert world.sent() == ["tank/disk@one", "-w tank/sealed@one"]
    for name, options in (
        ("tank/disk", {"volmode": "none", "ec2zfs:send": "-L -e -c"}),
        ("tank", {"canmount": "noauto", "ec2zfs:send": "-L -e -c"}),
        ("tank/sealed", {"canmount": "noauto", "ec2zfs:send": "-w"}),
    ):
        born = {"readonly": "on", **options, "ec2zfs:source": str(world.site.zfs.find(name).guid)}
        found = world.receiver.zfs.find(f"cloud/{name}").properties
        assert {each: value for each, value in found.items() if each != SETTLED} == born


def test_the_bookmark_stands_in_for_a_base_that_is_gone() -> None:
    world = World()
    base = world.site.zfs.snapshot("tank", "one")
    world.replicate()
    assert world.cursors() == {"tank": [base.guid]}
    world.site.zfs.destroy_snapshot("tank@one")
    newest = world.site.zfs.snapshot("tank", "two")
    world.replicate().raise_for_errors()
    assert world.sent()[-1] == f"-i 'tank#ec2zfs_cloud_{base.guid:016x}' tank@two"
    assert world.copies() == {"tank": ["one", "two"]}
    assert world.cursors() == {"tank": [newest.guid]}


def test_a_source_that_does_not_exist_is_named_with_its_neighbours() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    with pytest.raises(ConfigurationError, match=r"On site there is no dataset tank/hoem .* Did you mean tank/home"):
        world.replicate([Source("tank/hoem")])


def test_without_the_pool_nothing_is_planned() -> None:
    world = World()
    del world.receiver.zfs.datasets["cloud"]
    with pytest.raises(Refused, match="cloud is not imported on receiver"):
        world.replicate()


@pytest.mark.parametrize(
    ("host", "version", "words"),
    [
        ("site", "0.8.6-1", "site has the ZFS kernel modules 0.8.6-1; streams"),
        ("receiver", "2.2.2-0ubuntu9", "receiver has the ZFS kernel modules 2.2.2-0ubuntu9, which can damage a pool"),
    ],
)
def test_a_zfs_that_damages_data_is_refused_before_anything_is_sent(host: str, version: str, words: str) -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")
    getattr(world, host).version = version
    with pytest.raises(Refused, match=words):
        world.replicate()
    assert (world.copies(), world.held()) == ({}, {})


def test_a_conflict_stops_its_dataset_and_no_other() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one")
    world.replicate()
    world.receiver.zfs.snapshot("cloud/tank", "theirs")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "two")
    report = world.replicate()
    assert world.copies() == {"tank": ["one", "theirs"], "tank/home": ["one", "two"]}
    with pytest.raises(ReplicationConflict, match="cloud/tank has snapshots that tank does not have"):
        report.raise_for_errors()


def test_several_failures_are_told_together() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one")
    world.replicate()
    for name in ("tank", "tank/home"):
        world.receiver.zfs.datasets[f"cloud/{name}"].written = 5
    with pytest.raises(ReplicationIncomplete, match=r"2 of 2 datasets were not replicated\. tank: .* tank/home: "):
        world.replicate().raise_for_errors()


def test_a_full_receiver_is_seen_before_anything_is_sent() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 3_000_000)
    world.receiver.zfs.available = 1_000_000
    with pytest.raises(NoSpace, match=r"has 1\.0 MiB free, but 2\.9 MiB are to be sent"):
        world.replicate()
    assert world.sent() == []


def test_a_receiver_that_fills_up_keeps_what_arrived_for_the_next_run() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 3_000_000)
    replicator = world.replicator()
    plan = replicator.plan(replicator.observe(TANK))
    world.receiver.zfs.available = 1_000_000
    with pytest.raises(NoSpace, match="out of space"):
        replicator.run(plan)
    world.receiver.zfs.available = 1 << 30
    assert world.replicate().bytes == 2_000_000
    assert world.copies() == {"tank": ["one"]}


def test_a_broken_stream_goes_on_where_it_broke_in_the_same_run() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.transport.break_at[1] = broken("checksum mismatch or incomplete stream")
    report = world.replicate()
    assert (report.errors, report.bytes) == ((), 500)
    assert world.copies() == {"tank": ["one"]}


def test_a_lost_connection_is_opened_again_and_the_stream_goes_on() -> None:
    world = World()
    for name, size in (("one", 1000), ("two", 600)):
        world.site.zfs.snapshot("tank", name, size)
    world.transport.break_at = {1: HostError("a short silence"), 2: HostError("another one")}
    report = world.replicate()
    assert (report.errors, report.bytes, world.pauses) == ((), 250 + 600, [2.0, 2.0])
    assert world.copies() == {"tank": ["one", "two"]}


def test_a_host_that_stays_lost_ends_the_run_and_the_next_one_resumes() -> None:
    world = World()
    for name, size in (("one", 1000), ("two", 600)):
        world.site.zfs.snapshot("tank", name, size)
    world.transport.break_at[2] = HostError("the receiver does not answer")
    world.transport.hook = lambda event: silence(world, event)
    with pytest.raises(HostError, match="the receiver does not answer"):
        world.replicate()
    assert sum(world.pauses) == 62
    world.listen()
    assert world.copies() == {"tank": ["one"]}
    assert world.replicate().bytes == 300
    assert world.copies() == {"tank": ["one", "two"]}


def silence(world: World, event: str) -> None:
    """In the middle of the second stream the receiver dies."""

    def unanswered(_: str) -> None:
        raise HostError("no answer")

    if event == "stream: half way" and world.receiver.zfs.datasets["cloud/tank"].snapshots:
        world.receiver.hook = unanswered


def test_a_host_with_another_key_is_not_tried_again() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.transport.break_at[1] = HostKeyChanged("another machine")
    with pytest.raises(HostKeyChanged):
        world.replicate()
    assert world.pauses == []


def test_a_token_that_fails_twice_is_dropped_and_the_stream_begun_again() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.site.zfs.snapshot("tank", "two", 600)
    world.transport.break_at[2] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()
    world.sent()
    partial = world.receiver.zfs.datasets["cloud/tank"].partial
    assert partial
    world.transport.hook = lambda event: refuse_resumed(world, event)
    report = world.replicate()
    assert (report.errors, world.copies()) == ((), {"tank": ["one", "two"]})
    assert world.sent() == ["-i tank@one tank@two"]


def test_a_token_in_doubt_is_dropped_and_what_was_complete_stays() -> None:
    world = World()
    world.site.zfs.create("tank/secret")
    for name, dataset, size in (("one", "tank", 1000), ("two", "tank", 600), ("one", "tank/secret", 900)):
        world.site.zfs.snapshot(dataset, name, size)
    world.transport.break_at[2] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()
    copy = world.receiver.zfs.find("cloud/tank")
    copy.partial = (world.site.zfs.stream("tank/secret@one", None, raw=False), 300)
    world.sent()
    world.replicate().raise_for_errors()
    assert world.sent() == ["-i tank@one tank@two", "tank/secret@one"]
    assert world.copies() == {"tank": ["one", "two"], "tank/secret": ["one"]}
    assert world.held() == {}


def refuse_resumed(world: World, event: str) -> None:
    """A receiver that takes no resumed stream, as with a broken token (openzfs #8801)."""
    partial = world.receiver.zfs.datasets["cloud/tank"].partial
    if event == "stream: before" and partial:
        raise broken("cannot receive resume stream: invalid backup stream")


def test_a_resumed_stream_whose_program_was_killed_is_not_dropped() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.transport.break_at[1] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()

    def kill(event: str) -> None:
        if event == "stream: before":
            raise broken("Terminated", status=143)

    world.transport.hook = kill
    report = world.replicate()
    assert "exited with 143" in str(report.errors[0].error)
    assert not [argv for argv in world.receiver.commands if "-A" in argv]
    assert world.receiver.zfs.datasets["cloud/tank"].partial


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_busy_target_is_waited_for(attempts: int) -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.replicate()
    world.site.zfs.snapshot("tank", "two", 10)
    failing = iter([True] * attempts)

    def hook(event: str) -> None:
        if event == "stream: before" and next(failing, False):
            raise broken("cannot receive incremental stream: dataset is busy")

    world.transport.hook = hook
    world.replicate().raise_for_errors()
    assert world.pauses == [2.0, 4.0, 8.0][:attempts]


def test_a_target_that_stays_busy_is_given_up_with_its_own_words() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)

    def hook(event: str) -> None:
        if event == "stream: before":
            raise broken("cannot receive new filesystem stream: dataset is busy")

    world.transport.hook = hook
    with pytest.raises(CommandFailed, match="dataset is busy"):
        world.replicate().raise_for_errors()
    assert sum(world.pauses) == 62


def test_who_holds_the_snapshot_of_a_busy_target_is_told() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.replicate()
    world.site.zfs.snapshot("tank", "two", 10)
    world.receiver.zfs.hold("mine", ["cloud/tank@one"])

    def hook(event: str) -> None:
        if event == "stream: before":
            raise broken("cannot receive incremental stream: dataset is busy")

    world.transport.hook = hook
    with pytest.raises(CommandFailed, match="dataset is busy") as caught:
        world.replicate().raise_for_errors()
    assert "cloud/tank@one is held by `mine` since " in caught.value.hint


@pytest.mark.parametrize("names", [("one",), ("one", "two")], ids=["first copy", "increment"])
def test_a_receive_that_outlived_its_controller_is_waited_for(names: tuple[str, ...]) -> None:
    world = World()
    for name in names:
        world.replicate()
        world.site.zfs.snapshot("tank", name, 1000)
    world.sent()
    stream = world.site.zfs.stream(f"tank@{names[-1]}", "tank@one" if len(names) > 1 else None, raw=False)
    copy = world.receiver.zfs.datasets.get("cloud/tank") or world.receiver.zfs.create("cloud/tank")
    copy.partial, copy.receiving = (stream, 500), True

    def pause(seconds: float) -> None:
        world.pauses.append(seconds)
        copy.receiving = len(world.pauses) < 3

    carrier = Fixed(Carriage(world.transport))
    replicator = Replicator(world.site, world.receiver, "cloud", carrier, Silent(), STANDARD, pause)
    report = replicator.run(replicator.plan(replicator.observe(TANK)))
    report.raise_for_errors()
    assert (world.pauses, report.bytes) == ([2.0, 4.0, 8.0], 500)
    assert not [argv for argv in world.receiver.commands if "-A" in argv]


def test_children_wait_when_the_first_copy_of_their_parent_failed() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one")
    world.transport.break_at = {number: broken("cannot send 'tank@one': Input/output error") for number in range(1, 9)}
    report = world.replicate()
    assert [dataset.note for dataset in report.datasets] == ["", "it waits for the first copy of its parent"]
    assert "Input/output error" in str(report.errors[0].error)


def test_a_snapshot_destroyed_after_planning_is_planned_around() -> None:
    world = World()
    for name in ("one", "two", "three"):
        world.site.zfs.snapshot("tank", name)
    replicator = world.replicator()
    plan = replicator.plan(replicator.observe(TANK))
    world.site.zfs.destroy_snapshot("tank@two")
    replicator.run(plan).raise_for_errors()
    assert world.copies() == {"tank": ["one", "three"]}


def test_a_partial_stream_other_than_the_one_that_was_judged_is_not_dropped() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.transport.break_at[1] = Killed("gone")
    with pytest.raises(Killed):
        world.replicate()
    world.site.zfs.release("ec2zfs:cloud", ["tank@one"])
    world.site.zfs.destroy_snapshot("tank@one")
    world.site.zfs.snapshot("tank", "new", 1000)
    replicator = world.replicator()
    plan = replicator.plan(replicator.observe(TANK))
    held = world.receiver.zfs.datasets["cloud/tank"]
    held.partial = (world.site.zfs.stream("tank@new", None, raw=False), 900)
    events: list[str] = []
    world.transport.hook = events.append
    assert replicator.run(plan).bytes == 100
    assert events.count("stream: before") == 1
    assert not [argv for argv in world.receiver.commands if "-A" in argv]
    assert world.copies() == {"tank": ["new"]}


def test_what_fails_in_the_same_way_after_a_fresh_look_is_not_tried_again() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one", 1000)
    world.replicate()
    world.site.zfs.snapshot("tank", "two", 1000)
    tries = []

    def hook(event: str) -> None:
        if event == "stream: before":
            tries.append(event)
            raise broken("cannot send 'tank@two': Input/output error")

    world.transport.hook = hook
    with pytest.raises(CommandFailed, match="Input/output error"):
        world.replicate().raise_for_errors()
    assert len(tries) == 1


def test_a_copy_that_arrives_with_another_guid_is_never_a_success() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")

    def swap(event: str) -> None:
        if event == "stream: after":
            world.receiver.zfs.destroy_snapshot("cloud/tank@one")
            world.receiver.zfs.snapshot("cloud/tank", "one")

    world.transport.hook = swap
    with pytest.raises(ReplicationConflict, match="should have the GUID"):
        world.replicate().raise_for_errors()


def test_a_bookmark_that_cannot_be_made_is_a_warning() -> None:
    world = World()
    world.site.zfs.snapshot("tank", "one")

    def full(event: str) -> None:
        if "before zfs bookmark" in event:
            raise CommandFailed("site", ("zfs", "bookmark"), 1, "cannot create bookmark: out of space")

    world.site.hook = full
    report = world.replicate()
    report.raise_for_errors()
    assert len(report.warnings) == 1
    assert "out of space" in report.warnings[0]
    assert world.copies() == {"tank": ["one"]}


def test_the_preview_asks_the_site_alone() -> None:
    world = World()
    world.site.zfs.create("tank/home")
    for name in ("tank", "tank/home"):
        world.site.zfs.snapshot(name, "one", 1000)
    world.replicate([Source("tank", recursive=False)])
    world.receiver.commands.clear()
    world.site.zfs.snapshot("tank", "two", 30)
    world.site.zfs.find("tank").written = 44
    plan = preview(world.site, TANK, "cloud", STANDARD)
    assert [(str(step), step.bytes) for step in plan.transfers] == [
        ("send tank@two since @one", 30),
        ("send tank/home@one in full", 1000),
    ]
    assert plan.datasets[0].unsent_bytes == 44
    assert not world.receiver.commands


def test_site_and_receiver_may_be_one_host() -> None:
    both = ZfsHost("both")
    world = World(both, both)
    both.zfs.snapshot("tank", "one")
    world.replicate().raise_for_errors()
    assert [snap.name for snap in both.zfs.find("cloud/tank").snapshots] == ["one"]
