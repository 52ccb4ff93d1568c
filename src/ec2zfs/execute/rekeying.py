"""Runs rekey.sh: looks which key slots the old and the new key open, adds keys, removes the old one.

Decides nothing: what to do comes from plan/rekeying.py. The keys stand in the command's standard input only, each as
often as the script takes it from there, so that no shell ever holds one in a variable.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from ec2zfs.errors import CommandFailed, Ec2zfsError, Refused, WrongPoolKey
from ec2zfs.execute.opening import DEVICE_SECONDS
from ec2zfs.hosts.host import Host, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Volume
from ec2zfs.plan.rekeying import AddNewKey, AddOldKey, KeySlots, Phase, RemoveOldKey
from ec2zfs.tools.scripts import Script
from ec2zfs.tools.volume_keys import VolumeKeys

AGAIN = "Every volume is still opened by one key for all; give the same command again to finish."


class _Code(IntEnum):
    """The exit codes of rekey.sh."""

    ABSENT = 41
    KEY_NOT_PROVEN = 42
    NOT_ADDED = 43
    NO_HEADER = 44
    NOT_REMOVED = 45


@dataclass(frozen=True)
class TwoKeys:
    """The volumes' keys of a pool under its old and its new pool key."""

    old: VolumeKeys
    new: VolumeKeys


def key_slots(host: Host, pool: str, volumes: Sequence[Volume], keys: TwoKeys) -> tuple[KeySlots, ...]:
    """Which slots the keys open, in one execution. Raises `Refused` for a volume that is not there or has no header."""
    given = [keys.old, keys.new]
    result = _run(host, pool, "look", volumes, _by_volume(volumes, given))
    found = {words[0]: (_slot(words[1]), _slot(words[2])) for words in map(str.split, result.lines())}
    return tuple(KeySlots(volume, *found[volume.mapping]) for volume in volumes)


def carry_out(host: Host, pool: str, phase: Phase, keys: TwoKeys) -> None:
    """Do one phase, in one execution.

    Raises `Refused` or `WrongPoolKey` where nothing was removed, `CommandFailed` with what cryptsetup said.
    """
    _run(host, pool, _NAMES[type(phase)], phase.volumes, _records(phase, keys))


_NAMES = {AddNewKey: "add", AddOldKey: "add", RemoveOldKey: "remove"}


def _records(phase: Phase, keys: TwoKeys) -> Secret:
    """The keys in the order in which rekey.sh takes them from its standard input."""
    match phase:
        case AddNewKey(volumes):
            return _by_volume(volumes, [keys.new, keys.old, keys.new, keys.new])
        case AddOldKey(volumes):
            return _by_volume(volumes, [keys.old, keys.new, keys.old, keys.old])
        case RemoveOldKey(volumes):
            return _joined([_by_volume(volumes, [keys.new]), _by_volume(volumes, [keys.old, keys.new])])


def _by_volume(volumes: Sequence[Volume], keys: Sequence[VolumeKeys]) -> Secret:
    return _joined(each.key(volume.mapping) for volume in volumes for each in keys)


def _joined(secrets: Iterable[Secret]) -> Secret:
    return Secret(b"".join(secret.reveal() for secret in secrets))


def _run(host: Host, pool: str, phase: str, volumes: Sequence[Volume], records: Secret) -> Result:
    words = tuple(word for volume in volumes for word in (volume.serial, volume.mapping))
    arguments = (phase, str(DEVICE_SECONDS), *words)
    result = Script("rekey", pool, arguments, stdin=records, accept=frozenset(_Code)).run(host)
    if result.status:
        raise _failure(host, pool, phase, result)
    return result


def _failure(host: Host, pool: str, phase: str, result: Result) -> Ec2zfsError:
    said = result.stderr.decode("utf-8", "replace").strip()
    last = said.rpartition("\n")[2]
    match result.status:
        case _Code.ABSENT:
            return Refused(
                f"{last} does not show on {host.name} after {DEVICE_SECONDS} s; no key was changed.",
                hint="If EC2 calls it attached, detach it (`ec2zfs volumes detach`), then `ec2zfs pool repair`.",
            )
        case _Code.KEY_NOT_PROVEN:
            return WrongPoolKey(f"On {host.name}: {last} No key was removed.", hint="Give the same command again.")
        case _Code.NO_HEADER if phase != "remove":
            return Refused(
                f"On {host.name}: {last} No key was removed.",
                hint="Look at it there (`cryptsetup luksDump`), or have it replaced (`ec2zfs pool repair --replace`).",
            )
        case _:
            return CommandFailed(host.name, ("cryptsetup", phase, pool), result.status, said, hint=AGAIN)


def _slot(word: str) -> int | None:
    return None if word == "-" else int(word)
