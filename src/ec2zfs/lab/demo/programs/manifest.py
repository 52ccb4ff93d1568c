"""Runs on either side: prints one line for everything below some directories, so that two trees compare by text.

Standard input of `python3 -`; arguments: the directories. Says of each entry: the place of its directory among the
arguments (from 0), name, type, mode, owner, group, modification time in ns, size, device, extended attributes (ACLs
among them), which names are one inode, and the SHA-512 of a file's content or a symlink's target
(where the processor is emulated it takes half the time of SHA-256).
"""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator


def digest(path: bytes, status: os.stat_result) -> str:
    """What the entry holds."""
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha512(os.readlink(path)).hexdigest()  # noqa: PTH115
    if not stat.S_ISREG(status.st_mode):
        return "-"
    total = hashlib.sha512()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def attributes(path: bytes) -> str:
    """All extended attributes as text, sorted by name."""
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return ",".join(f"{name}={os.getxattr(path, name, follow_symlinks=False).hex()}" for name in names) or "-"


def entries(top: bytes) -> list[bytes]:
    """Every path below the top, and the top itself, in one order on both sides."""
    found = [top]
    for directory, directories, files in os.walk(top):
        found += [os.path.join(directory, name) for name in (*directories, *files)]  # noqa: PTH118
    return sorted(found)


def lines(top: bytes) -> Iterator[str]:
    """What is said of everything below the top, and of the top itself."""
    first_name: dict[int, str] = {}
    for path in entries(top):
        status = os.lstat(path)
        name = os.path.relpath(path, top).hex()
        inode = first_name.setdefault(status.st_ino, name)
        size = "-" if stat.S_ISDIR(status.st_mode) else status.st_size
        kind, owner = stat.filemode(status.st_mode), f"{status.st_uid}:{status.st_gid}"
        told = (kind, owner, status.st_mtime_ns, size, status.st_rdev, attributes(path), inode, digest(path, status))
        yield " ".join(map(str, (name, *told)))


def main() -> None:
    """Print the manifest."""
    for number, directory in enumerate(sys.argv[1:]):
        for line in lines(os.fsencode(directory)):
            print(number, line)


if __name__ == "__main__":
    main()
