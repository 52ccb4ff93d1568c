"""Copies whose sources do not exist any more: `backup` shows those that it saw, other verbs what the last one saw."""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.cli.output import Output


def show_orphans(output: Output, orphans: Sequence[str]) -> None:
    """A sentence for each; nothing where there are none."""
    if orphans:
        output.table("copies without a source", [{"copies without a source": sentence} for sentence in orphans])
