"""Judges what the receiver says that it has of a broken-off stream. Pure: a token is a claim, and never a fact."""

from __future__ import annotations

from ec2zfs.model.snapshot import Dataset, ResumeToken, Snapshot
from ec2zfs.plan.replication_steps import TokenForeign


def token_fault(
    token: ResumeToken, source: Dataset, target: Dataset, pending: tuple[Snapshot, ...]
) -> TokenForeign | None:
    """What is wrong with a broken-off stream, or None when it is the very stream that is to be sent next.

    The receiver made the token, so each of its claims is held against what the source has (facts 36, 38; pain 8).
    """
    reason = _token_reason(token, source, target, pending)
    return TokenForeign(token, reason) if reason else None


def _token_reason(token: ResumeToken, source: Dataset, target: Dataset, pending: tuple[Snapshot, ...]) -> str:
    newest = target.snapshots[-1].guid if target.snapshots else 0
    wanted = next((snapshot for snapshot in source.snapshots if snapshot.guid == token.to_guid), None)
    if token.foreign:
        return token.foreign
    if wanted is None:
        return f"its snapshot {token.to_name or 'without a name'} is not at the source any more"
    if str(wanted) != token.to_name:
        return f"it names {token.to_name}, which is now {wanted}"
    if token.from_guid != newest:
        return "it does not continue from the newest snapshot of the target"
    if wanted not in pending[:1]:
        return f"{wanted} is not the next snapshot to send"
    if token.raw is not source.encrypted:
        return "it would mix raw and plain streams"
    return ""
