"""What ssh itself says when it cannot reach or trust a host, as errors that teach.

Pure but for one look at the known_hosts file. Says nothing about commands that ran and failed: that is faults.py.
"""

from __future__ import annotations

import re

from ec2zfs.errors import Ec2zfsError, HostError, HostKeyChanged, HostKeyUnknown
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.ssh_options import SshTarget

_FAULTS = (
    (
        r"UNPROTECTED PRIVATE KEY FILE",
        "ssh does not use the private key {key}, because others may read it",
        "chmod 600 {key}",
    ),
    (
        r"Permission denied|Too many authentication failures|No more authentication methods",
        "it does not accept the ssh key {key} for user {user}",
        "Add the public key to that user's authorized_keys, or name another key or user in the configuration.",
    ),
    (
        r"Connection refused",
        "nothing listens for ssh at {where}",
        "Is the machine still starting, or is the port another?",
    ),
    (
        r"(Connection|Operation) timed out|No route to host|Network is unreachable",
        "{where} does not answer",
        "Is the machine up, and is the port open to this address?",
    ),
    (
        r"Could not resolve hostname",
        "there is no address for the name {where}",
        "Check the address in the configuration.",
    ),
    (
        r"Bad owner or permissions on|Bad configuration option|terminating, \d+ bad configuration",
        "ssh does not accept its own configuration",
        "Mend the ssh configuration of the user who runs this.",
    ),
    (r"not responding|Connection to .* timed out", "it stopped answering", "Is the machine still up, and the network?"),
)


def explained(name: str, target: SshTarget, said: str) -> Ec2zfsError:
    """The error that ssh's exit code 255 means, by what it printed."""
    return _key_fault(name, target, said) or _fault(name, target, said)


def _key_fault(name: str, target: SshTarget, said: str) -> HostError | None:
    alias = target.alias or target.address
    other = "REMOTE HOST IDENTIFICATION HAS CHANGED" in said
    if not other and "Host key verification failed" not in said:
        return None
    if other or (target.alias and KnownHosts(target.known_hosts).keys(alias)):
        return key_changed(name, alias, target)
    return HostKeyUnknown(
        f"The ssh key of {name} is not known: {target.known_hosts} has no key for {alias}, and no key is trusted "
        "because it is the first one seen.",
        hint=f"Add a line `{alias} ssh-ed25519 …` with a key that comes from the machine's console.",
    )


def key_changed(name: str, alias: str, target: SshTarget) -> HostKeyChanged:
    """The error for a host that does not have its pinned key."""
    return HostKeyChanged(
        f"{name} shows another ssh key than the one that is pinned for {alias} in {target.known_hosts}: it is another "
        "machine, or somebody stands between. Nothing was sent to it.",
        hint=f"Only if you know that the machine was made anew: ssh-keygen -f {target.known_hosts} -R {alias}",
    )


def _fault(name: str, target: SshTarget, said: str) -> HostError:
    words = {
        "key": str(target.identity or "(of the agent or the default ones)"),
        "user": target.user or "(of the ssh configuration)",
        "where": target.address + (f" port {target.port}" if target.port else ""),
    }
    for pattern, meaning, hint in _FAULTS:
        if re.search(pattern, said):
            return HostError(
                f"{name} cannot be reached: {meaning.format(**words)}{_quoted(said)}.", hint=hint.format(**words)
            )
    return HostError(
        f"The ssh connection to {name} ended before the command did{_quoted(said)}.",
        hint="Is the machine still up? Running the command again is safe.",
    )


def _quoted(said: str) -> str:
    line = next((line.strip().rstrip(".") for line in reversed(said.splitlines()) if line.strip()), "")
    return f" (ssh: {line[-300:]})" if line else ""
