"""What is said to have changed between two trees: where a comparison looks first. It may be wrong, or miss some."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ec2zfs.model.tree import Difference, DifferenceKind, FileKind, name, parent

MOST_NAMES = 256
"""Of a directory in which more than these are said to have changed, every name is looked at: it bounds the memory."""

_NONE = frozenset[bytes]()


@dataclass
class Hints:
    """Where to look: directories of the old and of the new tree whose names are to be compared. Each has those of its
    names behind which something may have changed; None: all of them.

    `count`: how many differences were told. `whole`: directories below which nothing is taken for granted; with the
    root among them, the whole tree is compared.
    """

    old: dict[bytes, set[bytes] | None] = field(default_factory=dict)
    new: dict[bytes, set[bytes] | None] = field(default_factory=dict)
    whole: set[bytes] = field(default_factory=set)
    count: int = 0

    @staticmethod
    def of(differences: Iterable[Difference]) -> Hints:
        """The places that the differences name."""
        hints = Hints()
        for each in differences:
            hints.count += 1
            if each.change is not DifferenceKind.ADDED:
                _look(hints.old, each.old, each.kind)
            if each.change is not DifferenceKind.REMOVED:
                _look(hints.new, each.new, each.kind)
        return hints

    @staticmethod
    def everywhere() -> Hints:
        """No hints: the whole of both trees is to be compared."""
        return Hints(whole={b""})

    def doubtful(self, old: bytes, new: bytes) -> frozenset[bytes] | set[bytes] | None:
        """Behind which names of a directory something may have changed, by its path in each tree; None: behind any."""
        before, after = self.old.get(old, _NONE), self.new.get(new, _NONE)
        return None if before is None or after is None else before | after


def _look(side: dict[bytes, set[bytes] | None], path: bytes, kind: FileKind | None) -> None:
    if kind is FileKind.DIRECTORY or not path:
        side.setdefault(path, set())
    if not path:
        return
    names = side.setdefault(parent(path), set())
    if names is not None:
        names.add(name(path))
        if len(names) > MOST_NAMES:
            side[parent(path)] = None
