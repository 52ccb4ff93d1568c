"""An operator in the simulation: gives a command again and again, is cut off anywhere, and checks what must hold.

Each action is judged on what stands just before it, by rules that are told here once more and apart from the planners.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from hypothesis import strategies as st
from tests.fakes.standing import standing

from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.pool import DeviceState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.plan.readying import plan_attachments
from ec2zfs.plan.repair import Mending
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.simulation import after
from ec2zfs.plan.upkeep import AwaitScan, CloseVolume, OfflineMember, ReopenMember, ReplaceMember, Step, UpkeepAction
from ec2zfs.plan.volumes import AttachVolume, CreateVolume, DeleteVolume, DetachVolume, ModifyVolume, RetireVolume
from ec2zfs.runs.repair import Mender

ENOUGH = 2_000

Plan = Callable[[Standing], Step]
Cut = tuple[int, bool]
"""After how many actions of a step the command is killed, and whether the receiver ends with it."""


@dataclass
class Simulated:
    """`stands` is the world. `dead` are ids of volumes that never work again, which nobody knows before trying.

    `old_first`: volumes may leave before their successors come, one at a time.
    """

    stands: Standing
    cuts: Iterator[Cut] = field(default_factory=lambda: iter(()))
    old_first: bool = False
    dead: set[str] = field(default_factory=set)
    done: list[UpkeepAction] = field(default_factory=list)
    kills: int = 0
    least: dict[int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.least = self.good()

    def finish(self, plan: Plan) -> None:
        """Step after step until the plan is empty, with the cuts that were given, and without any after them."""
        for _ in range(ENOUGH):
            step = plan(self.stands)
            if not step:
                return
            self.carry_out(step)
        raise AssertionError(f"no end in sight: {[str(action) for action in step]}")

    def resilvers(self, plan: Plan) -> None:
        """Step after step until a resilver is waited for, which has not ended."""
        while not self.stands.pool.resilvering:
            self.carry_out([action for action in plan(self.stands) if not isinstance(action, AwaitScan)])

    def repair(self, want: Want, caution: Caution, condemned: frozenset[str] = frozenset()) -> None:
        """`ec2zfs pool repair`; a run that was cut off has forgotten what it tried."""
        mender, kills = Mender(want, caution, Mending(condemned=condemned)), self.kills

        def plan(stands: Standing) -> Step:
            nonlocal mender, kills
            if self.kills > kills:
                mender, kills = Mender(want, caution, Mending(condemned=condemned)), self.kills
            return mender.plan(stands)

        self.finish(plan)

    def carry_out(self, step: Sequence[UpkeepAction]) -> None:
        """A step, or what comes of it until the command is killed; what is done side by side comes in any order."""
        cut, restarts = next(self.cuts, (-1, False))
        self.kills += cut >= 0
        cut = cut if cut >= 0 else len(step)
        for action in _shuffled(step, cut)[: cut % (len(step) + 1)]:
            self.act(action)
        if restarts:
            self.restart()

    def act(self, action: UpkeepAction) -> None:
        """One action, and what must hold before and after it."""
        require_safe(self, action)
        self.done.append(action)
        if isinstance(action, ReopenMember) and action.volume.id in self.dead:
            return
        before, self.stands = self.stands, after(self.stands, action)
        if self.stands.pool is before.pool and self.stands.view.opened is before.view.opened:
            return  # no member can have become worse, and most actions are such
        lacking = {vdev: self.least[vdev] - good for vdev, good in self.good().items() if vdev in self.least}
        missing = sum(max(0, lack) for lack in lacking.values())
        assert missing <= int(self.old_first), f"after {action} vdevs lack good members: {lacking}"

    def happens(self, stands: Standing) -> None:
        """Something happens to the pool that nobody planned; from now on that is how well it is."""
        self.stands = stands
        self.least = {vdev: min(self.least[vdev], good) for vdev, good in self.good().items() if vdev in self.least}

    def good(self) -> dict[int, int]:
        """How many places of each vdev have a member with all of its data."""
        found = {}
        stale = {each.name for each in self.stands.view.opened if each.stale}
        for number, vdev in self.stands.vdevs():
            here = (m for m in vdev.members if m.state is DeviceState.ONLINE and m.name not in stale)
            whole = (m for m in here if not m.resilvering)
            found[number] = len({self.stands.place_of(member) for member in whole})
        return found

    def restart(self) -> None:
        """The receiver ends, and the next command opens the pool on another: all that is formatted and can be read."""
        held = self.stands.view.volumes
        away = [replace(each, attachment=None, state=_let_go(each)) for each in self.stands.volumes]
        stands = replace(self.stands, volumes=tuple(away)).seeing(replace(self.stands.view, mappings=(), opened=()))
        room = stands.design.layout.volumes + stands.spare_attachments
        sound = [each for each in stands.current if each.state is not VolumeState.ERROR]
        sound.sort(key=lambda each: stands.member(each) is None)
        for attach in plan_attachments(stands, sound[:room]):
            stands = after(stands, replace(attach, device=f"/dev/{attach.place}-{attach.generation}"))
        formatted = {each.serial for each in held if each.keyslots}
        opened = [each for each in sound[:room] if stands.member(each) or each.serial in formatted]
        mappings = tuple(sorted(each.mapping for each in opened)) if stands.design.encrypted else ()
        shown = tuple(each for each in stands.view.volumes if each.serial not in {seen.serial for seen in held})
        self.stands = stands.seeing(replace(stands.view, volumes=(*held, *shown), mappings=mappings))

    def count(self, kind: type[UpkeepAction]) -> int:
        """How many actions of a kind were done."""
        return sum(isinstance(action, kind) for action in self.done)

    @property
    def batches(self) -> int:
        """How many times in a row members were replaced: the rounds, when nothing was cut off."""
        return sum(replaces for replaces, _ in groupby(isinstance(each, ReplaceMember) for each in self.done))

    def require_whole(self) -> None:
        """The pool is healthy, each of its places has one volume, and no other one is left over."""
        stands = self.stands
        assert stands.pool.healthy
        assert not stands.pool.resilvering
        volumes = [stands.volume_of(member) for member in stands.pool.members]
        assert {each.id for each in volumes if each} == {each.id for each in stands.current}
        assert None not in volumes
        assert len({each.place for each in stands.current}) == len(stands.current)
        assert all(stands.attached(each) for each in stands.current)
        kept = [each for each in stands.volumes if each.retirement]
        assert all(each.retirement and each.retirement.since and each.attachment is None for each in kept)
        open_now = {each.mapping for each in stands.current} if stands.design.encrypted else set()
        assert set(stands.view.mappings) == open_now


def require_safe(world: Simulated, action: UpkeepAction) -> None:
    """What no plan may ever ask for."""
    stands = world.stands
    match action:
        case CloseVolume(volume) | DetachVolume(volume) | DeleteVolume(volume) | RetireVolume(volume):
            member = stands.member(_now(stands, volume))
            assert member is None or member.state is not DeviceState.ONLINE, f"{action}: it is in use"
            if isinstance(action, RetireVolume) and action.since:
                assert member is None, action
                assert stands.pool.healthy, action
                assert not stands.pool.resilvering, action
        case OfflineMember(member):
            assert world.old_first, action
            if member.state is DeviceState.ONLINE:
                assert all(each.state is DeviceState.ONLINE for each in stands.pool.members), f"{action}: that is two"
        case AttachVolume(_, place, generation, _, device):
            hanging = [each for each in stands.volumes if each.attachment]
            assert len(hanging) < stands.design.layout.volumes + stands.spare_attachments, f"{action}: no room"
            assert device not in {each.attachment.device for each in hanging if each.attachment}, action
            assert any(each.generation == generation for each in stands.at(place)), action
        case ReplaceMember(member, volume, _):
            assert member in stands.pool.members, action
            assert volume in stands.current, action
            assert not stands.design.encrypted or volume.mapping in stands.view.mappings, action
        case CreateVolume(_, place, generation):
            taken = {(each.place, each.generation) for each in stands.volumes}
            assert (place, generation) not in taken, action


def layouts(kinds: Sequence[Redundancy] = tuple(Redundancy)) -> st.SearchStrategy[Layout]:
    """Pools of 1 to 6 vdevs of 2 to 8 volumes."""
    return st.sampled_from(kinds).flatmap(
        lambda kind: st.builds(
            Layout, st.just(kind), st.integers(1, 6), st.integers(kind.least_volumes, 8), st.integers(1, 3)
        )
    )


def cuts() -> st.SearchStrategy[list[Cut]]:
    """Where a command is killed, one for each step of the first ones."""
    return st.lists(st.tuples(st.integers(0, 20), st.sampled_from([False, False, True])), max_size=12)


@st.composite
def pools(draw: st.DrawFn, *, least_spare: int = 1, kinds: Sequence[Redundancy] = tuple(Redundancy)) -> Standing:
    """Healthy pools with room for 1 to 8 more volumes, some of whose volumes were enlarged already."""
    made = standing(draw(layouts(kinds)), encrypted=draw(st.booleans()), spare=draw(st.integers(least_spare, 8)))
    grown = draw(st.lists(st.sampled_from(made.volumes), max_size=4, unique=True))
    for volume in grown:
        made = after(made, ModifyVolume(volume, 4, volume.type))
    return made


def _now(stands: Standing, volume: Volume) -> Volume:
    return next(each for each in stands.volumes if each.id == volume.id)


def _let_go(volume: Volume) -> VolumeState:
    return VolumeState.ERROR if volume.state is VolumeState.ERROR else VolumeState.AVAILABLE


def _shuffled(step: Sequence[UpkeepAction], seed: int) -> list[UpkeepAction]:
    """The actions in another order, as far as they are of one kind and follow one another."""
    families = [list(family) for _, family in groupby(step, key=type)]
    return [action for family in families for action in (*family[seed % len(family) :], *family[: seed % len(family)])]
