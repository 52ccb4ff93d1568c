"""Volumes replaced by others, in rounds: one of every vdev at a time, the old one attached until ZFS has resilvered.

Pure. What stands is looked at before each step, and the next step follows from that alone, so a replacement that was
cut off anywhere is carried on by the next plan. Never takes a good member away but with `accept_degraded`, never begins
a round on a pool that is not healthy and freshly scrubbed, and deletes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from ec2zfs.errors import PoolUnwell, Refused
from ec2zfs.model.layout import Place, Redundancy
from ec2zfs.model.pool import DeviceState, Member, Vdev
from ec2zfs.model.scan import ScanFunction, ScanState
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume, OpenVolume
from ec2zfs.plan.readying import departure, device_path, newcomer, plan_attachments, plan_readying, well
from ec2zfs.plan.upkeep import AwaitScan, NoteScrub, OfflineMember, ReplaceMember, StartScan, Step
from ec2zfs.plan.volumes import CreateVolume, RetireVolume

AGAIN = "Nothing was taken away. Mend it with `ec2zfs pool repair`, then give the same command again."
_GONE = frozenset({DeviceState.OFFLINE, DeviceState.UNAVAIL, DeviceState.REMOVED})


@dataclass(frozen=True)
class Want:
    """What each volume of the pool is to be; `stale` are the ids of volumes that must go although they are that."""

    size_gib: int
    type: str
    zone: str
    stale: frozenset[str] = frozenset()

    def lack(self, volume: Volume) -> str:
        """Why a volume is to be replaced; empty if it is not."""
        if volume.id in self.stale:
            return "its LUKS layer is to be a new one"
        if volume.size_gib < self.size_gib:
            return f"it has {volume.size_gib} GiB of {self.size_gib}"
        return f"it is a {volume.type}, not a {self.type}" if volume.type != self.type else ""


@dataclass(frozen=True)
class Caution:
    """How much may be risked. `scrub_age`: how old the last clean scrub may be when volumes are replaced.

    `accept_degraded`: where no attachment is free, a vdev may do without its last redundancy while it resilvers.
    """

    scrub_age: timedelta
    accept_degraded: bool = False


def plan_replacement(want: Want, standing: Standing, caution: Caution) -> Step:
    """The next step; none when every volume is as wanted and nothing is left aside.

    Raises `Refused` when no volume can be spared, and `PoolUnwell` when more than what is being replaced is not well.
    """
    begun = begun_places(standing)
    _require_sound(standing, {*begun, *leaving_places(standing)})
    _require_coming(standing)
    return (
        advance(standing, [order(want, standing, place) for place in begun], caution)
        or await_resilver(standing)
        or retirement(standing)
        or _next_round(want, standing, caution)
    )


def candidates(want: Want, standing: Standing) -> dict[int, list[Place]]:
    """The places whose volumes are not as wanted, slot by slot, by vdev number. As many rounds as the longest has."""
    found: dict[int, list[Place]] = {}
    for number, vdev in standing.vdevs():
        lacking = [place for place in standing.places(vdev) if _lacks(want, standing, place)]
        if lacking:
            found[number] = sorted(lacking)
    return found


def begun_places(standing: Standing) -> tuple[Place, ...]:
    """The places of members for which a new volume exists that is none yet."""
    places = dict.fromkeys(place for _, vdev in standing.vdevs() for place in standing.places(vdev))
    return tuple(place for place in places if newcomer(standing, place))


def leaving_places(standing: Standing) -> tuple[Place, ...]:
    """The places at which a replacement is under way in ZFS, or has ended and left its old volume."""
    places = dict.fromkeys(place for _, vdev in standing.vdevs() for place in standing.places(vdev))
    return tuple(place for place in places if len(standing.members(place)) > 1 or any(_left_over(standing, place)))


def advance(standing: Standing, orders: Sequence[CreateVolume], caution: Caution) -> Step:
    """The next step that brings these replacements on, all side by side, until ZFS has resilvered; none after that."""
    orders = _with_room(standing, orders)
    step = _creation(standing, orders) or _make_room(standing, orders, caution) or plan_readying(standing, orders)
    if any(not isinstance(action, FormatVolume | OpenVolume) for action in step) or not orders:
        return step
    return (*step, *(_replacing(standing, each) for each in orders), AwaitScan(ScanFunction.RESILVER))


def await_resilver(standing: Standing) -> Step:
    """Wait, if there is anything to wait for."""
    return (AwaitScan(ScanFunction.RESILVER),) if standing.pool.resilvering else ()


def retirement(standing: Standing) -> Step:
    """Put aside the volumes whose successors are good members of a healthy pool."""
    left = left_over(standing)
    unproven = [each for each in standing.volumes if each.unproven and standing.member(each) is None]
    if not left and not unproven:
        return ()
    _require_sound(standing, ())
    proven = unproven if well(standing) else []
    return (*departure(standing, left), *(RetireVolume(each, standing.now) for each in proven))


def order(want: Want, standing: Standing, place: Place) -> CreateVolume:
    """The volume that is to come at a place; one that was begun already keeps its generation and what it is more."""
    generation, size = standing.next_generation(place), want.size_gib
    if volume := newcomer(standing, place):
        generation = volume.generation
    size = max(size, *(volume.size_gib for volume in standing.at(place)), 1)
    return CreateVolume(standing.design.name, place, generation, size, want.type, want.zone)


def width(standing: Standing) -> int:
    """How many volumes may be replaced side by side: one of every vdev, as far as attachments are free.

    One attachment is kept for what may fail meanwhile, as long as that leaves any; 0 when none is free at all.
    """
    spare = standing.spare_attachments
    return min(len(standing.pool.vdevs), max(1, spare - 1)) if spare > 0 else 0


def left_over(standing: Standing) -> list[Volume]:
    """The current volumes that were members, and that good members have replaced."""
    return [volume for place in _all_places(standing) for volume in _left_over(standing, place)]


def is_failed_newcomer(standing: Standing, member: Member) -> bool:
    """Whether it is the new half of a replacement, and ZFS has given it up."""
    if not member.replacing or member.state in (DeviceState.ONLINE, DeviceState.DEGRADED):
        return False
    place = standing.place_of(member)
    others = [each for each in standing.members(place) if each != member] if place else []
    generation = standing.generation_of(member)
    return bool(others) and all(standing.generation_of(each) < generation for each in others)


def _with_room(standing: Standing, orders: Sequence[CreateVolume]) -> list[CreateVolume]:
    """Those orders that need no attachment beyond one for each place, and as many more as are free."""
    here = [each for each in orders if _needs_no_room(standing, each.place)]
    away = [each for each in orders if each not in here]
    taken = extra_attachments(standing)
    free = width(standing) - taken
    if standing.spare_attachments == 0:
        free = int(not taken and not here and not standing.pool.resilvering)
    return [*here, *away[: max(0, free)]]


def _needs_no_room(standing: Standing, place: Place) -> bool:
    """Whether the new volume of a place hangs there already, or would be the only one of its place."""
    new = newcomer(standing, place)
    attached = {volume.place for volume in standing.volumes if standing.attached(volume)}
    return place not in attached or (new is not None and standing.attached(new))


def _no_room(standing: Standing) -> Step:
    raise Refused(
        f"No attachment of the receiver is free for a new volume: {extra_attachments(standing)} hang there beyond one "
        "for each place of the pool, and no step of this would take one of them away.",
        hint="Detach those that `ec2zfs volumes list` shows as kept, then give the same command again.",
    )


def extra_attachments(standing: Standing) -> int:
    """How many volumes hang on the receiver beyond one for each place."""
    places = [volume.place for volume in standing.volumes if standing.attached(volume)]
    return len(places) - len(set(places))


def _next_round(want: Want, standing: Standing, caution: Caution) -> Step:
    chosen = _round(candidates(want, standing), standing)
    if begun_places(standing):
        return _no_room(standing)
    if not chosen:
        return ()
    _require_spared(standing, chosen, caution)
    orders = [order(want, standing, place) for place in chosen]
    return scrub_first(standing, caution) or advance(standing, orders, caution) or _no_room(standing)


def _round(lacking: Mapping[int, Sequence[Place]], standing: Standing) -> list[Place]:
    """The first place of each vdev that has any, as many as can be worked on side by side."""
    return [places[0] for places in lacking.values() if places][: max(1, width(standing))]


def rounds(want: Want, standing: Standing) -> int:
    """How many rounds are left until every volume is as wanted, those that are under way not counted."""
    under_way = {*begun_places(standing), *leaving_places(standing)}
    left = {
        vdev: [each for each in places if each not in under_way] for vdev, places in candidates(want, standing).items()
    }
    count = 0
    while chosen := _round(left, standing):
        for place in chosen:
            left[place.vdev].remove(place)
        count += 1
    return count


def scrub_first(standing: Standing, caution: Caution) -> Step:
    """What leads to a clean scrub that is young enough, and to its being noted; none when that is so."""
    pool = standing.pool
    scan = pool.scan
    if scan and scan.running and scan.function is ScanFunction.SCRUB:
        return (AwaitScan(ScanFunction.SCRUB),)
    done = pool.last_clean_scrub
    if done is None or standing.now - done > caution.scrub_age:
        _require_clean(standing)
        return (StartScan(), AwaitScan(ScanFunction.SCRUB))
    return () if pool.scrubbed and pool.scrubbed >= done else (NoteScrub(done),)


def _require_clean(standing: Standing) -> None:
    """Raise `PoolUnwell` when the last scan is a scrub that left errors: another one would find them again."""
    scan = standing.pool.scan
    if scan and scan.function is ScanFunction.SCRUB and scan.state is ScanState.FINISHED and scan.errors:
        raise PoolUnwell(f"The last scrub of pool {standing.pool.name} left {scan.errors} errors.", hint=AGAIN)


def _creation(standing: Standing, orders: Sequence[CreateVolume]) -> Step:
    """The new volumes come first, so that a quota that is exhausted leaves the pool as it was."""
    missing = tuple(each for each in orders if newcomer(standing, each.place) is None)
    return (*missing, *(plan_attachments(standing, missing) if standing.spare_attachments > 0 else ()))


def _make_room(standing: Standing, orders: Sequence[CreateVolume], caution: Caution) -> Step:
    """Where no attachment is free the old volume leaves first. A member that is lost anyway needs no leave."""
    if standing.spare_attachments > 0:
        return ()
    places = [each.place for each in orders]
    _require_spared(standing, places, caution)
    new = [newcomer(standing, place) for place in places]
    if all(volume and standing.attached(volume) for volume in new):
        return ()
    old = [member for place in places for member in standing.members(place)]
    leaving = [volume for member in old if (volume := standing.volume_of(member)) and volume.retirement is None]
    offline = tuple(OfflineMember(member) for member in old if member.state not in _GONE)
    return (*offline, *departure(standing, leaving)) if leaving else ()


def _replacing(standing: Standing, each: CreateVolume) -> ReplaceMember:
    volume = newcomer(standing, each.place)
    if volume is None:
        raise ValueError(f"{each.place} has no new volume")
    old = min(standing.members(each.place), key=standing.generation_of)
    return ReplaceMember(old, volume, device_path(standing, volume))


def _left_over(standing: Standing, place: Place) -> list[Volume]:
    """The current volumes of a place that its member has replaced."""
    members = standing.members(place)
    if len(members) != 1 or members[0].replacing:
        return []
    newest = standing.generation_of(members[0])
    if not _holds_all(members[0]):
        return []
    return [each for each in standing.at(place) if each.generation < newest and standing.member(each) is None]


def _all_places(standing: Standing) -> Iterable[Place]:
    return dict.fromkeys(place for _, vdev in standing.vdevs() for place in standing.places(vdev))


def _lacks(want: Want, standing: Standing, place: Place) -> bool:
    volumes = [volume for member in standing.members(place) if (volume := standing.volume_of(member))]
    newest = max(volumes, key=lambda volume: volume.generation, default=None)
    return newest is not None and bool(want.lack(newest))


def _require_sound(standing: Standing, but: Collection[Place]) -> None:
    """Raise `PoolUnwell` unless every member is sound, apart from those at places that are being replaced."""
    pool = standing.pool
    bad = [each for each in pool.members if not each.sound and standing.place_of(each) not in but]
    if bad or not pool.undamaged:
        raise PoolUnwell(f"Pool {pool.name} is not well: {_told(standing, bad) or pool.errors}.", hint=AGAIN)


def _require_coming(standing: Standing) -> None:
    """Raise `PoolUnwell` when a new volume has failed while it was resilvered: it would be waited for in vain."""
    failed = [member for member in standing.pool.members if is_failed_newcomer(standing, member)]
    if failed:
        raise PoolUnwell(
            f"What was to replace a volume of pool {standing.pool.name} failed: {_told(standing, failed)}.", hint=AGAIN
        )


def _told(standing: Standing, members: Sequence[Member]) -> str:
    return ", ".join(
        f"{standing.place_of(each) or each.name} is {each.state}"
        + (f" with {each.errors} errors" if each.errors else "")
        for each in members
    )


def _require_spared(standing: Standing, places: Sequence[Place], caution: Caution) -> None:
    """Raise `Refused` where an old volume would have to leave first and the vdev could lose no other then."""
    if standing.spare_attachments > 0:
        return
    needed = 1 if caution.accept_degraded else 2
    for place in places:
        vdev = standing.pool.vdevs[place.vdev - 1]
        good = [each for each in standing.members(place) if each.state is DeviceState.ONLINE]
        if good and redundancy_left(vdev) < needed:
            raise Refused(
                f"No attachment of the receiver is free, so the volume at {place} would have to leave before its "
                f"successor comes: {vdev.name} would have no redundancy until the resilver has ended, and one failure "
                "of another of its volumes would lose the pool. Nothing was changed.",
                hint="Take a receiver.instance_type with more attachments, grow in place, or accept it "
                "(--accept-degraded): one vdev is worked on at a time.",
            )


def redundancy_left(vdev: Vdev) -> int:
    """How many more of a vdev's members may fail before data is lost."""
    places = {(each.place or each.path) for each in vdev.members}
    good = {(each.place or each.path) for each in vdev.members if _holds_all(each)}
    if vdev.kind == "disk":
        return 0
    kind = Redundancy(vdev.kind)
    parity = len(places) - 1 if kind is Redundancy.MIRROR else kind.parity
    return parity - (len(places) - len(good))


def _holds_all(member: Member) -> bool:
    return member.state is DeviceState.ONLINE and not member.resilvering
