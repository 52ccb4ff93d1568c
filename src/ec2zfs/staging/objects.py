"""Where the objects come from that are decrypted: they stand in the folder, or are brought there when wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol


class Objects(Protocol):
    """Has objects stand in a folder while they are read."""

    def brought(self, wanted: Mapping[int, int]) -> Iterator[int]:
        """Each inode once its object stands in the folder, if it is to be had. `wanted`: with sizes in bytes."""
        ...

    def used(self, inode: int) -> None:
        """The object has been read, and is not needed any more."""
        ...


class _Present:
    def brought(self, wanted: Mapping[int, int]) -> Iterator[int]:
        """All at once."""
        return iter(wanted)

    def used(self, inode: int) -> None:
        """Leave it there."""


PRESENT: Objects = _Present()
"""Objects that stand in the folder already, and stay there."""
