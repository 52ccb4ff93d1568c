"""What is known of a lab that is up, as `lab.json` in its directory says. Reads and writes that file, nothing else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from ec2zfs.lab.environment import sdk_environment

RECEIVER_USER = "admin"


@dataclass(frozen=True)
class SiteAccess:
    """How the site is reached: as `user` on `address`:`port`, its host key in `known_hosts` under `alias`."""

    address: str
    port: int
    user: str
    known_hosts: str
    alias: str


@dataclass(frozen=True)
class LabDescription:
    """A lab that is up. `identity` is the private key for all machines; `site` is None when there is none."""

    directory: str
    pid: int
    endpoint: str
    region: str
    zone: str
    image_id: str
    identity: str
    receiver_user: str
    receiver_port: int
    stream_ports: str
    site: SiteAccess | None

    @property
    def public_key(self) -> str:
        """The public half of `identity`."""
        return Path(f"{self.identity}.pub").read_text(encoding="utf-8").strip()

    def environment(self) -> dict[str, str]:
        """What turns an AWS SDK towards this lab."""
        return sdk_environment(self.endpoint, self.region)


def write(directory: Path, lab: LabDescription) -> None:
    """Put it down; it is there as a whole or not at all."""
    draft = directory / f".lab.json.{os.getpid()}"
    draft.write_text(json.dumps(asdict(lab), indent=1), encoding="utf-8")
    draft.replace(directory / "lab.json")


def read(directory: Path) -> LabDescription | None:
    """The lab of the directory, None before it is up."""
    try:
        content = json.loads((directory / "lab.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    site = content.pop("site")
    return LabDescription(**content, site=SiteAccess(**site) if site else None)
