"""This program as it runs on the lab's site itself, which has a Python, but none of the libraries.

Copied are the packages and what they import, from where this Python has them: the machine's Python and processor are to
be of the same kind. Nothing is fetched.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host, Result

PLACE = "/opt/ec2zfs"
STAGING = (
    "ec2zfs",
    "annotated_types",
    "blake3",
    "pydantic",
    "pydantic_core",
    "pyrage",
    "pysequoia",
    "typing_extensions",
    "typing_inspection",
    "tzdata",
)
"""What staging and restoring import, here and there."""
CLOUD = (*STAGING, "boto3", "botocore", "certifi", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""What whoever speaks to EC2 imports too."""
SERVICES = ("ec2", "sts")
"""What of the hundreds that botocore knows."""
EDITING = ("tests.fakes.edits", "tests.lab.random_edits")

CONFIGURATION = """\
[aws]
region = "eu-central-1"
zone = "eu-central-1a"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 1
volumes_per_vdev = 3
[volumes]
type = "gp3"
size_gib = 1
[receiver]
image = "ami-00000000000000001"
[[source]]
dataset = "{source}"
[staging]
dataset = "{vault}"
recipients = ["/root/recipient.asc"]
[paths]
state = "/root/staging-state"
"""
"""Of a site that stages one source, and never speaks to EC2."""


@dataclass(frozen=True)
class Installed:
    """The program on a host, with its configuration there."""

    host: Host
    environment: tuple[str, ...] = ()
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
        return self.python("-m", "ec2zfs", "--config", self.configuration, "--json", *words)

    def python(self, *words: str) -> Command:
        return Command.of("env", f"PYTHONPATH={PLACE}", *self.environment, "python3", *words, timeout=900.0)


def events(result: Result) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in result.lines()]


def install(host: Host, packages: Sequence[str] = STAGING, environment: Sequence[str] = ()) -> Installed:
    """Copy it there; `environment`: settings such as `NAME=value`, with which it runs."""
    host.run(Command.of("mkdir", "-p", PLACE))
    host.run(Command.of("tar", "xz", "-C", PLACE, stdin=_archive(packages), timeout=900.0))
    return Installed(host, tuple(environment))


def _archive(packages: Sequence[str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for package in packages:
            archive.add(_path(package), _path(package).name, filter=_needed)
        for module in EDITING:
            archive.add(_path(module), f"{module.replace('.', '/')}.py")
    return buffer.getvalue()


def _path(package: str) -> Path:
    spec = find_spec(package)
    assert spec, package
    assert spec.origin, package
    found = Path(spec.origin)
    return found.parent if found.name == "__init__.py" else found


def _needed(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    entry.uid = entry.gid = 0
    match Path(entry.name).parts:
        case (*_, "__pycache__"):
            return None
        case ("botocore", "data", service) if entry.isdir() and service not in SERVICES:
            return None
    return entry
