"""A tree of 100,000 files is staged: at first, after ten changes, and after the rename of a directory of 10,000 files.

Without ZFS: the snapshots are copies in memory (/dev/shm) that tell the inodes and times of their original, and the
differences are those that `zfs diff` would tell; what these take is not counted. Exits with 1 if another file is
encrypted than was changed, or the rename of a directory encrypts one.

python -m bench.staging [FILES]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.contract.encryption_keys import Gnupg
from tests.contract.staged import Site

from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.recipients import judged
from ec2zfs.plan.tree_hints import Hints
from ec2zfs.staging.report import Report
from ec2zfs.staging.terms import NameMode, Terms

FILES, IN_ONE = 100_000, 1000
CHANGES = 10
PARTS = 10
"""So many times as many files are in the directory that is renamed as in each other one."""


def populate(live: Path, files: int) -> None:
    """Files of some 20 bytes, a tenth of them below one directory."""
    (live / "moving").mkdir()
    for number in range(files):
        part = number // IN_ONE
        place = live / "moving" / f"d{part}" if part < files // IN_ONE // PARTS else live / f"d{part}"
        place.mkdir(exist_ok=True)
        (place / f"f{number}").write_text(f"the file number {number}")


def change(live: Path) -> None:
    """Change some files."""
    for file in sorted(max(live.glob("d*")).iterdir())[:CHANGES]:
        file.write_text("changed")


def rename(live: Path) -> None:
    """Rename the directory that holds a tenth of all files."""
    (live / "moving").rename(live / "moved")


def staged(site: Site, what: str, alter: Callable[[Path], None]) -> Report:
    """Have the source altered and staged; says what that took."""
    alter(site.live)
    site.take()
    hints = site.hints() if len(site.shots) > 1 else Hints()
    begun = time.perf_counter()
    report = site.bring(hints)
    seconds = time.perf_counter() - begun
    segment = next((site.folder / "manifest").glob(f"{report.number:06}.gpg")).stat().st_size
    print(
        f"  {what:<42} {seconds:7.2f} s, {report.encrypted:,} files encrypted, manifest + {segment:,} bytes", flush=True
    )
    return report


def main(arguments: list[str]) -> int:
    """Measure, print, and say whether what has to hold did."""
    files = int(arguments[0]) if arguments else FILES
    with tempfile.TemporaryDirectory(dir="/dev/shm") as top:
        gnupg = Gnupg.made(Path(top, "keys"))
        try:
            recipients = judged([gnupg.public("alice")])
            identity = recognised(gnupg.secret("alice"))
        finally:
            gnupg.end()
        site = Site(Path(top), Terms(recipients, NameMode.PLAIN), identity)
        print(f"{files:,} files in OpenPGP, names plain:")
        staged(site, "the first time", lambda live: populate(live, files))
        changed = staged(site, f"{CHANGES} files changed", change)
        renamed = staged(site, f"a directory of {files // PARTS:,} files renamed", rename)
    return int(changed.encrypted != CHANGES or renamed.encrypted != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
