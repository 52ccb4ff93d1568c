"""`zfs send` and `zfs receive`: their argv, the size that a stream will have, what a resume token holds, and what their
failures mean. Never `receive -F` (peers, pain 3); flags are always `-L -e -c`, or `-w` for a natively encrypted source
(facts 38, 46).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ec2zfs.errors import CommandFailed, Ec2zfsError, NoSpace, ReplicationConflict
from ec2zfs.hosts.host import Command, Host
from ec2zfs.model.replication import Replica
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
    if isinstance(transfer, Full) and replica.below_raw and not replica.raw:
        options += ("-o", "encryption=off")
    if transfer.base is None and replica.identity:
        options += ("-o", f"{IDENTITY}={replica.identity}")
    return Command(("zfs", "receive", "-s", "-u", *options, replica.target), timeout=None)


def sizes(host: Host, transfers: Sequence[Transfer]) -> tuple[int | None, ...]:
    """The estimated bytes of each stream, by one execution for all (fact 45); None where `zfs send -nP` failed."""
    if not transfers:
        return ()
    lines = "".join("\t".join(_send_words(transfer)) + "\n" for transfer in transfers)
    command = replace(zfs_script("zfs_sizes.sh"), stdin=lines.encode(), timeout=ESTIMATE_LIMIT)
    return parse_sizes(host.run(command).lines())


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
    strange = sorted(found.keys() - TOKEN_KEYS)
    if strange or "toguid" not in found:
        reason = f"its token holds {', '.join(strange)}, which no stream of ours has" if strange else ""
        return ResumeToken(text, foreign=reason or "its token cannot be decoded")
    return ResumeToken(
        text,
        to_guid=int(found["toguid"], 0),
        to_name=found.get("toname", ""),
        from_guid=int(found.get("fromguid", "0"), 0),
        raw="rawok" in found,
    )


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
    flags = ("-w",) if transfer.replica.raw else ("-L", "-e", "-c")
    if isinstance(transfer, Incremental):
        return (*flags, "-i", str(transfer.base), str(transfer.to))
    return (*flags, str(transfer.to))
