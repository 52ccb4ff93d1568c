"""What a run of staging did: for each dataset the snapshots that were staged, what that took, and what went wrong."""

from __future__ import annotations

from dataclasses import dataclass

from ec2zfs.errors import StagingIncomplete


@dataclass(frozen=True)
class Brought:
    """What it took to bring a folder from one snapshot to the next.

    `told` are the changes that `zfs diff` told of, `missed` those that only the comparison found. `encrypted` files of
    `bytes` were encrypted, `moved` and `removed` are names; of the `unread` files each is named, with why.
    """

    told: int = 0
    missed: int = 0
    encrypted: int = 0
    bytes: int = 0
    moved: int = 0
    removed: int = 0
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class StagedAs:
    """A snapshot that was staged."""

    snapshot: str
    brought: Brought


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
        """The files that could not be read when their dataset was last staged."""
        return tuple(name for dataset in self.datasets for name in (dataset.staged or _NONE)[-1].brought.unread)

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
_NONE = (StagedAs("", Brought()),)
