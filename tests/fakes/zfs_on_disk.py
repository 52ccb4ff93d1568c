"""ZFS whose file systems have files: each is a directory, each snapshot a copy of it, as staging needs them.

    site = DiskZfs(directory)
    site.make("tank/home"); (site.folder("tank/home") / "a.txt").write_text("one"); site.take("tank/home", "first")

Snapshots show below `.zfs/snapshot`, which is there from the first one on. `written` is not 0 where a folder is not as
its newest snapshot. Only under staging's mark may a dataset be rolled back.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.fakes.zfs_pool import FakeDataset, Pool, ZfsSays
from tests.fakes.zfs_world import ZfsHost

from ec2zfs.execute.staging import Way
from ec2zfs.hosts.host import Command
from ec2zfs.model.staging import UNDER_WAY
from ec2zfs.staging.report import Advance, Report, UnreadFile

_DEFAULTS = {"mounted": "yes", "canmount": "on", "keystatus": "-", "snapdir": "hidden"}


class DiskPool(Pool):
    """The pool; `top` is where file systems stand that are told no mount point, side by side."""

    top: Path = Path("/")

    def create(
        self, name: str, *, kind: str = "filesystem", encrypted: bool = False, properties: dict[str, str] | None = None
    ) -> FakeDataset:
        given = {"mountpoint": str(self.top / name.replace("/", "%")), **(properties or {})}
        found = super().create(name, kind=kind, encrypted=encrypted, properties=given)
        if given["mountpoint"].startswith("/") and kind == "filesystem":
            Path(given["mountpoint"]).mkdir(parents=True, exist_ok=True)
        return found

    def take(self, names: Sequence[str], properties: dict[str, str]) -> None:
        super().take(names, properties)
        for name in names:
            self.keep(*name.split("@"))

    def keep(self, dataset: str, name: str) -> None:
        """Copy the files, as they are now, into a snapshot."""
        if self.find(dataset).kind == "filesystem":
            copy(self.folder(dataset), self.shown(dataset, name))

    def folder(self, dataset: str) -> Path:
        return Path(self.find(dataset).properties["mountpoint"])

    def shown(self, dataset: str, name: str) -> Path:
        return self.folder(dataset) / ".zfs" / "snapshot" / name

    def written(self, dataset: str) -> int:
        found = self.find(dataset)
        if found.kind != "filesystem" or not self.folder(dataset).is_dir():
            return 0
        newest = found.snapshots[-1].name if found.snapshots else ""
        return 0 if newest and same(self.folder(dataset), self.shown(dataset, newest)) else 4096

    def _value(self, row: str, column: str) -> str:
        if "@" not in row and "#" not in row:
            held = self.datasets[row]
            if column == "written":
                return str(self.written(row))
            if column == "mountpoint":
                return held.properties["mountpoint"]
            if column in _DEFAULTS:
                return held.properties.get(column, _DEFAULTS[column])
        return super()._value(row, column)


class DiskZfs(ZfsHost):
    """A site of which the file systems are directories."""

    def __init__(self, top: Path, hook: Callable[[str], object] = lambda _event: None) -> None:
        pool = DiskPool()
        pool.top = top
        super().__init__("site", pool, hook)
        self.pool = pool

    def make(self, name: str, **properties: str) -> Path:
        self.pool.create(name, properties=properties)
        return self.pool.folder(name)

    def take(self, dataset: str, name: str) -> None:
        self.pool.snapshot(dataset, name)
        self.pool.keep(dataset, name)

    def folder(self, dataset: str) -> Path:
        return self.pool.folder(dataset)

    def snapshot(self, dataset: str, name: str) -> Path:
        """The files of a snapshot."""
        return self.pool.shown(dataset, name)

    def exec_argv(self, command: Command) -> Sequence[str]:  # type: ignore[override]
        assert command.argv[:3] == ("zfs", "diff", "-FHt"), command.argv
        self.hook(f"site: before {' '.join(command.argv)}")
        old, new = (each.split("@") for each in command.argv[3:])
        top = self.folder(old[0])
        lines = (
            f"1700000000.000000000\t{change}\tF\t{top / path}\n"
            for change, path in diff(self.snapshot(*old), self.snapshot(*new))
        )
        return ("printf", "%s", "".join(lines))

    def _tool(self, argv: Sequence[str]) -> tuple[int, str, str]:
        verb, words = argv[1], argv[2:]
        if verb == "rollback":
            return 0, self._rollback(words[0]), ""
        if verb == "get" and words[:4] == ("-Hp", "-r", "-s", "local"):
            return 0, "".join(self._told_marks(words[-2].split(","), words[-1])), ""
        if verb == "set":
            self.zfs.find(words[-1]).properties |= dict(word.split("=", 1) for word in words[:-1])
            return 0, "", ""
        if verb == "mount":
            self.zfs.find(words[-1]).properties["mounted"] = "yes"
            return 0, "", ""
        return super()._tool(argv)

    def _rollback(self, snapshot: str) -> str:
        dataset, name = snapshot.split("@")
        found = self.zfs.find(dataset)
        assert UNDER_WAY in found.properties, f"{dataset} is rolled back, and nobody is at work in it"
        assert found.snapshots[-1].name == name
        clear(self.folder(dataset))
        copy(self.snapshot(dataset, name), self.folder(dataset))
        return ""

    def _told_marks(self, names: list[str], root: str) -> Iterator[str]:
        if root not in self.zfs.datasets:
            raise ZfsSays(f"cannot open '{root}': dataset does not exist")
        for name, held in sorted(self.zfs.datasets.items()):
            if f"{name}/".startswith(f"{root}/"):
                rows = [(name, held.properties), *((f"{name}@{s.name}", dict(s.properties)) for s in held.snapshots)]
                for row, properties in rows:
                    yield from (f"{row}\t{each}\t{properties[each]}\n" for each in names if each in properties)


class CopyingFolders:
    """Instead of encrypting it copies; a folder has to be as the snapshot from which it is brought."""

    def __init__(self, hook: Callable[[str], object] = lambda _event: None) -> None:
        self.hook = hook
        self.ways: list[Way] = []
        self.open_unread: tuple[UnreadFile, ...] = ()

    def ready(self) -> None:
        self.hook("bring: ready")

    def bring(self, folder: Path, way: Way, told: Callable[[Advance], None]) -> Report:
        self.ways.append(way)
        assert folder.stat().st_mode & 0o777 == 0o700
        if not way.again:
            assert same(folder, way.before) if way.before else not any(folder.iterdir()), f"{folder} is not as it was"
        clear(folder)
        self.hook("bring: it is empty")
        copy(way.after, folder)
        folder.chmod(0o700)
        told(Advance(files=1, bytes=1, unread=0))
        self.hook("bring: all is there")
        return Report(1, way.before is None, way.hints.count, 0, 1, 1, 0, 0, 0, self.open_unread)


def copy(folder: Path, target: Path) -> None:
    """Copy all that is in a directory, but ZFS's own, with the links among it."""
    target.mkdir(parents=True, exist_ok=True)
    entries = [str(entry) for entry in folder.iterdir() if entry.name != ".zfs"]
    if entries:
        subprocess.run(["cp", "-a", *entries, str(target)], check=True)


def clear(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.name != ".zfs":
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def same(one: Path, other: Path) -> bool:
    """Whether two directories hold the same."""
    return not [*diff(one, other)]


def diff(old: Path, new: Path) -> Iterator[tuple[str, str]]:
    """What changed, as `zfs diff` calls it, and where."""
    before, after = files(old), files(new)
    for path in sorted(before | after):
        if path not in after or path not in before:
            yield ("+" if path in after else "-"), path
        elif (old / path).is_file() and not filecmp.cmp(old / path, new / path, shallow=False):
            yield "M", path


def files(top: Path) -> set[str]:
    """All paths below a directory, without ZFS's own."""
    paths = (path.relative_to(top) for path in top.rglob("*"))
    return {str(path) for path in paths if path.parts[0] != ".zfs"}
