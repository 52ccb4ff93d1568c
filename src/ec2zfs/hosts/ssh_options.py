"""Where and how ssh connects: the target, how soon its death is noticed, and the options that say so to OpenSSH.

The operator's own ssh configuration (jump hosts, agents, addresses behind a name) is honoured, but what stands here
wins: host keys are never learned by trust on first use, nothing is asked, nothing is forwarded. Starts nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SshTarget:
    """A machine that ssh reaches.

    `alias` is the name under which `known_hosts` holds its keys (the instance's id); "" means the address itself.
    `user` and `port` None leave the choice to the operator's ssh configuration. `identity` None: the agent's keys or
    the default ones. `control_directory` holds the sockets of shared connections.
    """

    address: str
    port: int | None
    user: str | None
    identity: Path | None
    known_hosts: Path
    alias: str
    sudo: bool
    control_directory: Path


@dataclass(frozen=True)
class Liveness:
    """How soon a silent host counts as dead, in seconds.

    ssh asks after each `interval` of silence and gives up when `unanswered` questions had no answer, at the next: by
    default a death is noticed after 12 s. `connect` limits the time from nothing to a shell.
    """

    connect: float = 14.0
    interval: int = 3
    unanswered: int = 3

    @property
    def silence(self) -> int:
        """The longest silence of an open connection before it is given up."""
        return self.interval * (self.unanswered + 1)


def connection_options(target: SshTarget, liveness: Liveness) -> list[str]:
    """The words between `ssh` and the address, for every use of ssh."""
    options = _always(target) | _alive(liveness)
    if target.alias:
        options |= {"HostKeyAlias": target.alias}
    if target.identity is not None:
        options |= {"IdentityFile": quoted_path(target.identity), "IdentitiesOnly": "yes"}
    if target.port is not None:
        options |= {"Port": str(target.port)}
    if target.user is not None:
        options |= {"User": target.user}
    return [word for key, value in options.items() for word in ("-o", f"{key}={value}")]


def quoted_path(path: Path) -> str:
    """A path as a value in ssh's configuration language, in which blanks end a value and % begins a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _always(target: SshTarget) -> dict[str, str]:
    return {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": quoted_path(target.known_hosts),
        "GlobalKnownHostsFile": "/dev/null",
        "KnownHostsCommand": "none",
        "VerifyHostKeyDNS": "no",
        "UpdateHostKeys": "no",
        "CheckHostIP": "no",
        "BatchMode": "yes",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "LogLevel": "ERROR",  # no banners; whatever makes ssh fail is still printed
        "RemoteCommand": "none",
        "PermitLocalCommand": "no",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
    }


def _alive(liveness: Liveness) -> dict[str, str]:
    return {
        "ConnectTimeout": str(max(1, round(liveness.connect))),
        "ConnectionAttempts": "1",
        "ServerAliveInterval": str(liveness.interval),
        "ServerAliveCountMax": str(liveness.unanswered),
    }
