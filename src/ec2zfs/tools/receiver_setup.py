"""Makes a machine fit to be a receiver (receiver_setup.sh), reads what it then is, and decides whether that will do.

The same script is the instance's user data and is run again over ssh before each use, where it waits for the first
boot's own execution: a first boot that broke off is made good, and nothing needs to be remembered. It must never hold a
secret, since user data can be read by many (fact 20), and never upgrades a ZFS that is already there.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

from ec2zfs.errors import MissingTool, Refused
from ec2zfs.hosts.host import Command, Host
from ec2zfs.plan.zfs_gate import LEAST_ON_LUKS, late_enough, parse_version

INSTALL_SECONDS = 1800.0
"""Debian builds ZFS's modules from source: minutes on a fast machine, longer on a small one."""

FITTING = "Debian 13, Debian 12 with ZFS of its backports, or Ubuntu 26.04"

_BESIDE_THE_BOOT = (
    '[ -n "${EC2ZFS_BESIDE:-}" ] || '
    '{ systemd-run -q --unit=ec2zfs-setup --setenv=EC2ZFS_BESIDE=yes /bin/sh "$0" && exit; }'
)

_UNFIT = 69
_OTHER_IMAGE = (
    f"Take a new image (receiver.image) of {FITTING}, best with ZFS in it: an archive drops what fits old kernels. "
    "The next start takes an instance of that image."
)


@dataclass(frozen=True)
class MachineFacts:
    """What the setup found: versions (empty: not there), number of swap areas, memory in KiB, the system's name."""

    zfs: str
    zpool: str
    cryptsetup: str
    dm_crypt: str
    swap: int
    memory_kib: int
    system: str


def user_data(dead_man_minutes: int) -> str:
    """The script of the first boot, less than EC2's 16 KiB; it arms the dead-man before anything else (fact 18).

    It goes on beside the boot: cloud-init shows the host keys on the console only when user data has ended (its module
    keys_to_console comes after scripts_user), and an installation takes minutes.
    """
    return f"#!/bin/sh\n{_BESIDE_THE_BOOT}\nset -- {dead_man_minutes}\n{_script()}"


def set_up(host: Host, dead_man_minutes: int) -> MachineFacts:
    """Install what is missing, keep memory off the disk, and return what the machine is; up to half an hour.

    Raises `MissingTool` when ZFS or LUKS is not there and cannot be installed.
    """
    argv = ("sh", "-c", _script(), "ec2zfs-setup", str(dead_man_minutes))
    result = host.run(Command(argv, timeout=INSTALL_SECONDS, accept=frozenset({0, _UNFIT})))
    if result.status == _UNFIT:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise MissingTool(f"{host.name} cannot be set up as a receiver: {said}", hint=_OTHER_IMAGE)
    return parsed(result.text)


def parsed(text: str) -> MachineFacts:
    """Read the `name=value` lines that the script ends with."""
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    return MachineFacts(
        zfs=values.get("zfs", ""),
        zpool=values.get("zpool", ""),
        cryptsetup=values.get("cryptsetup", ""),
        dm_crypt=values.get("dm_crypt", ""),
        swap=int(values.get("swap") or 0),
        memory_kib=int(values.get("memory_kib") or 0),
        system=values.get("system", ""),
    )


def check(host: str, facts: MachineFacts) -> None:
    """Refuse a machine on which the pool would not be safe.

    Raises `MissingTool` when ZFS or LUKS is not there, `Refused` when ZFS is one of those that wrote errors through
    dm-crypt (openzfs issue 15533: fixed and on by default from 2.2.8 and 2.3.0), or when memory can reach a disk.
    """
    for needed, name in ((facts.zfs and facts.zpool, "ZFS"), (facts.cryptsetup and facts.dm_crypt, "LUKS")):
        if not needed:
            raise MissingTool(
                f"{host} ({facts.system}) has no {name}.",
                hint=_OTHER_IMAGE,
            )
    if not late_enough(parse_version(facts.zfs), LEAST_ON_LUKS):
        raise Refused(
            f"{host} ({facts.system}) has ZFS {facts.zfs}, which can damage a pool on LUKS volumes;"
            " it must be 2.2.8 or later, or 2.3.0 or later.",
            hint=_OTHER_IMAGE,
        )
    if facts.swap:
        raise Refused(f"{host} has swap in use, so the volumes' keys could reach its disk.", hint="Take another image.")


def _script() -> str:
    return (files("ec2zfs.tools") / "receiver_setup.sh").read_text("utf-8")
