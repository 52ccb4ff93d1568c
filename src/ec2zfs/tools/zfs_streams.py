"""`zfs send` and `zfs receive`: their argv, the size that a stream will have, what a resume token holds, and what their
failures mean. Never `receive -F` (peers, pain 3); the flags are those with which the copy was begun (facts 38, 46), and
its first stream writes them into it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ec2zfs.errors import CommandFailed, Ec2zfsError, NoSpace, ReplicationConflict
from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.replication import Replica
from ec2zfs.model.send_flags import SEND
from ec2zfs.model.snapshot import DatasetKind, ResumeToken
from ec2zfs.plan.replication_steps import Full, Incremental, Resume, Transfer
from ec2zfs.tools.zfs_identity import IDENTITY
from ec2zfs.tools.zfs_scripts import zfs_script

ESTIMATE_LIMIT = 3600.0

FILESYSTEM_OPTIONS: tuple[str, ...] = (
    "-o",
    "readonly=on",
    "-o",
    "canmount=noauto",
    "-x",
    "mountpoint",
    "-x",
    "sharenfs",
    "-x",
    "sharesmb",
)
VOLUME_OPTIONS: tuple[str, ...] = ("-o", "readonly=on", "-o", "volmode=none")
"""A copy is never mounted, shared or written (fact 47). No device appears for a volume: the receiver's udev would look
for partitions and volume groups in it."""

TOKEN = re.compile(r"[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+")
TOKEN_KEYS = frozenset(
    ("object", "offset", "bytes", "toguid", "toname", "fromguid", "embedok", "compressok", "largeblockok", "rawok")
)


def send_command(transfer: Transfer) -> Command:
    """The command that prints the stream."""
    return Command(("zfs", "send", *_send_words(transfer)), timeout=None)


def receive_command(transfer: Transfer) -> Command:
    """The command that takes the stream in and keeps what it got when it breaks off (`-s`), never mounting (`-u`)."""
    replica = transfer.replica
    options = VOLUME_OPTIONS if replica.kind is DatasetKind.VOLUME else FILESYSTEM_OPTIONS
    if transfer.base is None:
        options += ("-o", f"{SEND}={replica.flags}")
    if isinstance(transfer, Full) and replica.below_raw and not replica.raw:
        options += ("-o", "encryption=off")
    if transfer.base is None and replica.identity:
        options += ("-o", f"{IDENTITY}={replica.identity}")
    return Command(("zfs", "receive", "-s", "-u", *options, replica.target), timeout=None)


def sizes(host: Host, transfers: Sequence[Transfer]) -> tuple[int | None, ...]:
    """The estimated bytes of each stream, by one execution for all (fact 45); None where `zfs send -nP` failed."""
    if not transfers:
        return ()
    lines = ("\t".join(_send_words(transfer)) for transfer in transfers)
    return parse_sizes(host.run(zfs_script("zfs_sizes.sh", stdin=lines, timeout=ESTIMATE_LIMIT)).lines())


def parse_sizes(lines: Iterable[str]) -> tuple[int | None, ...]:
    """The sizes in what the script prints: a line `stream` before each, and `size <TAB> bytes` where it is known."""
    found: list[int | None] = []
    for line in lines:
        if line == "stream":
            found.append(None)
        elif match := re.fullmatch(r"size\t(\d+)", line):
            found[-1] = int(match[1])
    return tuple(found)


def decoded(host: Host, token: ResumeToken) -> ResumeToken:
    """The token with its contents, read by `zstream token` on the host (fact 36)."""
    if not TOKEN.fullmatch(token.text):
        return replace(token, foreign="it is not a resume token")
    command = Command(("zstream", "token", token.text), accept=frozenset({0, 1}))
    return parse_token(token.text, host.run(command).lines())


def parse_token(text: str, lines: Iterable[str]) -> ResumeToken:
    """The contents of a token from `zstream token` (`name: value`) or `zfs send -nvt` (`name = value`)."""
    found: dict[str, str] = {}
    for line in lines:
        if match := re.fullmatch(r"\s*(\w+)(?:\s*[:=]\s*(.*?))?\s*", line):
            found[match[1]] = (match[2] or "").strip("'")
    foreign = _foreign(frozenset(found))
    if foreign:
        return ResumeToken(text, foreign=foreign)
    return ResumeToken(
        text,
        to_guid=int(found["toguid"], 0),
        to_name=found.get("toname", ""),
        from_guid=int(found.get("fromguid", "0"), 0),
        raw="rawok" in found,
    )


def _foreign(names: frozenset[str]) -> str:
    """What a token holds or lacks that no stream of ours does, or "".

    `-c` and `-w` are in every token. `largeblockok` and `embedok` are there only where ZFS had such blocks to send, so
    only what must not be there can be judged; that large blocks stay large, ZFS 2.0 itself demands of each increment.
    """
    strange = sorted(names - TOKEN_KEYS)
    if strange:
        return f"its token holds {', '.join(strange)}, which no stream of ours has"
    if "toguid" not in names:
        return "its token cannot be decoded"
    if "compressok" not in names:
        return "its token lacks compressok, which every stream of ours has"
    if {"rawok", "embedok"} <= names:
        return "its token is raw with embedok, and an encrypted dataset has no embedded blocks"
    return ""


def busy(error: CommandFailed) -> bool:
    """Whether the target is held by something that will end, such as the receive of a controller that just died."""
    return bool(re.search(r"\bis busy\b|already being received|currently being received", error.stderr)) or (
        # What OpenZFS makes of EBUSY where there is a token: a receive still runs (lib/libzfs/libzfs_sendrecv.c).
        "cannot receive resume stream" in error.stderr and "contains partially-complete state" in error.stderr
    )


def meaning(error: CommandFailed, replica: Replica) -> Ec2zfsError:
    """What a failed stream means to the operator; the error itself where `zfs` has said enough."""
    said = error.stderr.strip()
    if re.search(r"out of space|quota exceeded", said):
        return NoSpace(
            f"{replica.target} on {error.host} is full: {said}",
            hint="What arrived is kept. Grow the pool, or destroy copies that are not wanted; the next run carries on.",
        )
    if re.search(r"has been modified|does not\s+match incremental source|must specify -F", said):
        return ReplicationConflict(
            f"{replica.target} on {error.host} does not take {replica.source}: {said}",
            hint="Nothing was rolled back. Run again: the plan will name what stands in the way.",
        )
    return error


def _send_words(transfer: Transfer) -> tuple[str, ...]:
    if isinstance(transfer, Resume):
        return ("-t", transfer.token.text)
    flags = transfer.replica.flags.words
    if isinstance(transfer, Incremental):
        return (*flags, "-i", str(transfer.base), str(transfer.to))
    return (*flags, str(transfer.to))
