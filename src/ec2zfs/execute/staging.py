"""Carries a plan of staging out: dataset by dataset, step by step, each as safe to be killed as the one before.

Our mark stands on a staged dataset before anything is written in it, and leaves it after the snapshot was taken; what
is found under the mark is rolled back first. What stops one dataset does not stop the others. It destroys no snapshot.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ec2zfs.errors import CommandFailed, Ec2zfsError, MissingTool, NoSpace, RecipientRefused, Refused
from ec2zfs.execute.progress import Bar, Progress
from ec2zfs.execute.staging_report import DatasetReport, StagedAs, StagingReport
from ec2zfs.execute.staging_state import staging_state
from ec2zfs.hosts.host import Command, Host
from ec2zfs.hosts.lines import printed_lines
from ec2zfs.model.snapshot import Snapshot
from ec2zfs.model.source import Source
from ec2zfs.model.staging import SOURCE_GUID, TAKEN, WALKED, Mount, StagingState
from ec2zfs.plan.staging import (
    CreateStaged,
    DatasetStaging,
    RollBackStaged,
    StageSnapshot,
    StagingPlan,
    StagingStep,
)
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging.bringing import bring
from ec2zfs.staging.report import Advance, Report
from ec2zfs.staging.terms import Label, Terms
from ec2zfs.tools import zfs_staging
from ec2zfs.tools.zfs import Zfs
from ec2zfs.tools.zfs_diff import UnreadableDiff, diff_argv, differences
from ec2zfs.tools.zfs_repair import roll_back


@dataclass(frozen=True)
class Way:
    """From where to where a folder is brought: the directories of two snapshots of a source (`before` None: from
    nothing). `hints` say where they differ; `again`: every file is encrypted again."""

    before: Path | None
    after: Path
    hints: Hints
    label: Label
    again: bool = False


class Folders(Protocol):
    """What encrypts, and knows what a staged folder looks like inside. Knows nothing of ZFS."""

    def ready(self) -> None:
        """Raise what keeps any file from being encrypted, such as a recipient's key, before anything is changed."""
        ...

    def bring(self, folder: Path, way: Way, told: Callable[[Advance], None]) -> Report:
        """Bring the folder to the snapshot; `told` hears how far it is.

        What it leaves when it raises, or is killed, is rolled back by whoever called.
        """
        ...


@dataclass(frozen=True)
class EncryptedFolders:
    """Folders whose files are encrypted on these terms, which are found out when they are needed."""

    terms: Callable[[], Terms]

    def ready(self) -> None:
        """As `Folders.ready`."""
        self.terms()

    def bring(self, folder: Path, way: Way, told: Callable[[Advance], None]) -> Report:
        """As `Folders.bring`."""
        return bring(folder, self.terms(), way.before, way.after, way.hints, way.label, told, anew=way.again)


@dataclass(frozen=True)
class Stager:
    """Brings the staged datasets of the sources up to date. `site` is this machine, and we are root on it."""

    site: Host
    root: str
    folders: Folders
    progress: Progress

    def observe(self, sources: Sequence[Source]) -> StagingState:
        """Both sides as they are."""
        return staging_state(self.site, self.root, sources)

    def run(self, plan: StagingPlan, state: StagingState) -> StagingReport:
        """Carry the plan out, and report on every dataset; the report's `raise_for_errors()` raises what was left out.

        Raises what `Folders.ready` does before anything is changed, and `NoSpace` when the staging pool is full.
        """
        if plan.steps:
            self.folders.ready()
        warnings = [each.skipped for each in plan.datasets if each.skipped]
        reports = []
        for dataset in plan.datasets:
            work = _DatasetWork(self, state, warnings)
            reports.append(work.report(dataset))
        return StagingReport(tuple(reports), tuple(warnings))


_FATAL = (NoSpace, RecipientRefused, MissingTool)


@dataclass
class _DatasetWork:
    stager: Stager
    state: StagingState
    warnings: list[str]
    staged: list[StagedAs] = field(default_factory=list)

    def report(self, plan: DatasetStaging) -> DatasetReport:
        """Do the steps; what fails among them ends them."""
        try:
            for step in plan.steps:
                self._do(step)
        except _FATAL:
            raise
        except Ec2zfsError as error:
            return DatasetReport(plan.source, tuple(self.staged), error.message, error.hint)
        if plan.conflict:
            return DatasetReport(plan.source, tuple(self.staged), str(plan.conflict), plan.conflict.advice())
        return DatasetReport(plan.source, tuple(self.staged))

    def _do(self, step: StagingStep) -> None:
        match step:
            case CreateStaged():
                self._create(step)
            case RollBackStaged():
                self._roll_back(step)
            case StageSnapshot():
                self._stage(step)

    def _create(self, step: CreateStaged) -> None:
        site = self.stager.site
        for parent in step.parents:
            zfs_staging.create_parent(site, parent)
        make = zfs_staging.adopt_parent if step.adopt else zfs_staging.create_staged
        make(site, step.place, step.source_guid, _mountpoint(self.state.mounts[self.state.root], step.source))

    def _roll_back(self, step: RollBackStaged) -> None:
        self.stager.progress.say(str(step))
        if step.to is None:
            _empty(self._folder(step.place))
        else:
            roll_back(self.stager.site, Snapshot(step.place, step.to, 0, 0))
        zfs_staging.release_bases(self.stager.site, step.unneeded)
        if step.to is not None:
            zfs_staging.end_staging(self.stager.site, step.place)

    def _stage(self, step: StageSnapshot) -> None:
        site, snapshot = self.stager.site, step.snapshot
        self.stager.progress.say(str(step))
        zfs_staging.begin_staging(site, step.place, snapshot.guid)
        zfs_staging.hold_base(site, snapshot)
        taken = zfs_staging.created(site, snapshot)
        brought = self._brought(step, self._folder(step.place), taken)
        walked = int(step.walked.timestamp())
        marks = {SOURCE_GUID: str(snapshot.guid), WALKED: str(walked), TAKEN: str(taken)}
        Zfs(site).snapshot([f"{step.place}@{snapshot.name}"], marks)
        zfs_staging.release_bases(site, step.unneeded)
        zfs_staging.end_staging(site, step.place)
        self.staged.append(StagedAs(str(snapshot), brought))

    def _brought(self, step: StageSnapshot, folder: Path, taken: int) -> Report:
        mountpoint = self.state.mounts[step.snapshot.dataset].mountpoint
        with ExitStack() as looking:
            after = looking.enter_context(_shown(mountpoint, step.snapshot))
            before = looking.enter_context(_shown(mountpoint, step.base)) if step.base else None
            hints = self._hints(step, mountpoint)
            label = Label(step.snapshot.dataset, step.snapshot.name, step.snapshot.guid, taken)
            way = Way(before, after, hints, label, step.again)
            bar = looking.enter_context(self.stager.progress.bar(f"stage {step.snapshot.dataset}", None, "B"))
            return self.stager.folders.bring(folder, way, Meter(bar).told)

    def _hints(self, step: StageSnapshot, mountpoint: str) -> Hints:
        """Where to look; the whole tree when that is due, or ZFS cannot tell."""
        if step.base is None:
            return Hints.everywhere()
        lines = printed_lines(
            self.stager.site, Command.of(*diff_argv(str(step.base), str(step.snapshot)), timeout=None)
        )
        try:
            hints = Hints.of(differences(lines, os.fsencode(mountpoint)))
        except (CommandFailed, UnreadableDiff) as error:
            self.warnings.append(
                f"The whole tree of {step.snapshot.dataset} was compared, since `zfs diff` failed: {error}"
            )
            return Hints.everywhere()
        if step.full:
            hints.whole.add(b"")
        return hints

    def _folder(self, place: str) -> Path:
        """Where the staged dataset is mounted, for root alone."""
        found = zfs_staging.mounts(self.stager.site, [place]).get(place)
        if found is None or not found.mountpoint.startswith("/"):
            raise Refused(
                f"The staged dataset {place} has no mount point.",
                hint=f"Give it a directory of its own: `zfs set mountpoint=/… {place}`.",
            )
        if not found.mounted:
            zfs_staging.mount(self.stager.site, place)
        folder = Path(found.mountpoint)
        folder.chmod(0o700)
        return folder


class Meter:
    """Moves a bar on by the bytes that it hears of."""

    def __init__(self, bar: Bar) -> None:
        self._bar, self._bytes = bar, 0

    def told(self, advance: Advance) -> None:
        """Show how far it is."""
        self._bar.advance(advance.bytes - self._bytes)
        self._bytes = advance.bytes


def _mountpoint(root: Mount, source: str) -> str:
    """Where a source is mounted in the staging pool: never within another's folder, which holds its own files alone.

    No name of a dataset has a `%`.
    """
    return f"{root.mountpoint.rstrip('/')}/{source.replace('/', '%')}"


@contextmanager
def _shown(mountpoint: str, snapshot: Snapshot) -> Iterator[Path]:
    """The directory in which ZFS shows a snapshot, kept from being unmounted for a `with` block."""
    path = Path(mountpoint, ".zfs", "snapshot", snapshot.name)
    try:
        opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise Refused(
            f"The files of {snapshot} cannot be read: {path}: {error.strerror}.",
            hint=f"Is {snapshot.dataset} mounted there, and is something else mounted over it?",
        ) from error
    try:
        yield path
    finally:
        os.close(opened)


def _empty(folder: Path) -> None:
    """Remove all that is in a folder that was never staged to its end."""
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                Path(entry.path).unlink()
