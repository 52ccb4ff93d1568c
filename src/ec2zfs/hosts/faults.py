"""What the failure of a command means in words: a program that is not there, a sudo that asks, or the command's own.

Pure: reads exit codes and what was printed, in the C locale. What ssh itself says is in ssh_faults.py.
"""

from __future__ import annotations

import re

from ec2zfs.errors import CommandFailed, Ec2zfsError, MissingTool
from ec2zfs.hosts.host import Command

_NOT_FOUND = (
    re.compile(r"^env: (?:can't execute )?['‘`]([^'’]+)['’]: No such file or directory", re.MULTILINE),
    re.compile(r"^.*: (?:line )?\d+: (?:exec: )?([^\s:]+): (?:command )?not found$", re.MULTILINE),  # dash, bash, ash
)

_PACKAGES = {
    "zfs": "zfsutils-linux",
    "zpool": "zfsutils-linux",
    "cryptsetup": "cryptsetup-bin",
    "blkid": "util-linux",
    "lsblk": "util-linux",
    "wipefs": "util-linux",
    "systemd-run": "systemd",
    "systemctl": "systemd",
    "udevadm": "udev",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "sudo": "sudo",
    "gpg": "gpg",
    "gpgconf": "gpgconf",
}


def missing_tool(host: str, program: str) -> MissingTool:
    """The error that says that a program is not installed, and which Debian package has it."""
    package = _PACKAGES.get(program.rsplit("/", 1)[-1])
    hint = f"Install it there (Debian: apt install {package})." if package else "Install it there."
    return MissingTool(f"{host} has no program `{program}`.", hint=hint)


def explained(host: str, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
    """The error that a command's own failure means."""
    said = stderr.decode("utf-8", "replace")
    if status == 127 and (program := _not_found(said)):
        return missing_tool(host, program)
    return CommandFailed(host, command.argv, status, said, hint=_hint(host, said))


def _not_found(said: str) -> str | None:
    found = (pattern.search(said) for pattern in _NOT_FOUND)
    return next((match[1] for match in found if match), None)


def _hint(host: str, said: str) -> str:
    if re.search(r"^sudo: (a password|a terminal|.* must have a tty)", said, re.MULTILINE):
        return f"Allow the user on {host} to use sudo without a password (NOPASSWD), or log in as root."
    return ""
