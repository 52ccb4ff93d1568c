"""Runs on either side: prints one line for everything below a directory, so that two trees compare by text.

Standard input of `python3 -`; argument: the directory. Says of each entry: type, mode, owner, group, modification time
in ns, size, device, extended attributes (ACLs among them), which names are one inode, and the SHA-256 of a file's
content or a symlink's target.
"""

import hashlib
import os
import stat
import sys


def digest(path: bytes, status: os.stat_result) -> str:
    """What the entry holds."""
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha256(os.readlink(path)).hexdigest()  # noqa: PTH115
    if not stat.S_ISREG(status.st_mode):
        return "-"
    total = hashlib.sha256()
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


def main() -> None:
    """Print the manifest."""
    top = os.fsencode(sys.argv[1])
    first_name: dict[int, str] = {}
    for path in entries(top):
        status = os.lstat(path)
        name = os.path.relpath(path, top).hex()
        kind = stat.filemode(status.st_mode)
        is_directory = stat.S_ISDIR(status.st_mode)
        size = "-" if is_directory else status.st_size
        inode = first_name.setdefault(status.st_ino, name)
        owner = f"{status.st_uid}:{status.st_gid}"
        print(
            name, kind, owner, status.st_mtime_ns, size, status.st_rdev, attributes(path), inode, digest(path, status)
        )


if __name__ == "__main__":
    main()
