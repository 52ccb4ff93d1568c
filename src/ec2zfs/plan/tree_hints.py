"""What is said to have changed between two trees: where a comparison looks first. It may be wrong, or miss some."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ec2zfs.model.tree import Difference, DifferenceKind, FileKind, name, parent


@dataclass
class Hints:
    """Where to look. `old` and `new`: names by the directory in which they are to be looked at, in that tree.

    `count`: how many differences were told. `whole`: directories below which nothing is taken for granted; with the
    root among them, the whole tree is compared.
    """

    old: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    new: dict[bytes, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    whole: set[bytes] = field(default_factory=set)
    count: int = 0

    @staticmethod
    def of(differences: Iterable[Difference]) -> Hints:
        """The places that the differences name."""
        hints = Hints()
        for each in differences:
            hints.count += 1
            if each.change is not DifferenceKind.ADDED:
                hints._look(hints.old, each.old, each.kind)
            if each.change is not DifferenceKind.REMOVED:
                hints._look(hints.new, each.new, each.kind)
        return hints

    @staticmethod
    def everywhere() -> Hints:
        """No hints: the whole of both trees is to be compared."""
        return Hints(whole={b""})

    def _look(self, side: dict[bytes, set[bytes]], path: bytes, kind: FileKind | None) -> None:
        if path:
            side[parent(path)].add(name(path))
        if kind is FileKind.DIRECTORY or not path:
            side[path]  # a defaultdict: a place to look at, of which no name is told
