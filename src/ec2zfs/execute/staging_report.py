"""What a run of staging did: for each dataset the snapshots that were staged, what that took, and what went wrong."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ec2zfs.encryption.streams import shown
from ec2zfs.errors import StagingIncomplete
from ec2zfs.staging.report import Report, UnreadFile


@dataclass(frozen=True)
class StagedAs:
    """A snapshot that was staged, and what that took."""

    snapshot: str
    brought: Report


@dataclass(frozen=True)
class DatasetReport:
    """A dataset of the sources: what was staged of it, and why no more was, "" for nothing. `hint`: what to do then."""

    source: str
    staged: tuple[StagedAs, ...] = ()
    error: str = ""
    hint: str = ""


@dataclass(frozen=True)
class StagingReport:
    """All datasets, and notices that are no faults, a sentence each."""

    datasets: tuple[DatasetReport, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def snapshots(self) -> tuple[StagedAs, ...]:
        """All that was staged."""
        return tuple(each for dataset in self.datasets for each in dataset.staged)

    @property
    def unread(self) -> tuple[str, ...]:
        """The files that could not be read when their dataset was last staged, each with why."""
        newest = (dataset.staged[-1] for dataset in self.datasets if dataset.staged)
        return tuple(_words(each.snapshot, file) for each in newest for file in each.brought.unread)

    def __str__(self) -> str:
        files = sum(each.brought.encrypted for each in self.snapshots)
        size = sum(each.brought.bytes for each in self.snapshots)
        return f"{len(self.snapshots)} snapshots, {files:,} files of {size:,} bytes encrypted"

    def raise_for_errors(self) -> None:
        """Raise `StagingIncomplete` when some dataset, or some file, was left out."""
        failed = [each for each in self.datasets if each.error]
        words = [f"{each.source} was not staged to the end: {each.error}" for each in failed]
        if unread := self.unread:
            more = f" and {len(unread) - _SHOWN} more" if len(unread) > _SHOWN else ""
            words.append(f"Files that could not be read are not staged: {', '.join(unread[:_SHOWN])}{more}.")
        if words:
            hint = next((each.hint for each in failed if each.hint), "")
            raise StagingIncomplete(" ".join(words), hint=hint or "They are tried again with the next snapshot.")


_SHOWN = 5


def _words(snapshot: str, file: UnreadFile) -> str:
    return f"{shown(os.fsdecode(file.path))} of {snapshot} ({file.why.rstrip('.')})"
