"""A configuration with which `ec2zfs` works in a lab that is up, written into the lab's directory with a pool key.

The key protects nothing but demonstration data, and goes with the directory.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from ec2zfs.lab.description import LabDescription


def write_configuration(lab: LabDescription) -> None:
    """Write `ec2zfs.toml` and a fresh `pool_key` (64 characters) into the lab's directory, for this user alone."""
    for name, text in (("ec2zfs.toml", configuration(lab)), ("pool_key", f"{secrets.token_hex(32)}\n")):
        descriptor = os.open(Path(lab.directory) / name, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)


KEY_FROM_STDIN = 'from = "descriptor"\ndescriptor = 0'
"""A `[pool_key]` for a program that hands the key to `ec2zfs`."""


def configuration(lab: LabDescription, pool_key: str | None = None) -> str:
    """The text of an ec2zfs.toml: the site's sources, a small cloud pool of 2 x raidz1 of 3, a receiver on demand.

    `pool_key` is the content of that section; without it the key is in the file `pool_key` of the lab's directory.
    """
    from_file = f'from = "command"\ncommand = ["cat", "{lab.directory}/pool_key"]'
    return f"""\
# Made by `ec2zfs lab up`. Credentials: eval "$(ec2zfs lab env)"
[aws]
region = "{lab.region}"
zone = "{lab.zone}"
endpoint_url = "{lab.endpoint}"

[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 2
volumes_per_vdev = 3

[volumes]
type = "gp3"
size_gib = 1

[receiver]
image = "{lab.image_id}"
instance_type = "m7a.medium"
market = "on-demand"
user = "{lab.receiver_user}"
ssh_port = {lab.receiver_port}
ssh_key = "{lab.identity}"
allow_from = "127.0.0.1/32"

{_site(lab)}
[[source]]
dataset = "tank/home"

[[source]]
dataset = "tank/projects"

[[policy]]
datasets = ["**"]
site = {{ daily = 30 }}
staging = {{ daily = 30 }}
cloud = {{ daily = 30 }}

[transport]
ports = "{lab.stream_ports}"

[pool_key]
{pool_key or from_file}

[paths]
state = "{lab.directory}/state"
"""


def _site(lab: LabDescription) -> str:
    if lab.site is None:
        return '[site]\nconnection = "local"\n'
    return f"""\
[site]
connection = "ssh"
address = "{lab.site.address}"
port = {lab.site.port}
user = "{lab.site.user}"
ssh_key = "{lab.identity}"
known_hosts = "{lab.site.known_hosts}"
"""
