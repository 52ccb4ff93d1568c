"""What the demonstration left behind in the lab's directory, where the keys are looked for, and what is known of it.

Reads the directory, and adds to it the receiver's root disk as the receiver sees it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

from ec2zfs.execute.host_keys import console_keys
from ec2zfs.lab.demo.machines import SITE
from ec2zfs.lab.demo.operator import DemonstrationFailed
from ec2zfs.lab.demo.proofs import Control, Traces
from ec2zfs.lab.demo.watches import CONTROLLER, Record

# Whole argv, as only a process has them: the same words in a script's text have no NUL between them.
_SENT = b"zfs\x00send\x00"
_UNLOCKED = b"\x1ecryptsetup\x00open\x00"
_RECEIVED = b"zfs\x00receive\x00"
_RECEIVER_SAW = {1: (_UNLOCKED, _RECEIVED), 2: (_UNLOCKED, _RECEIVED), 3: (_UNLOCKED,)}
"""By boot: the first is that of the pool's creation and the first day, then the second day, then the recovery."""


def traces(directory: Path, receiver: str, configuration: Path) -> Traces:
    """All files below the lab's directory: nothing in it is left out. The watches must have ended.

    Raises `DemonstrationFailed` when the receiver's console does not show its host key.
    """
    disk = _flat_copy(directory / "machines" / receiver / "root.qcow2", directory)
    watched = dict(_watched(directory, receiver, configuration))
    controls = [Control(directory / "operator.log", b"Unlocking pool"), _host_key(directory, receiver, disk)]
    for record, known in watched.items():
        controls += [Control(record.processes, each) for each in known]
        if record.machine != CONTROLLER:
            controls.append(Control(record.journal, b"Accepted publickey for "))
    files = tuple(sorted(path for path in directory.rglob("*") if path.is_file()))
    return Traces(files, tuple(controls), tuple(record.processes for record in watched))


def _watched(directory: Path, receiver: str, configuration: Path) -> Iterator[tuple[Record, tuple[bytes, ...]]]:
    """The records that there must be, and which processes must be in each."""
    yield Record(directory, CONTROLLER), (b"\x00%s\x00backup\x00" % bytes(configuration),)
    yield Record(directory, SITE), (_SENT,)
    for boot, known in _RECEIVER_SAW.items():
        yield Record(directory, receiver, boot), known


def _host_key(directory: Path, receiver: str, disk: Path) -> Control:
    """The receiver's own public host key, which is in no image: found, its own part of the disk was read."""
    keys = console_keys((directory / "machines" / receiver / "console").read_text(errors="replace"))
    if not keys:
        raise DemonstrationFailed(f"The console of {receiver} shows no ssh host key, so its disk cannot be told.")
    return Control(disk, keys[0].encode())


def _flat_copy(disk: Path, directory: Path) -> Path:
    """A root disk as the guest sees it, its base image included, so that the whole of it can be searched."""
    flat = directory / f"{disk.parent.name}.raw"
    subprocess.run(["qemu-img", "convert", "-O", "raw", str(disk), str(flat)], check=True, capture_output=True)
    return flat
