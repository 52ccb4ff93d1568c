"""This program as it runs on the lab's site itself, which has a Python, but none of the libraries.

Copied are the packages and what they import, from where this Python has them: the machine's Python and processor are to
be of the same kind. Nothing is fetched.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host, Result

PLACE = "/opt/ec2zfs"
PACKAGES = (
    "ec2zfs",
    "annotated_types",
    "pydantic",
    "pydantic_core",
    "pyrage",
    "pysequoia",
    "typing_extensions",
    "typing_inspection",
    "tzdata",
)
"""What staging and restoring import, here and there."""


@dataclass(frozen=True)
class Installed:
    """The program on a host, with its configuration there."""

    host: Host
    configuration: str = "/root/staging.toml"

    def configure(self, text: str) -> None:
        self.host.run(Command.of("tee", self.configuration, stdin=text.encode()))

    def __call__(self, *words: str) -> list[Mapping[str, object]]:
        """The events of `ec2zfs …`, which has to end well."""
        return events(self.host.run(self.command(*words)))

    def refusal(self, *words: str) -> str:
        """What `ec2zfs …` says that does not end well."""
        try:
            self.host.run(self.command(*words))
        except CommandFailed as error:
            return error.stderr
        raise AssertionError(f"{words} was not refused")

    def command(self, *words: str) -> Command:
        argv = ("env", f"PYTHONPATH={PLACE}", "python3", "-m", "ec2zfs", "--config", self.configuration, "--json")
        return Command.of(*argv, *words, timeout=900.0)


def events(result: Result) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in result.lines()]


def install(host: Host) -> Installed:
    """Copy it there."""
    host.run(Command.of("mkdir", "-p", PLACE))
    host.run(Command.of("tar", "xz", "-C", PLACE, stdin=_archive(), timeout=900.0))
    return Installed(host)


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for package in PACKAGES:
            archive.add(_path(package), _path(package).name, filter=_without_caches)
    return buffer.getvalue()


def _path(package: str) -> Path:
    spec = find_spec(package)
    assert spec, package
    assert spec.origin, package
    found = Path(spec.origin)
    return found.parent if found.name == "__init__.py" else found


def _without_caches(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    return None if entry.name.endswith("__pycache__") else entry
