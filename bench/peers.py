"""The peers that the figures are held against, in a folder of their own: bzfs and zfs-autobackup, sanoid with syncoid.

Python's come from PyPI into a virtual environment, the others from Debian's archive, unpacked and not installed. They
are in the cache of ec2zfs (`peers`), where they are made when they are missing; that needs the network once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.lab.paths import cache_directory

PYTHON = ("bzfs==1.25.0", "zfs-autobackup==3.3")
DEBIAN = ("sanoid", "libconfig-inifiles-perl", "libcapture-tiny-perl", "mbuffer")


@dataclass(frozen=True)
class Peers:
    """The peers that are there. `python` is the interpreter of the two from PyPI, `root` holds Debian's files."""

    python: Path
    root: Path

    def script(self, name: str) -> str:
        """One of PyPI's programs: `bzfs`, `zfs-autobackup`."""
        return str(self.python.with_name(name))

    def perl(self, name: str) -> tuple[str, ...]:
        """The words that start `sanoid` or `syncoid`."""
        return ("perl", f"-I{self.root / 'usr/share/perl5'}", str(self.root / "usr/sbin" / name))

    @property
    def mbuffer(self) -> Path:
        """The buffer that each of them puts into its pipelines where it finds it."""
        return self.root / "usr/bin/mbuffer"

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which they find it."""
        return {**os.environ, "PATH": f"{self.mbuffer.parent}:{os.environ['PATH']}"}

    def version(self, name: str) -> str:
        """The version of one of them."""
        known = {each: version for each, _, version in (word.partition("==") for word in PYTHON)}
        package = next(self.root.glob("sanoid_*.deb")).name.split("_")[1]
        return known.get(name, package)


def peers() -> Peers:
    """The peers, made where they are missing. Ends the program with a sentence when that cannot be done."""
    folder = cache_directory() / "peers"
    python, root = folder / "python" / "bin" / "python", folder / "debian"
    if not python.with_name("zfs-autobackup").exists():
        print(f"Installing {', '.join(PYTHON)} in {folder}", file=sys.stderr)
        _do(sys.executable, "-m", "venv", str(python.parent.parent))
        _do(str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PYTHON)
    if not (root / "usr/sbin/sanoid").exists():
        print(f"Unpacking {', '.join(DEBIAN)} in {folder}", file=sys.stderr)
        root.mkdir(parents=True, exist_ok=True)
        _do("apt-get", "download", "--quiet", *DEBIAN, folder=root)
        for package in sorted(root.glob("*.deb")):  # sanoid comes last: where it is, all is
            _do("dpkg-deb", "--extract", str(package), str(root))
        script, share = root / "usr/sbin/sanoid", "usr/share/sanoid"
        script.write_text(script.read_text().replace(f"/{share}", str(root / share)))  # where it looks for its defaults
    return Peers(python, root)


def _do(*argv: str, folder: Path | None = None) -> None:
    try:
        subprocess.run(argv, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise SystemExit(f"There is no {argv[0]} here: the peers of this bench come from PyPI and Debian.") from error
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            f"The peers could not be fetched: `{' '.join(argv)}` said: {error.stderr.strip()}. They are needed "
            f"once, with the network, and then stay in {cache_directory() / 'peers'}."
        ) from error
