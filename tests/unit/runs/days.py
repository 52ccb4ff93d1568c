"""What the tests of the daily run look at in a day, and the loop that goes through all calls of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests import sweep
from tests.fakes.day import POOL_KEY, Controller, Cut, Day
from tests.fakes.deaths import Death, Deaths
from tests.fakes.pool_machine import PoolMachine
from tests.fakes.world import World

from ec2zfs.errors import Ec2zfsError, Refused, WrongPoolKey
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.instance import Market
from ec2zfs.runs.backup import PRUNE, PRUNE_COPIES
from ec2zfs.runs.receiver_up import receiver_up

FIRST_DAY = datetime(2026, 11, 24, 2, 17, tzinfo=UTC)
NEXT_DAY = FIRST_DAY + timedelta(days=1)
LOCKING, STOPPING = "lock the pool", "stop the receiver"
STAGES = [
    "snapshot",
    "start the receiver",
    "unlock the pool",
    "replicate",
    PRUNE_COPIES,
    "check",
    LOCKING,
    STOPPING,
    PRUNE,
]
ENDED = [(LOCKING, False), (STOPPING, False), (PRUNE, False)]
RESTING = {Market.ON_DEMAND: ["stopped"], Market.SPOT: []}


class ScriptedMachine:
    """The machine on which the scripts themselves run."""

    def __init__(self, directory: Path) -> None:
        self.world = World(directory)
        self.volumes = self.world.volumes

    @property
    def mappings(self) -> list[str]:
        return self.world.mappings

    @property
    def imported(self) -> list[str]:
        return self.world.imported

    def reboot(self) -> None:
        self.world.reboot()

    def run(self, command: Command) -> Result:
        return self.world.host.run(command)


def machine_of(day: Day) -> PoolMachine:
    assert isinstance(day.machine, PoolMachine)
    return day.machine


def living(day: Day) -> list[str]:
    """The states of the instances that are there at all."""
    return [state for state in day.ec2.states().values() if state != "terminated"]


def require_rest(day: Day) -> None:
    """Nothing is up, open or left over."""
    assert (day.machine.imported, day.machine.mappings) == ([], [])
    assert living(day) == RESTING[day.market]
    assert day.group.rules == ()
    assert day.volumes.made == len(day.volumes.paid) == 2


def require_complete(day: Day) -> None:
    """Every dataset of the sources has its whole history in the cloud, by name and GUID, and the rest is at rest."""
    assert day.copied() == day.histories()
    given = {"compression": "lz4", "ec2zfs:property:mountpoint": "/srv"}
    assert given.items() <= day.copies.zfs.find("cloud/tank").properties.items()
    require_rest(day)


def unlocks(day: Day, key: Secret = POOL_KEY, *, accept_degraded: bool = False) -> bool:
    """Whether `ec2zfs pool unlock` opens the pool; locked and at rest afterwards."""
    controller = Controller(day)
    with receiver_up(controller.receiver, controller.journal, keep=False) as host:
        pool = controller.cloud_pool(host)
        try:
            pool.unlock(key, controller.attach(accept_degraded=True), accept_degraded=accept_degraded)
        except (Refused, WrongPoolKey):
            assert day.machine.mappings == [], "nothing was left open"
            return False
        pool.lock()
    return True


def stage_of(controller: Controller) -> str:
    """The stage of the call at which something happened; "" when there were not so many calls."""
    cut = controller.cut
    return cut.calls[cut.call - 1][0] if cut.raised else ""


def ran(controller: Controller) -> list[tuple[str, bool]]:
    """The stages, and whether they failed."""
    return [(stage.name, stage.failed) for stage in controller.journal.stages]


def ended(controller: Controller) -> Ec2zfsError | None:
    """The failure with which the controller's run of the first day ends."""
    try:
        controller.back_up(FIRST_DAY)
    except Ec2zfsError as error:
        return error
    return None


def runs_of(
    before: Day,
    cut: Callable[[int], Cut],
    *,
    only: Collection[str] = (),
    work: Callable[[Controller], object] = ended,
) -> Iterator[tuple[Day, Controller]]:
    """A world of its own for the calls that a run makes, with a controller to which something happens there.

    It is one call of each kind (its stage and name), at most a dozen, or with `--every` each. `only`: first words of
    the calls that are tried, such as `ec2` or `stream:`; all if there are none. `work`: what the run is, if it is not
    that of the first day.
    """
    whole = Controller(before.copy())
    work(whole)
    calls = [(number, call) for number, call in enumerate(whole.cut.calls, 1) if not only or call[1].split()[0] in only]
    for place in sweep.places([call for _, call in calls]):
        day = before.copy()
        yield day, Controller(day, cut(calls[place][0]))


Call = tuple[str, str]
"""A stage and the name of what is called."""


@dataclass(kw_only=True)
class _Witness(Cut):
    """Nothing happens to the controller, but before and after each of its calls it could."""

    deaths: Deaths[Day, Call]

    def begin(self, stage: str, name: str) -> bool:
        self.calls.append((stage, name))
        self.deaths.look(self.calls[-1])
        return True

    def fail(self, name: str) -> None:
        self.deaths.look(self.calls[-1])


def deaths_of(
    before: Day, work: Callable[[Controller], object] = ended, *, at_least: int
) -> Iterator[Death[Day, Call]]:
    """The worlds that deaths in a run can leave: one of each kind of call that changes something, at
    most a dozen; with `--every` all.

    `work`: what the run is, if it is not that of the first day. `at_least`: how many kinds there are.
    """
    day = before.copy()
    deaths = Deaths[Day, Call](day, state=vars, receiver=lambda day: day.copies)
    work(Controller(day, _Witness(deaths=deaths)))
    return deaths.tried(at_least=at_least)


def stages_of(death: Death[Day, Call]) -> set[str]:
    """The stages in which a death leaves this world."""
    return {stage for stage, _ in death.calls}
