"""Runs on the site: fills a directory with what file servers hold, or changes it for a second day.

Standard input of `python3 -`; arguments: `first|second DIRECTORY MARKER MIB`. Needs only the standard library and,
for ACLs, `setfacl`. The marker is the known plaintext that must later be found nowhere in the cloud.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

AWKWARD = (
    b"with spaces and a trailing one ",
    b"new\nline",
    b"tab\tquote'double\"back\\slash",
    b"-rf",
    b"*?[glob]{a,b}$(HOME)`id`;&|",
    "Übergrößenträger-日本語-🎓".encode(),
    b"latin1-\xe4\xf6\xfc\xff",
    b"\x01control\x7f",
    b"x" * 255,
    b".hidden",
    b"@snap#mark%clone",
)
MIB = 1 << 20
BULK_MIB = 12
SMALL_FILES = 500


def write(path: bytes, content: bytes) -> None:
    """Write one file whole."""
    with open(path, "wb") as file:  # noqa: PTH123 (names of bytes)
        file.write(content)


def awkward_names(top: bytes, marker: bytes) -> None:
    """Files and directories under names that break shell scripts."""
    for number, name in enumerate(AWKWARD):
        write(os.path.join(top, name), marker + b" file %d\n" % number)  # noqa: PTH118
        nested = os.path.join(top, b"dir", name)  # noqa: PTH118
        os.makedirs(nested)  # noqa: PTH103
        write(os.path.join(nested, b"inside"), name)  # noqa: PTH118


def incompressible(mib: int) -> int:
    """How many MiB of a source of `mib` no compression makes fewer."""
    return BULK_MIB * bulk_files(mib)


def bulk_files(mib: int) -> int:
    """In how many files they are."""
    return max(1, mib // 16)


def bulk(top: Path, mib: int, marker: bytes) -> None:
    """Most of the bytes: incompressible megabytes, text, and many small files."""
    for number in range(bulk_files(mib)):
        with (top / f"bulk-{number}.bin").open("wb") as file:
            for _ in range(BULK_MIB):
                file.write(marker + os.urandom(MIB - len(marker)))
    (top / "text.log").write_bytes((marker + b" all quiet on the file server\n") * (mib * MIB // 16 // 64))
    small = top / "small"
    small.mkdir()
    for number in range(SMALL_FILES):
        (small / f"note-{number:04}").write_bytes(marker + b" %d\n" % number * (number % 40))


def links_holes_and_kinds(top: Path, marker: bytes) -> None:
    """Hard links, symlinks, sparse files, empty things, a fifo, and metadata that a careless copy loses."""
    (top / "original").write_bytes(marker * 100)
    for name in ("second name", "dir/third name"):
        os.link(top / "original", top / name)
    (top / "symlink").symlink_to("original")
    (top / "dangling").symlink_to("nowhere/at/all")
    (top / "empty").touch()
    (top / "empty dir").mkdir()
    os.mkfifo(top / "fifo")
    with (top / "sparse").open("wb") as file:
        for offset in (0, 17 * MIB + 17, 50 * MIB):
            file.seek(offset)
            file.write(marker)
        file.truncate(64 * MIB)
    (top / "all hole").touch()
    os.truncate(top / "all hole", 16 * MIB)
    os.setxattr(top / "original", "user.colour", b"blue\x00\xff")
    os.setxattr(top / "dir", "user.kind", marker)
    os.chown(top / "text.log", 1234, 5678)
    (top / "empty").chmod(0o4711)
    os.utime(top / "text.log", ns=(1, -123_456_789))
    if shutil.which("setfacl"):
        subprocess.run(["setfacl", "-m", "u:4321:rw", str(top / "text.log")], check=True)


def second_day(top: Path, marker: bytes) -> None:
    """Changes of every sort: content, growth, new, deleted, renamed, relinked, metadata alone."""
    with (top / "bulk-0.bin").open("r+b") as file:
        file.seek(5 * MIB)
        file.write(os.urandom(MIB))
    with (top / "text.log").open("ab") as file:
        file.write(marker + b" the second day\n")
    (top / "new file").write_bytes(marker + os.urandom(2 * MIB))
    (top / "small" / "note-0001").unlink()
    (top / "small").rename(top / "renamed small")
    (top / "second name").unlink()
    os.link(top / "original", top / "fourth name")
    (top / "empty").chmod(0o600)
    os.removexattr(top / "original", "user.colour")


def main() -> None:
    """Do what the arguments say."""
    day, directory, marker, mib = sys.argv[1:5]
    top = Path(directory)
    if day == "first":
        awkward_names(os.fsencode(directory), marker.encode())
        bulk(top, int(mib), marker.encode())
        links_holes_and_kinds(top, marker.encode())
    else:
        second_day(top, marker.encode())
    os.sync()


if __name__ == "__main__":
    main()
