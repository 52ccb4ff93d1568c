"""`ec2zfs pool status`: the pool vdev by vdev, its volumes, and how far a scrub or resilver is. Changes nothing.

It takes no lock and needs no key, so that a second terminal may look while a command works.
"""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from ec2zfs.cli.session import Session
    from ec2zfs.cli.sight import Sight
    from ec2zfs.cli.verbs import Verbs
    from ec2zfs.model.contents import OpenMapping
    from ec2zfs.model.pool import Member, PoolStatus, Vdev
    from ec2zfs.model.scan import Scan
    from ec2zfs.model.standing import Standing
    from ec2zfs.model.volume import Volume

_LEAST_SECONDS, _MOST_SECONDS = 0.2, 3600.0


def register(group: Verbs) -> None:
    """Add the verb."""
    parser = add_verb(
        group, "status", "show the pool, its members and volumes, and how far a scrub or resilver is", run
    )
    parser.add_argument(
        "--watch", metavar="SECONDS", type=seconds, nargs="?", const=2.0, help="look again and again, until Ctrl-C (2)"
    )


def seconds(text: str) -> float:
    """An interval as it may be given on the command line."""
    number = float(text)
    if not _LEAST_SECONDS <= number <= _MOST_SECONDS:
        raise argparse.ArgumentTypeError(f"{text} is not between {_LEAST_SECONDS:g} and {_MOST_SECONDS:g} seconds")
    return number


def run(arguments: argparse.Namespace) -> int:
    """Show the pool once, or until interrupted."""
    from ec2zfs.cli.session import session
    from ec2zfs.cli.sight import Lookout

    with session(arguments) as parts:
        if arguments.watch is None:
            sight = Lookout(parts).look()
            _show(parts, sight)
            if sight.failure:
                raise sight.failure
        else:
            _watch(parts, arguments.watch)
    return 0


def _watch(session: Session, seconds: float) -> None:
    """Look and show until interrupted, or until nobody reads it any more.

    What was seen last stays on the screen while the next look is under way.
    """
    import sys
    import time
    from contextlib import suppress

    from ec2zfs.cli.sight import Lookout

    lookout = Lookout(session)
    with suppress(KeyboardInterrupt):
        while getattr(sys.stdout, "failure", None) is None:
            sight = lookout.look()
            session.output.clear()
            if sight.failure:
                session.output.warn(str(sight.failure))
            _show(session, sight)
            time.sleep(seconds)


def _show(session: Session, sight: Sight) -> None:
    if sight.view and sight.view.imported:
        show_pool(session, sight.view.imported, sight.volumes, sight.view.opened)
    else:
        _show_closed(session, sight)


def show_pool(
    session: Session, status: PoolStatus, volumes: Sequence[Volume], opened: Sequence[OpenMapping] = ()
) -> None:
    """An imported pool; `opened` tells the key slots, where they were looked at."""
    from datetime import UTC, datetime

    from ec2zfs.model.contents import ReceiverView
    from ec2zfs.model.standing import Standing

    view = ReceiverView(imported=status, opened=tuple(opened))
    standing = Standing(session.design, tuple(volumes), view, "", 0, datetime.now(UTC))

    def draw() -> Text:
        from ec2zfs.cli.layout_picture import picture_of

        return picture_of(standing)

    session.output.picture(draw)
    session.output.table("vdevs", [_vdev_row(number, vdev) for number, vdev in standing.vdevs()])
    session.output.table("members", _member_rows(standing))
    _show_outside(session, [each for each in standing.current if standing.member(each) is None])
    _show_kept(session, volumes)
    if status.scan:
        session.output.result("scan", _scan_words(status.scan))
    session.output.result("pool", _pool_words(status))


def _vdev_row(number: int, vdev: Vdev) -> dict[str, object]:
    from ec2zfs.cli.progress import amount

    return {
        "number": number,
        "vdev": vdev.name,
        "state": vdev.state.value,
        "size": amount(vdev.size, "B"),
        "used": amount(vdev.allocated, "B"),
        "may grow by": amount(vdev.expandable, "B") if vdev.expandable else None,
    }


def _member_rows(standing: Standing) -> list[dict[str, object]]:
    opened = {mapping.name: mapping for mapping in standing.view.opened}
    return [
        _member_row(standing, vdev, member, opened.get(member.name))
        for _, vdev in standing.vdevs()
        for member in vdev.members
    ]


def _member_row(standing: Standing, vdev: Vdev, member: Member, mapping: OpenMapping | None) -> dict[str, object]:
    volume = standing.volume_of(member)
    return {
        "vdev": vdev.name,
        "place": str(standing.place_of(member) or member.name),
        "generation": standing.generation_of(member) or None,
        "volume": volume.id if volume else None,
        "GiB": volume.size_gib if volume else None,
        "EC2": _ec2_state(volume) if volume else "gone",
        "state": member.state.value,
        "read": member.read_errors,
        "write": member.write_errors,
        "checksum": member.checksum_errors,
        "LUKS slots": ",".join(map(str, mapping.keyslots)) if mapping else "",
        "note": _note(member, volume, mapping),
    }


def _ec2_state(volume: Volume) -> str:
    """How the volume is attached, unless that is not all: EC2 may have given up one that still hangs there."""
    from ec2zfs.model.volume import VolumeState

    bond = volume.attachment.state.value if volume.attachment else ""
    return bond if bond and volume.state is VolumeState.IN_USE else ", ".join(filter(None, (volume.state.value, bond)))


def _note(member: Member, volume: Volume | None, mapping: OpenMapping | None) -> str:
    notes = (
        (member.replacing and not member.resilvering, "replacing"),
        (member.replacing and member.resilvering, "replacing, resilvering"),
        (member.resilvering and not member.replacing, "resilvering"),
        (mapping is not None and mapping.stale, "its device is gone"),
        (volume is not None and volume.retirement is not None, "put aside"),
    )
    return ", ".join(words for holds, words in notes if holds)


def _show_outside(session: Session, volumes: Sequence[Volume]) -> None:
    """The volumes on their way into the pool, or left by what replaced them."""
    if volumes:
        session.output.table("not in the pool", [_volume_row(each) for each in volumes])


def _show_kept(session: Session, volumes: Sequence[Volume]) -> None:
    """The volumes that have left the pool, and those that EC2 enlarges later; no table where there are none."""
    from datetime import timedelta

    grace = timedelta(days=session.configuration.upkeep.grace_days)
    kept = [
        {
            **_volume_row(each),
            "kept since": each.retirement.since,
            "deleted after": each.retirement.since + grace if each.retirement.since else None,
            "note": "" if each.retirement.since else "not before the pool was seen healthy",
        }
        for each in volumes
        if each.retirement
    ]
    if kept:
        session.output.table("kept", kept)
    later = [
        {**_volume_row(each), "grows to": each.schedule.size_gib, "not before": each.schedule.not_before}
        for each in volumes
        if each.schedule
    ]
    if later:
        session.output.table("enlarged later", later)


def _volume_row(volume: Volume) -> dict[str, object]:
    return {
        "place": str(volume.place),
        "generation": volume.generation,
        "volume": volume.id,
        "GiB": volume.size_gib,
        "EC2": _ec2_state(volume),
    }


def _scan_words(scan: Scan) -> dict[str, object]:
    from ec2zfs.cli.progress import duration

    return {
        "function": scan.function.value,
        "state": scan.state.value,
        "percent": round(100 * scan.issued / scan.total, 1) if scan.running and scan.total else None,
        "rate": _rate(scan) if scan.running else None,
        "time left": duration(scan.seconds_left) if scan.seconds_left is not None else None,
        "errors": scan.errors,
        "told": scan.line,
    }


def _rate(scan: Scan) -> str | None:
    """The rate at which ZFS says that it works, where it tells one: `50.1M/s` is `50.1 MiB/s`."""
    import re

    told = re.search(r"issued at ([\d.]+)([KMGTP]?)B?/s", scan.line)
    return f"{told[1]} {told[2]}{'i' if told[2] else ''}B/s" if told else None


def _pool_words(status: PoolStatus) -> dict[str, object]:
    from ec2zfs.cli.progress import amount

    return {
        "name": status.name,
        "guid": status.guid,
        "state": status.state.value,
        "healthy": status.healthy,
        "size": amount(status.size, "B"),
        "free": amount(status.free, "B"),
        "last clean scrub": status.last_clean_scrub,
        "status": status.status,
        "errors": status.errors,
    }


def _show_closed(session: Session, sight: Sight) -> None:
    """What can be seen while the pool is not imported, or nobody can say."""
    from ec2zfs.plan.volumes import current

    ours = list(current(sight.volumes))
    mappings = sight.view.mappings if sight.view else ()
    session.output.result(
        "pool",
        {
            "name": session.pool,
            "state": sight.state,
            "receiver": sight.receiver,
            "volumes": len(ours),
            "attached": sum(volume.attachment is not None for volume in ours),
            "open mappings": ", ".join(mappings),
        },
    )
    _show_kept(session, sight.volumes)
