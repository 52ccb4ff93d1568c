"""Disks that are files of a directory, each named by its serial, for scripts that run with the real cryptsetup."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Volume
from ec2zfs.tools.scripts import script
from ec2zfs.tools.volume_keys import VolumeKeys

FORMAT = (
    "cryptsetup luksFormat --batch-mode --type luks2 --sector-size 4096 --cipher aes-xts-plain64 --key-size 512 "
    "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 --subsystem ec2zfs --key-file=- --keyfile-size=64"
)
FILES = """
need() { :; }
lsblk() { :; }
look() { :; }
open_devices() { :; }
device() { path=$FILES/$1; [ -e "$path" ]; }
"""
"""What is laid over what devices.sh says of disks."""


class FilesHost:
    """This machine with such disks. `also` is laid over what the script calls besides."""

    name = "this machine"

    def __init__(self, directory: Path, script_name: str, also: str = "") -> None:
        self._directory, self._script, self._also = directory, script_name, also

    def run(self, command: Command) -> Result:
        """As `Host.run`, without the lock."""
        start = command.argv.index("sh")
        shell, option, text, *arguments = command.argv[start:]
        assert text == script(self._script)
        head, _, body = text.partition(f"# {self._script}.sh POOL")
        argv = ("env", f"FILES={self._directory}", shell, option, f"{head}{FILES}{self._also}#{body}", *arguments)
        return LocalHost().run(Command(argv, command.stdin, accept=command.accept))


def formatted(directory: Path, each: Volume, key: Secret, *, label: str = "") -> None:
    """A disk with a LUKS2 header that the pool key opens; the label is the volume's own unless another is given."""
    blank(directory, each)
    path = directory / each.serial
    run([*FORMAT.split(), "--label", label or each.mapping, str(path)], VolumeKeys(key, "cloud").key(each.mapping))


def blank(directory: Path, each: Volume) -> None:
    """A disk on which nothing stands."""
    with (directory / each.serial).open("wb") as file:
        file.truncate(20 * 2**20)


def run(argv: list[str], key: Secret | None = None) -> str:
    """What a program prints that is given a key."""
    given = key.reveal() if key else b""
    return subprocess.run(argv, input=given, capture_output=True, check=True).stdout.decode()
