"""Runs open.sh: formats, opens and imports in one execution, all or nothing, with a key for each volume on its stdin.

Decides nothing: what to do comes as actions of plan/pool.py. The keys stand in the command's standard input only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from ec2zfs.errors import CommandFailed, Ec2zfsError, Refused, WrongPoolKey
from ec2zfs.hosts.host import Host, Result
from ec2zfs.model.pool import MemberName, PoolDesign
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume, ImportPool, OpenVolume, PoolAction, ProveKey, named_places
from ec2zfs.tools.hostid import host_id
from ec2zfs.tools.scripts import Script
from ec2zfs.tools.volume_keys import VolumeKeys


class _Code(IntEnum):
    """The exit codes of open.sh."""

    ABSENT = 41
    WRONG_KEY = 42
    NOT_FORMATTABLE = 43
    NOT_OPENABLE = 44
    NOT_IMPORTED = 45
    DEGRADED = 46


_WHY = {
    "absent": "does not show there",
    "unmarked": "bears no LUKS2 header of ours, being new yet, or dead",
    "locked": "is on its way into the pool under another key; `ec2zfs pool rekey --replace` with both keys ends that",
    "stale": "is open on a device that is gone, and in use; `ec2zfs pool repair` brings it back",
}
"""Why open.sh left a volume out, in its words and in ours."""

DEVICE_SECONDS = 30
"""How long a volume that EC2 calls attached may take to show on the receiver."""

_IMPORT_HINT = (
    "Nothing was left open. `zpool import` says what is missing: attach every volume, and export the pool where it was "
    "open last."
)


_LACKING_HINT = (
    "Bring it to full redundancy (`ec2zfs pool repair`), attach what is missing (`ec2zfs volumes attach`), or open it "
    "as it is (`ec2zfs pool unlock --accept-degraded`)."
)


@dataclass(frozen=True)
class Opening:
    """Volumes to ready and a pool to import, in one execution.

    `force`: EC2 proved that the volumes hang on this receiver alone, so a pool that another machine had open and did
    not export is imported all the same (fact 43).
    """

    design: PoolDesign
    actions: tuple[PoolAction, ...]
    volumes: tuple[Volume, ...]
    force: bool = False

    @property
    def steps(self) -> tuple[tuple[str, Volume], ...]:
        """What is done to each volume, as open.sh calls it."""
        if not self.design.encrypted:
            return tuple(("bare", volume) for volume in self.volumes)
        return tuple(
            (_verb(action), action.volume)
            for action in self.actions
            if isinstance(action, ProveKey | FormatVolume | OpenVolume)
        )

    @property
    def imports(self) -> ImportPool | None:
        """The pool to be imported, if any."""
        return next((action for action in self.actions if isinstance(action, ImportPool)), None)

    def arguments(self) -> tuple[str, ...]:
        """The arguments of open.sh after the pool's name."""
        importing = self.imports
        how = "no" if importing is None else "force" if self.force else "plain"
        target = str(importing.guid) if importing and importing.guid else self.design.name
        lacking = "accept" if importing and importing.degraded else "refuse"
        words = [word for verb, volume in self.steps for word in (verb, volume.serial, volume.mapping)]
        return (host_id(self.design.name), how, target, lacking, str(DEVICE_SECONDS), *words)


def carry_out(host: Host, opening: Opening, keys: VolumeKeys | None) -> tuple[str, ...]:
    """Do it, or leave what was closed closed and raise; a sentence about each volume that was left out.

    Raises `Refused` for a volume that is not there or holds something, and for a pool that would lack members,
    `WrongPoolKey`, and `CommandFailed` with what cryptsetup or zpool said.
    """
    pool = opening.design.name
    records = keys.records(volume.mapping for _, volume in opening.steps) if keys else None
    result = Script("open", pool, opening.arguments(), stdin=records, accept=frozenset(_Code)).run(host)
    if result.status:
        raise _failure(host, opening, result)
    return tuple(_told(volume, why) for volume, why in _left_out(opening, result))


def _verb(action: ProveKey | FormatVolume | OpenVolume) -> str:
    match action:
        case ProveKey(_, if_ours):
            return "prove" if if_ours else "test"
        case OpenVolume(_, if_ours, if_fits):
            return "offer" if if_fits else "try" if if_ours else "open"
        case FormatVolume():
            return "format"


def _failure(host: Host, opening: Opening, result: Result) -> Ec2zfsError:
    pool = opening.design.name
    said = result.stderr.decode("utf-8", "replace").strip()
    last = said.rpartition("\n")[2]
    match result.status:
        case _Code.ABSENT:
            so = f"pool {pool} stays locked" if opening.imports else "nothing was opened"
            return Refused(
                f"{last} does not show on {host.name} after {DEVICE_SECONDS} s; {so}.",
                hint="If EC2 calls it attached, detach it (`ec2zfs volumes detach`) and attach it again.",
            )
        case _Code.WRONG_KEY:
            return WrongPoolKey(
                f"The pool key does not open {_first(said)} on {host.name}; nothing was opened.",
                hint="Give the key with which the pool was created, or last rekeyed.",
            )
        case _Code.NOT_FORMATTABLE:
            return Refused(f"On {host.name}: {last}", hint="Run again; the next look will tell what stands on it.")
        case _Code.DEGRADED:
            return Refused(f"On {host.name}: {_lacking(opening, _left_out(opening, result))}", hint=_LACKING_HINT)
        case _Code.NOT_IMPORTED:
            return CommandFailed(host.name, ("zpool", "import", pool), result.status, said, hint=_IMPORT_HINT)
        case _:
            return CommandFailed(host.name, ("cryptsetup", "open", pool), result.status, said)


def _left_out(opening: Opening, result: Result) -> list[tuple[Volume, str]]:
    """The volumes that open.sh passed over, each with its word for why."""
    named = {volume.mapping: volume for volume in opening.volumes}
    told = (line.partition(" ") for line in result.lines())
    return [(named[mapping], why) for mapping, _, why in told if mapping in named]


def _lacking(opening: Opening, left_out: Sequence[tuple[Volume, str]]) -> str:
    """That the pool would lack members, which places have nothing open, and why."""
    closed = {volume for volume, _ in left_out}
    filled = {volume.place for volume in opening.volumes if volume not in closed}
    empty = [place for place in opening.design.layout.places() if place not in filled]
    without = f", without {named_places(empty)}" if empty else ""
    first = f"pool {opening.design.name} would be open with less redundancy{without}; nothing was left open."
    return " ".join([first, *(_told(volume, why) for volume, why in left_out)])


def _told(volume: Volume, why: str) -> str:
    return f"{volume.mapping} ({volume.id}) was left out: it {_WHY[why]}."


def _first(said: str) -> str:
    """The name of the volume that the script printed by itself, after what cryptsetup said."""
    names = [line for line in said.splitlines() if MemberName.parse(line.strip())]
    return names[0].strip() if names else "the volumes"
