"""Growing the pool: in place where EC2 can, else by replacement in rounds. Ends with a scrub and what grew."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ec2zfs.errors import PoolUnwell
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.pool import PoolStatus
from ec2zfs.model.scan import ScanFunction
from ec2zfs.model.standing import Standing
from ec2zfs.model.volume import Volume
from ec2zfs.plan.growth import Choice, Strategy, choose, plan_in_place, scheduled
from ec2zfs.plan.replacement import Caution, Want
from ec2zfs.plan.upkeep import AwaitScan, ExpandMembers, NoteScrub, StartScan
from ec2zfs.runs.expiry import expire
from ec2zfs.runs.rounds import replace_in_rounds
from ec2zfs.runs.stages import Journal
from ec2zfs.runs.upkeep import OpenPool, UpkeepParts, opened


@dataclass(frozen=True)
class Growth:
    """What a growth came to. `later` are the volumes that EC2 modifies only at a later time."""

    choice: Choice
    before: PoolStatus
    after: PoolStatus
    later: tuple[Volume, ...]


def grow(
    parts: UpkeepParts, want: Want, forced: Strategy | None, caution: Caution, key: Secret | None, journal: Journal
) -> Growth:
    """Let every volume be as wanted, and the pool use all of it; what is so already stays.

    Raises `Refused` and `PoolUnwell` before anything is changed when it cannot be, or is not safe.
    """
    with opened(parts, key, journal) as pool:
        standing = pool.observe()
        choice = choose(want, standing, forced)
        parts.progress.say(f"Growing pool {parts.design.name} {choice}.")
        before = standing.pool
        if choice.strategy is Strategy.IN_PLACE:
            modify_in_place(pool, want, journal)
        else:
            replace_in_rounds(pool, want, caution, journal)
        standing = expand(pool, journal)
        scrub_after(pool, standing, before, journal)
        expire(pool, journal)
        standing = pool.observe()
    return Growth(choice, before, standing.pool, scheduled(want, standing))


def modify_in_place(pool: OpenPool, want: Want, journal: Journal) -> None:
    """Let EC2 enlarge the volumes where they are; those that it takes only later are scheduled."""
    with journal.stage("enlarge the volumes") as stage:
        standing = pool.work(partial(plan_in_place, want))
        later = scheduled(want, standing)
        fit = sum(not want.lack(volume) for volume in standing.current)
        waiting = f", {len(later)} from {min(map(_time, later))} on" if later else ""
        stage.outcome = f"{fit} of {len(standing.current)} volumes are as wanted{waiting}"


def expand(pool: OpenPool, journal: Journal) -> Standing:
    """Let LUKS and ZFS use all that the volumes have; the standing after it."""
    with journal.stage("use the room") as stage:
        standing = pool.observe()
        pool.carry_out((ExpandMembers(member_volumes(standing)),))
        grown = pool.observe()
        stage.outcome = f"{_gib(grown.pool)} GiB raw, {_gib(standing.pool)} before"
    return grown


def member_volumes(standing: Standing) -> tuple[Volume, ...]:
    """The volumes of the pool's members, in their order."""
    found = (standing.volume_of(member) for member in standing.pool.members)
    return tuple(volume for volume in found if volume)


def scrub_after(pool: OpenPool, standing: Standing, before: PoolStatus, journal: Journal) -> None:
    """A last scrub, unless nothing was changed since a clean one."""
    scan = standing.pool.scan
    if scan and scan.clean_scrub and standing.pool.size == before.size:
        return
    scrub(pool, journal)


def scrub(pool: OpenPool, journal: Journal) -> None:
    """Scrub the pool, wait for the end, and note it in the pool. Raises `PoolUnwell` when it found errors."""
    with journal.stage("scrub") as stage:
        pool.carry_out((StartScan(), AwaitScan(ScanFunction.SCRUB)))
        standing = pool.observe()
        scan = standing.pool.scan
        if scan is None or scan.clean_scrub is None or not standing.pool.healthy:
            raise PoolUnwell(
                f"The scrub of pool {standing.pool.name} did not find it clean: {scan.line if scan else 'no scrub'}. "
                f"{standing.pool.errors}",
                hint="`ec2zfs pool status` shows which volume it is, `ec2zfs pool repair` mends it.",
            )
        pool.carry_out((NoteScrub(scan.clean_scrub),))
        stage.outcome = scan.line


def _gib(pool: PoolStatus) -> str:
    return f"{pool.size / 2**30:.2f}"


def _time(volume: Volume) -> str:
    return f"{volume.schedule.not_before:%Y-%m-%d %H:%M} UTC" if volume.schedule else ""
