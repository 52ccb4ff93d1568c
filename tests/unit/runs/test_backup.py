"""The daily run in an imagined world: clean days, what is refused, and what is found to be wrong on the way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from tests.fakes.day import POOL_KEY, SSH_RULE, STREAMS_RULE, Controller, Cut, Day
from tests.fakes.fuse import Killed
from tests.fakes.pool_machine import PoolMachine
from tests.unit.runs.days import (
    ENDED,
    FIRST_DAY,
    NEXT_DAY,
    STAGES,
    STOPPING,
    ScriptedMachine,
    living,
    machine_of,
    ran,
    require_complete,
    require_rest,
)

from ec2zfs.errors import (
    CloudError,
    CommandFailed,
    ConfigurationError,
    Ec2zfsError,
    HostError,
    NoCapacity,
    NoSpace,
    PoolUnwell,
    Refused,
    ReplicationConflict,
    WrongPoolKey,
)
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import InstanceState, Market
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.runs.backup import PRUNE, PRUNE_COPIES
from ec2zfs.runs.preview import preview_backup


@pytest.fixture
def day() -> Day:
    return Day()


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("scripted", [False, True], ids=["pool in memory", "pool by our scripts"])
def test_two_clean_days(scripted: bool, market: Market, tmp_path: Path) -> None:
    day = Day(market, ScriptedMachine(tmp_path) if scripted else None)
    kept = [id_ for id_, state in day.ec2.states().items() if state != "terminated"]
    first, second = Controller(day), Controller(day)

    report = first.back_up(FIRST_DAY)
    require_complete(day)
    assert [stage.name for stage in first.journal.stages] == STAGES
    assert not any(stage.failed for stage in first.journal.stages)
    assert (report.steps, report.bytes) == (6, 3 * 1000 + 3 * 100)
    assert first.journal.replicated is report

    report = second.back_up(NEXT_DAY)
    require_complete(day)
    assert (report.steps, report.bytes) == (3, 3 * 100)
    assert [id_ for id_, state in day.ec2.states().items() if state != "terminated"] == kept
    assert len(day.ec2.orders) == (1 if market is Market.ON_DEMAND else 3)


NO_WAY = "port 28300 of the receiver cannot be reached from here (timed out after 4 s)"
OPENED, ADMITTED, EXPELLED = "open 203.0.113.9/32 22", "admit 203.0.113.9/32 28300-28315", "expel 28300-28315"
DIRECTLY = "The stream goes directly to receiver i-00000000000000001, over several connections."
# the mode, what bars the direct way; the way of all streams, what is said of it, what the group was told
WAYS = {
    "the port is reached": (StreamMode.AUTO, "", "direct", DIRECTLY, [OPENED, ADMITTED, EXPELLED, "close"]),
    "it is not": (
        StreamMode.AUTO,
        NO_WAY,
        "striped",
        f"The stream goes through several ssh connections: {NO_WAY}.",
        [OPENED, ADMITTED, EXPELLED, "close"],
    ),
    "ssh": (StreamMode.SSH, "", "ssh", "The stream goes through ssh, as transport.mode says.", [OPENED, "close"]),
}


@pytest.mark.parametrize("case", WAYS)
def test_streams_take_the_way_that_is_open_and_the_ports_are_closed_after_them(day: Day, case: str) -> None:
    day.mode, day.barrier, way, words, told = WAYS[case]
    day.group.history.clear()
    report = Controller(day).back_up(FIRST_DAY)
    assert (report.transport, day.carried) == (words, [way] * 6)
    assert day.group.history == told
    require_complete(day)


def test_a_run_that_may_go_directly_only_and_cannot_sends_nothing(day: Day) -> None:
    day.mode, day.barrier = StreamMode.DIRECT, NO_WAY
    with pytest.raises(HostError, match="The stream cannot go directly: port 28300 of the receiver"):
        Controller(day).back_up(FIRST_DAY)
    assert day.carried == []
    require_rest(day)


def test_ports_that_a_killed_run_left_open_are_closed_as_soon_as_the_next_one_starts(day: Day) -> None:
    whole = Controller(day.copy())
    whole.back_up(FIRST_DAY)
    probe = [name for _, name in whole.cut.calls].index("probe") + 1
    with pytest.raises(Killed):
        Controller(day, Cut(probe)).back_up(FIRST_DAY)
    left = day.group.rules
    Controller(day).receiver.start()
    assert (left, day.group.rules) == ((SSH_RULE, STREAMS_RULE), (SSH_RULE,))


def test_a_run_without_anything_to_send_opens_no_port(day: Day) -> None:
    Controller(day).back_up(FIRST_DAY)
    day.group.history.clear()
    assert Controller(day).back_up(FIRST_DAY).transport == ""
    assert day.group.history == [OPENED, "close"]


Change = Callable[[Day], object]


def other_machine_up(day: Day) -> None:
    (resting,) = day.ec2.all.values()
    day.ec2.add(replace(resting, type="m7g.large", state=InstanceState.RUNNING))


# what is wrong, the error, its words
REFUSED: dict[str, tuple[Change, type[Ec2zfsError], str]] = {
    "no volumes": (lambda day: day.volumes._all.clear(), Refused, "There are no volumes of pool cloud at EC2"),
    "a source is missing": (
        lambda day: day.site.zfs.datasets.pop("www"),
        ConfigurationError,
        "On site there is no dataset www to back up",
    ),
    "another zone than the volumes'": (
        lambda day: setattr(day, "zone", "eu-central-1b"),
        Refused,
        "The volumes of pool cloud are in eu-central-1a, not in eu-central-1b: v1s1",
    ),
    "a type that does not take the volumes": (
        lambda day: setattr(day, "type", replace(day.type, attachments=3)),
        Refused,
        "A pool of 2 volumes does not fit on a m7g.medium: it takes 1",
    ),
    "another receiver is up and may hold the pool": (other_machine_up, Refused, "is running, but it is a m7g.large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_can_be_seen_at_the_beginning_is_refused_before_anything_is_touched(case: str, day: Day) -> None:
    change, error, words = REFUSED[case]
    change(day)
    before = day.shown()
    with pytest.raises(error, match=words):
        Controller(day).back_up(FIRST_DAY)
    assert day.shown() == before
    with pytest.raises(error, match=words):
        preview_backup(Controller(day).parts(), FIRST_DAY)
    assert day.shown() == before


def diverge(day: Day) -> None:
    Controller(day).back_up(FIRST_DAY - timedelta(days=1))
    day.copies.zfs.snapshot("cloud/www", "not ours")


# what is wrong, the pool key, the error, its words, the stage that fails
WRONG: dict[str, tuple[Change, Secret | None, type[Ec2zfsError], str, str]] = {
    "another pool key": (
        lambda day: None,
        Secret(b"a key that opens nothing of this pool"),
        WrongPoolKey,
        "The pool key does not open cloud-v1s1-g1",
        "unlock the pool",
    ),
    "no pool key": (lambda day: None, None, Refused, "its pool key is needed", "unlock the pool"),
    "a lost volume": (
        lambda day: day.volumes._all.popitem(),
        POOL_KEY,
        PoolUnwell,
        "The copies are complete, but pool cloud is not well",
        "check",
    ),
    "a broken volume": (
        lambda day: day.volumes.break_volume(day.volumes.paid[0].id),
        POOL_KEY,
        PoolUnwell,
        "The copies are complete, but pool cloud is not well",
        "check",
    ),
    "a full pool": (
        lambda day: setattr(day.copies.zfs, "available", 4000),
        POOL_KEY,
        NoSpace,
        "nothing was sent",
        "replicate",
    ),
    "a copy that went its own way": (diverge, POOL_KEY, ReplicationConflict, "cloud/www", "replicate"),
    "a pool that is not well": (
        lambda day: setattr(day.machine, "health", "DEGRADED"),
        POOL_KEY,
        PoolUnwell,
        "The copies are complete, but pool cloud is not well: DEGRADED",
        "check",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_seen_later_ends_the_run_in_good_order(case: str, day: Day) -> None:
    change, key, error, words, stage = WRONG[case]
    change(day)
    controller = Controller(day)
    with pytest.raises(error, match=words):
        controller.back_up(FIRST_DAY, key)
    pruned = [(PRUNE_COPIES, False)] if stage == "replicate" else []
    before = [(name, False) for name in STAGES[: STAGES.index(stage)]]
    assert ran(controller) == [*before, (stage, True), *pruned, *ENDED]
    assert (living(day), day.group.rules, machine_of(day).left_open) == (["stopped"], (), 0)
    assert (day.machine.imported, day.machine.mappings) == ([], [])


def test_the_machine_is_kept_alive_from_its_first_command_to_its_last(day: Day) -> None:
    controller = Controller(day)
    controller.back_up(FIRST_DAY)
    told = [name for _, name in controller.cut.calls if name.startswith("receiver: ec2zfs")]
    assert told[:3] == ["receiver: ec2zfs-dead-man", "receiver: ec2zfs-setup", "receiver: ec2zfs-dead-man"]
    assert not [thread for thread in threading.enumerate() if thread.name == "dead-man"]


def test_one_conflict_stops_no_other_copy_and_is_told_after_them(day: Day) -> None:
    diverge(day)
    controller = Controller(day)
    with pytest.raises(ReplicationConflict):
        controller.back_up(FIRST_DAY)
    assert {name for name, snaps in day.histories().items() if day.copied()[name] != snaps} == {"www"}
    assert controller.journal.replicated is not None
    assert controller.journal.replicated.bytes == 2 * 100


def test_without_spot_capacity_the_day_goes_on_with_a_machine_on_demand_that_is_not_kept() -> None:
    day = Day(Market.SPOT)
    day.ec2.without_capacity = {Market.SPOT}
    Controller(day).back_up(FIRST_DAY)
    require_complete(day)
    day.ec2.without_capacity = set(Market)
    controller = Controller(day)
    with pytest.raises(NoCapacity):
        controller.back_up(NEXT_DAY)
    assert ran(controller) == [("snapshot", False), ("start the receiver", True), *ENDED[1:]]
    require_rest(day)


def test_a_lock_that_fails_after_success_is_the_failure_and_the_machine_is_stopped(day: Day) -> None:
    def stuck(command: Command) -> Result:
        if "ec2zfs-lock" in command.argv:
            return Result(0, b"open cloud-v1s1-g1\n", b"")
        return PoolMachine.run(machine_of(day), command)

    day.machine.run = stuck  # type: ignore[method-assign]
    with pytest.raises(CommandFailed, match=r"Left behind: open cloud-v1s1-g1"):
        Controller(day).back_up(FIRST_DAY)
    require_complete(day)


def test_when_nothing_can_be_cleaned_up_the_first_failure_is_told_with_what_followed(
    day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_id: str) -> None:
        raise CloudError("EC2 does not stop it.")

    monkeypatch.setattr(day.ec2, "stop", refuse)
    controller = Controller(day)
    with pytest.raises(WrongPoolKey) as raised:
        controller.back_up(FIRST_DAY, Secret(b"a key that opens nothing of this pool"))
    assert raised.value.__notes__ == [f"After that, `{STOPPING}` failed too: EC2 does not stop it."]
    assert ran(controller)[-2:] == [(STOPPING, True), (PRUNE, False)]
    assert day.group.rules == ()


def test_nothing_that_is_said_or_reported_holds_a_key(day: Day) -> None:
    controller = Controller(day)
    with pytest.raises(WrongPoolKey):
        controller.back_up(FIRST_DAY, Secret(b"a key that opens nothing of this pool"))
    Controller(day).back_up(FIRST_DAY)
    told = repr((controller.listener.said, controller.journal.stages, controller.cut.calls))
    assert "opens nothing" not in told
    assert "opens the pool" not in told
