"""The places in a staged folder, and its header: what stands in clear of how it is staged."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ec2zfs.encryption.interface import Format
from ec2zfs.encryption.streams import shown, unwritable
from ec2zfs.errors import Damaged, Refused, Unreadable
from ec2zfs.staging.seals import read_ends
from ec2zfs.staging.terms import NameMode, Terms

VERSION = 2
"""Of folders of the first one the digests were SHA-256."""
SHARDS = tuple(f"{number:02x}" for number in range(256))
_SEALS = ".seals"
_OBJECT = re.compile("[0-9a-f]{2,}")


@dataclass(frozen=True)
class Header:
    """What `staging.json` says."""

    names: NameMode
    format: Format


@dataclass(frozen=True)
class Staged:
    """What a folder says of itself in clear.

    `number` is that of its last segment, `recipients` are the fingerprints of those to whom it, and every file since
    then, is encrypted. `unread` is how many files that could not encrypt, `astray` of how many the next diff may be
    silent.
    """

    number: int
    recipients: tuple[str, ...]
    unread: int
    astray: int
    names: NameMode
    format: Format


@dataclass(frozen=True)
class Folder:
    """A staged folder by its path."""

    path: Path

    @property
    def header(self) -> Path:
        """How it is staged."""
        return self.path / "staging.json"

    @property
    def objects(self) -> Path:
        """The ciphertexts, in a directory for each last two digits of their ids."""
        return self.path / "objects"

    @property
    def files(self) -> Path:
        """With plain names: the source's directories, each file a link to its object."""
        return self.path / "files"

    @property
    def manifest(self) -> Path:
        """Segments and seals."""
        return self.path / "manifest"

    @property
    def unfinished(self) -> Path:
        """What is on its way while the folder is brought to a snapshot; it stands there only then."""
        return self.path / "unfinished"

    def object(self, inode: int) -> str:
        """The ciphertext of a file, by its inode. A text, since a `Path` of each of a million files takes its time."""
        identifier = f"{inode:02x}"
        return f"{self._objects}{identifier[-2:]}/{identifier}"

    @cached_property
    def _objects(self) -> str:
        return f"{self.objects}/"

    def segment(self, number: int, format: Format) -> Path:  # noqa: A002 - the field's word
        """The part of the manifest that a snapshot added."""
        return self.manifest / f"{number:06}.{format}"

    def seals(self, number: int) -> Path:
        """The seals beside it."""
        return self.manifest / f"{number:06}{_SEALS}"

    def numbers(self) -> list[int]:
        """Of which segments there are seals, in order. Raises `Unreadable`."""
        try:
            names = [each.name for each in self.manifest.iterdir()]
        except OSError as error:
            raise Unreadable(f"{shown(str(self.manifest))} cannot be read: {error.strerror}.") from error
        found = (re.fullmatch(rf"(\d{{6,}}){re.escape(_SEALS)}", name, re.ASCII) for name in names)
        return sorted(int(each[1]) for each in found if each)


def stands(folder: Path) -> Staged | None:
    """What a folder says of itself; None when nothing is staged in it yet.

    Raises `Damaged` when it cannot be understood, or was left unfinished, `Refused` when what stands there is not
    ours, and `Unreadable`.
    """
    place = Folder(folder)
    if not os.path.lexists(folder) or not any(folder.iterdir()):
        return None
    header = read_header(place)
    if os.path.lexists(place.unfinished):
        raise Damaged(
            f"{shown(str(folder))} was left in the middle of being brought to a snapshot.",
            hint="It is to be rolled back to the last snapshot that was staged.",
        )
    numbers = place.numbers()
    if not numbers:
        raise Damaged(f"{shown(str(folder))} has no manifest.")
    return Staged(numbers[-1], *read_ends(place.seals(numbers[-1])), header.names, header.format)


def read_header(place: Folder) -> Header:
    """How the folder is staged. Raises `Refused` if it is none of ours, `Damaged`, and `Unreadable`."""
    try:
        told = json.loads(place.header.read_bytes())
        if told["version"] != VERSION:
            raise Refused(
                f"{shown(str(place.path))} is staged in version {told['version']}; this ec2zfs knows {VERSION} alone.",
                hint="Restore from it with the ec2zfs that staged it; to stage anew, give [staging] an empty dataset.",
            )
        return Header(NameMode(told["names"]), Format(told["format"]))
    except FileNotFoundError as error:
        raise Refused(
            f"{shown(str(place.path))} is no staged folder: it has no {place.header.name}.",
            hint="One has staging.json, objects and manifest in it; staging begins one only in an empty directory.",
        ) from error
    except OSError as error:
        raise Unreadable(f"{shown(str(place.header))} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"{shown(str(place.header))} cannot be understood.") from error


def begun(place: Folder, terms: Terms) -> None:
    """Make a new folder, or make an empty directory one. Raises `NoSpace`, or `Unwritable`."""
    told = {"version": VERSION, "names": terms.names, "format": terms.recipients.format}
    try:
        place.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.path.chmod(0o700)
        for each in (place.objects, place.manifest, *([place.files] if terms.names is NameMode.PLAIN else [])):
            each.mkdir(mode=0o700)
        place.header.write_text(json.dumps(told, indent=2) + "\n", encoding="ascii")
        place.header.chmod(0o600)
    except OSError as error:
        raise unwritable(shown(str(place.path)), error) from error


def emptied(place: Folder) -> None:
    """Remove all that staging made in the folder, and nothing else. Raises `Unwritable`."""
    try:
        for each in (place.objects, place.files, place.manifest, place.unfinished):
            if os.path.lexists(each):
                shutil.rmtree(each)
        place.header.unlink()
    except OSError as error:
        raise unwritable(shown(str(place.path)), error) from error


def object_numbers(place: Folder, shard: str) -> list[int]:
    """The inodes of which there are objects in one of their directories. Raises `Unreadable`."""
    try:
        names = [each.name for each in (place.objects / shard).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise Unreadable(f"{shown(str(place.objects / shard))} cannot be read: {error.strerror}.") from error
    return [int(name, 16) for name in names if _OBJECT.fullmatch(name)]
