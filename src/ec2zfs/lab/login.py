"""How one logs in to a machine of a running lab: by ssh, its host key taken from its console. Starts nothing else."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from ec2zfs.errors import HostError, Refused
from ec2zfs.execute.host_keys import console_keys
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.ssh_options import Liveness, SshTarget, connection_options
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.machines.machine import Machine


def login_argv(lab: LabDescription, machine: str, command: Sequence[str]) -> list[str]:
    """The argv of ssh to `site` or an instance id, for a shell or `command`. Raises `Refused`: there is no such one."""
    target = _site(lab) if machine == "site" else _instance(lab, machine)
    words = [shlex.join(command)] if command else []
    terminal = "-T" if command else "-t"
    return ["ssh", terminal, *connection_options(target, Liveness()), "--", target.address, *words]


def log_in(lab: LabDescription, machine: str, command: Sequence[str]) -> NoReturn:
    """Become that ssh: its terminal, signals and exit code are the operator's. Raises as `login_argv` does."""
    argv = login_argv(lab, machine, command)
    os.execvp(argv[0], argv)  # noqa: S606 - an argv list, without a shell


def _site(lab: LabDescription) -> SshTarget:
    if lab.site is None:
        raise Refused("This lab has no site.", hint="It was brought up with --no-site.")
    return SshTarget(
        address=lab.site.address,
        port=lab.site.port,
        user=lab.site.user,
        identity=Path(lab.identity),
        known_hosts=Path(lab.site.known_hosts),
        alias=lab.site.alias,
        sudo=False,
        control_directory=Path(lab.directory) / "ssh",
    )


def _instance(lab: LabDescription, instance_id: str) -> SshTarget:
    found = {instance["id"]: instance for instance in LabClient(lab.endpoint).status()["instances"]}
    if instance_id not in found or found[instance_id]["state"] != "running":
        raise Refused(f"No instance {instance_id} runs in this lab.", hint="`ec2zfs lab status` shows those that do.")
    keys = console_keys(Machine.open(Path(lab.directory) / "machines" / instance_id).console())
    if not keys:
        raise HostError(f"The console of {instance_id} shows no ssh host keys yet.", hint="Try again in some seconds.")
    known_hosts = Path(lab.directory) / "instance_known_hosts"
    KnownHosts(known_hosts).pin(instance_id, keys)
    return SshTarget(
        address=found[instance_id]["address"],
        port=lab.receiver_port,
        user=lab.receiver_user,
        identity=Path(lab.identity),
        known_hosts=known_hosts,
        alias=instance_id,
        sudo=False,
        control_directory=Path(lab.directory) / "ssh",
    )
