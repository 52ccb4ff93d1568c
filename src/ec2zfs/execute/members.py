"""The members of an imported pool on its receiver: replaced, brought back, enlarged, added; and scrubs begun or paused.

Decides nothing: what to do comes as actions of plan/upkeep.py, and each family of them is one execution, however many
there are. Done twice is fine. The keys stand in the commands' standard input only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC
from enum import IntEnum
from itertools import groupby

from ec2zfs.errors import CommandFailed, Ec2zfsError, WrongPoolKey
from ec2zfs.execute.opening import Opening
from ec2zfs.execute.opening import carry_out as open_volumes
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.hosts.host import Host, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.layout import GIB
from ec2zfs.model.pool import Member, MemberName, PoolDesign, PoolStatus, Vdev, raw_size
from ec2zfs.model.volume import Volume
from ec2zfs.plan.pool import FormatVolume, OpenVolume
from ec2zfs.plan.upkeep import (
    AddVdev,
    ClearErrors,
    CloseVolume,
    DropMember,
    ExpandMembers,
    NoteScrub,
    OfflineMember,
    ReopenMember,
    ReplaceMember,
    StartScan,
    UpkeepAction,
)
from ec2zfs.tools.observation import receiver_view
from ec2zfs.tools.scripts import Script
from ec2zfs.tools.volume_keys import VolumeKeys
from ec2zfs.tools.zpool_status import SCRUBBED

_AGAIN = "Look at the pool (`ec2zfs pool status`), and give the same command again: what was done stays done."
_LEAST_SHARE = 0.85
"""Of what the volumes have, at least so much is a vdev's: ZFS takes whole metaslabs, 8 of them or more, less labels."""
_GROWTH_SECONDS = 15
"""How long ZFS may take to show what `zpool online -e` added."""


class _Code(IntEnum):
    """The exit codes of reopen.sh and expand.sh that are told of in words of our own."""

    NOT_SEEN = 41
    WRONG_KEY = 42
    NOT_OPENABLE = 44
    NOT_EXPANDED = 46


class Members:
    """The members of a design's pool on one host, which is the receiver."""

    def __init__(
        self,
        host: Host,
        design: PoolDesign,
        progress: Progress | None = None,
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._host = host
        self._design = design
        self._progress = progress or Silent()
        self._sleep = sleep

    def carry_out(self, actions: Sequence[UpkeepAction], keys: VolumeKeys | None) -> None:
        """Do these in their order, those of one script that follow one another in one execution.

        `keys` are the volumes' keys, None only for a pool without encryption. Raises `TypeError` for an action that is
        not the receiver's, `WrongPoolKey`, `Refused` as opening does, `CommandFailed` with what zpool or cryptsetup
        said, and `Ec2zfsError` when a vdev did not grow.
        """
        families = [(do, list(family)) for do, family in groupby(actions, key=self._carrier)]
        for do, family in families:
            for action in family:
                self._progress.say(str(action))
            do(family, keys)

    def pause_scrub(self) -> None:
        """Let a scrub rest, where it will go on later; nothing when none runs."""
        self._run_members(["pause", "-"])

    def _carrier(self, action: UpkeepAction) -> Callable[[Sequence[UpkeepAction], VolumeKeys | None], None]:
        match action:
            case FormatVolume() | OpenVolume():
                return self._open
            case ReopenMember():
                return self._reopen
            case ExpandMembers():
                return self._expand
            case _:
                _words(action)
                return self._change

    def _open(self, actions: Sequence[UpkeepAction], keys: VolumeKeys | None) -> None:
        preparation = tuple(action for action in actions if isinstance(action, FormatVolume | OpenVolume))
        open_volumes(self._host, Opening(self._design, preparation, ()), keys)

    def _change(self, actions: Sequence[UpkeepAction], _keys: VolumeKeys | None) -> None:
        words: list[str] = []
        for kind, family in groupby(actions, key=type):
            batch = list(family)
            words += [word for action in batch for word in _words(action)]
            # A resilver that began with the first replacement leaves the others for later; this one takes them all.
            words += ["resilver", "-"] if kind is ReplaceMember and len(batch) > 1 else []
        self._run_members(words)

    def _run_members(self, words: Sequence[str]) -> None:
        known_by_name = () if self._design.encrypted else ("bare", "-")
        self._run("members", (*known_by_name, *words))

    def _reopen(self, actions: Sequence[UpkeepAction], keys: VolumeKeys | None) -> None:
        back = [action for action in actions if isinstance(action, ReopenMember)]
        words = [
            word
            for action in back
            for word in (_handle(action.member), action.volume.serial, self._mapping(action.volume))
        ]
        result = self._run("reopen", words, _records(keys, [action.volume for action in back]))
        for line in result.stderr.decode("utf-8", "replace").splitlines():
            self._progress.say(line)

    def _expand(self, actions: Sequence[UpkeepAction], keys: VolumeKeys | None) -> None:
        volumes = [volume for action in actions if isinstance(action, ExpandMembers) for volume in action.volumes]
        words = [
            word for volume in volumes for word in (volume.serial, self._mapping(volume), str(volume.size_gib * GIB))
        ]
        result = self._run("expand", words, _records(keys, volumes))
        self._await_growth(receiver_view(self._design.name, result.text), volumes)

    def _await_growth(self, view: ReceiverView, volumes: Sequence[Volume]) -> None:
        """Look until every vdev has all that its volumes have, since ZFS shows it a moment later."""
        for _ in range(_GROWTH_SECONDS):
            if view.imported and not any(_stunted(view.imported, volumes)):
                return
            self._sleep(1)
            view = receiver_view(self._design.name, self._run("status").text)
        vdev = next(_stunted(view.imported, volumes), None) if view.imported else None
        raise Ec2zfsError(
            f"Vdev {vdev.name} of pool {self._design.name} did not grow: it has {vdev.size} bytes, and could have "
            f"{vdev.expandable} more."
            if vdev
            else f"Pool {self._design.name} went away while it grew.",
            hint=_AGAIN,
        )

    def _mapping(self, volume: Volume) -> str:
        return volume.mapping if self._design.encrypted else "-"

    def _run(self, name: str, words: Sequence[str] = (), stdin: Secret | None = None) -> Result:
        pool = self._design.name
        result = Script(name, pool, tuple(words), stdin=stdin, accept=frozenset(_Code)).run(self._host)
        if result.status:
            raise _failure(self._host, name, pool, result)
        return result


def _words(action: UpkeepAction) -> tuple[str, ...]:
    """An action as members.sh calls it."""
    match action:
        case ReplaceMember(member, _, path):
            return ("replace", _handle(member), path)
        case OfflineMember(member):
            return ("offline", _handle(member))
        case DropMember(member):
            return ("detach", _handle(member))
        case CloseVolume(volume):
            return ("close", volume.mapping)
        case ClearErrors():
            return ("clear", "-")
        case StartScan():
            return ("scrub", "-")
        case NoteScrub(at):
            return ("scrubbed", at.astimezone(UTC).strftime(SCRUBBED))
        case AddVdev(kind, _, paths):
            return ("add", str(len(paths)), kind, *paths)
        case _:
            raise TypeError(f"not the receiver's to do: {action}")


def _handle(member: Member) -> str:
    """What zpool's commands take: a whole disk goes by its own name, not by that of the partition on it."""
    return member.handle.removesuffix("-part1")


def _records(keys: VolumeKeys | None, volumes: Sequence[Volume]) -> Secret | None:
    return keys.records(volume.mapping for volume in volumes) if keys else None


def _stunted(pool: PoolStatus, volumes: Sequence[Volume]) -> Iterator[Vdev]:
    """The vdevs that do not have all that their volumes have; of one with other members only ZFS's word counts."""
    for number, vdev in enumerate(pool.vdevs, 1):
        own = [volume for volume in volumes if volume.place.vdev == number]
        whole = len(own) == len(vdev.members)
        raw = raw_size(vdev.kind, len(own), min((volume.size_gib for volume in own), default=0))
        least = _LEAST_SHARE * raw if whole else 0
        if own and (vdev.expandable or vdev.size < least):
            yield vdev


def _failure(host: Host, name: str, pool: str, result: Result) -> Ec2zfsError:
    said = result.stderr.decode("utf-8", "replace").strip()
    if result.status == _Code.WRONG_KEY:
        names = [line for line in said.splitlines() if MemberName.parse(line.strip())]
        return WrongPoolKey(
            f"The pool key does not open {names[0].strip() if names else 'a volume'} on {host.name}.",
            hint="Give the key with which the pool was created, or last rekeyed.",
        )
    return CommandFailed(host.name, (f"{name}.sh", pool), result.status, said, hint=_AGAIN)
