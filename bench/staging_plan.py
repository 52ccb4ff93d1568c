"""From a million lines of `zfs diff` to the steps for a staged copy: lines a second, whether linear, and the memory.

Both trees are made up as they are asked for, so that the memory is the planner's. A quarter of the lines each: written,
removed, made, renamed. Exits with 1 if a limit is broken.

python -m bench.staging_plan
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator, Mapping

from ec2zfs.model.tree import Child, FileKind, Node
from ec2zfs.plan.tree_changes import Make, Place, Remove, Renew, changes
from ec2zfs.plan.tree_comparison import compared
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.tools.zfs_diff import differences

FILES, DIRECTORIES = 1000, 1000
MIB, LINEAR = 200, 1.5
KINDS = 4
FIRST_FILE = 10_000_000


class MadeUp:
    """A tree of directories with `FILES` files each, before (`late` 0) or after (1) the changes; a `Tree`."""

    def __init__(self, directories: int, late: int) -> None:
        self.directories = directories
        self.late = late

    def children(self, directory: bytes) -> Mapping[bytes, Child]:
        """See `Tree`."""
        if not directory:
            return {b"d%d" % each: Child(2 + each, FileKind.DIRECTORY) for each in range(self.directories)}
        number = int(directory[1:])
        return {
            name: Child(FIRST_FILE + number * FILES + file, FileKind.FILE)
            for file in range(FILES)
            if (name := self._name(file))
        }

    def node(self, path: bytes) -> Node | None:
        """See `Tree`."""
        if not path:
            return Node(1, FileKind.DIRECTORY, 2, 0, 0, 0)
        directory, _, name = path.partition(b"/")
        number = int(directory[1:])
        if not name:
            return Node(2 + number, FileKind.DIRECTORY, 2, 0, self.late, self.late)
        inode = FIRST_FILE + number * FILES + int(name[1:])
        return Node(inode, FileKind.FILE, 1, 4096, self.late, self.late)

    def _name(self, file: int) -> bytes | None:
        kind = file % KINDS
        if kind == 1:
            return None if self.late else b"r%d" % file
        if kind == 2:
            return b"m%d" % file if self.late else None
        return b"%c%d" % (b"n" if kind == 3 and self.late else b"f", file)


def lines(directories: int) -> Iterator[bytes]:
    """What `zfs diff -FHt` says of it."""
    forms = (
        b"M\tF\t/t/d%d/f%d\n",
        b"-\tF\t/t/d%d/r%d\n",
        b"+\tF\t/t/d%d/m%d\n",
        b"R\tF\t/t/d%d/f%d\t/t/d%d/n%d\n",
    )
    for number in range(directories):
        for file in range(FILES):
            form = forms[file % KINDS]
            yield b"1795787222.123456789\t" + form % ((number, file) * (form.count(b"%d") // 2))


def planned(directories: int) -> float:
    """Seconds from the lines to the steps, which are counted."""
    began = time.process_time()
    hints = Hints.of(differences(lines(directories), b"/t"))
    old, new = MadeUp(directories, 0), MadeUp(directories, 1)
    count = dict.fromkeys((Make, Place, Remove, Renew), 0)
    for step in changes(compared(old, new, hints), old, new):
        count[type(step)] = count.get(type(step), 0) + 1
    seconds = time.process_time() - began
    quarter = directories * FILES // KINDS
    assert count[Make] == count[Place] == quarter, count
    assert count[Remove] == count[Renew] == 2 * quarter, count
    return seconds


def main() -> int:
    """Measure a tenth and the whole, and compare with the limits."""
    tenth = planned(DIRECTORIES // 10)
    whole = planned(DIRECTORIES)
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines_in_all = DIRECTORIES * FILES
    print(
        f"{lines_in_all:,} lines of zfs diff: {whole:.1f} s of work, {lines_in_all / whole:,.0f} lines a second;",
        end=" ",
    )
    print(f"ten times a tenth of them {whole / tenth / 10:.2f} x (limit {LINEAR} x); {mib:.0f} MiB (limit {MIB} MiB)")
    return int(mib > MIB or whole / tenth / 10 > LINEAR)


if __name__ == "__main__":
    sys.exit(main())
