"""What there is to restore at which snapshots, as the manifest has it: that needs an identity, and no object."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.encryption.identities import Identity
from ec2zfs.model.tree import FileKind
from ec2zfs.staging.folder import Folder
from ec2zfs.staging.manifest import manifests
from ec2zfs.staging.patterns import Patterns
from ec2zfs.staging.terms import Label


@dataclass(frozen=True)
class Version:
    """What stood at a path from a snapshot on, until the next version. `kind` None: nothing stood there any more.

    `size` in bytes, `modified` in nanoseconds since 1970; `number` is the segment's, for a `Choice`.
    """

    number: int
    label: Label
    kind: FileKind | None
    size: int
    modified: int


def labels(folder: Path, identity: Identity) -> list[tuple[int, Label]]:
    """The snapshots that the folder's manifest tells of, oldest first, with their segments' numbers.

    Raises as `manifests` does.
    """
    return [(manifest.number, manifest.label) for manifest in manifests(Folder(folder), identity)]


def versions(folder: Path, identity: Identity, patterns: Iterable[str] = ()) -> dict[bytes, list[Version]]:
    """The versions of each path that the patterns mean (none: all), oldest first, by path.

    Raises as `manifests` does.
    """
    found: dict[bytes, list[Version]] = {}
    meant = Patterns(patterns)
    for manifest in manifests(Folder(folder), identity):
        seen = set[bytes]()
        for path, _, meta in manifest.entries():
            if meta is not None and path and meant.match(path):
                seen.add(path)
                _add(
                    found.setdefault(path, []),
                    Version(manifest.number, manifest.label, meta.kind, meta.size, meta.modified),
                )
        for path in found.keys() - seen:
            _add(found[path], Version(manifest.number, manifest.label, None, 0, 0))
    return dict(sorted(found.items()))


def _add(versions: list[Version], version: Version) -> None:
    if not versions or _what(versions[-1]) != _what(version):
        versions.append(version)


def _what(version: Version) -> tuple[FileKind | None, int, int]:
    return version.kind, version.size, version.modified
