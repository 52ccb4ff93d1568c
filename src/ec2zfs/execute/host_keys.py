"""How a receiver's ssh host key is learned: from the console of its first boot, which EC2 vouches for (fact 21).

There is no trust on first use: without the console's block, a pin of ours or the tag there is no connection. Our own
pin is never changed, and a console goes before a tag; only where both are gone is the tag believed.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from dataclasses import dataclass

from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import InstancesApi
from ec2zfs.errors import HostError, HostKeyChanged
from ec2zfs.execute.progress import Progress
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.model.instance import Instance

_BLOCK = re.compile(r"-----BEGIN SSH HOST KEY KEYS-----(.*?)-----END SSH HOST KEY KEYS-----", re.DOTALL)
_KEY = re.compile(r"\b(ssh-ed25519|ecdsa-sha2-nistp(?:256|384|521)|ssh-rsa) (AAAA[A-Za-z0-9+/]+=*)")
_LONGEST_TAG = 256


def console_keys(console: str) -> tuple[str, ...]:
    """The host keys (`ssh-ed25519 AAAA…`) of the console's block, ed25519 alone if there is one; empty without a block.

    A line that a kernel message broke in two is not a key. Raises `HostKeyChanged` when two blocks differ: only one of
    them can be the first boot's.
    """
    blocks = {_keys(block) for block in _BLOCK.findall(console)} - {()}
    if len(blocks) > 1:
        raise HostKeyChanged("The instance's console shows two different sets of ssh host keys.")
    keys = blocks.pop() if blocks else ()
    return tuple(key for key in keys if key.startswith("ssh-ed25519 ")) or keys


@dataclass(frozen=True)
class HostKeys:
    """Pins the receivers' host keys. `limit_seconds`: how long a first boot may take to show them."""

    instances: InstancesApi
    known_hosts: KnownHosts
    patience: Patience
    limit_seconds: float

    def learn(self, instance: Instance, progress: Progress) -> None:
        """Have the key pinned under the instance's id, and tagged for other controllers.

        Raises `HostKeyChanged` when pin, console and tag differ, `HostError` when the console never shows a key.
        """
        pinned = self.known_hosts.keys(instance.id)
        if pinned and instance.host_key and instance.host_key not in pinned:
            raise HostKeyChanged(
                f"The tag of {instance.id} tells another ssh host key than the one that is pinned here.",
                hint="Somebody changed the tag, or the known_hosts file. Find out who before you connect; a new"
                " instance (terminate this one) has a new key.",
            )
        keys = pinned or (self._vouched(instance) if instance.host_key else self._shown(instance, progress))
        if not pinned:
            self.known_hosts.pin(instance.id, keys)
        if not instance.host_key and len(keys[0]) <= _LONGEST_TAG:
            self.instances.remember_host_key(instance.id, keys[0])

    def _vouched(self, instance: Instance) -> tuple[str, ...]:
        """The tag's key, for a controller that has no pin; the console must not show another one."""
        shown = console_keys(self.instances.console_output(instance.id))
        if shown and instance.host_key not in shown:
            raise HostKeyChanged(
                f"The tag of {instance.id} tells another ssh host key than its console shows.",
                hint="Somebody changed the tag. Find out who before you connect; a new instance (terminate this one)"
                " has a new key.",
            )
        return shown or (instance.host_key,)

    def _shown(self, instance: Instance, progress: Progress) -> tuple[str, ...]:
        progress.say(f"Waiting for the ssh host key on the console of {instance.id}")
        keys = self.patience.until(
            lambda: console_keys(self.instances.console_output(instance.id)) or None, self.limit_seconds
        )
        if keys is None:
            raise HostError(
                f"The console of {instance.id} showed no ssh host keys within {self.limit_seconds:g} s,"
                " so there is no safe way to connect to it.",
                hint="Only a first boot with cloud-init shows them. Terminate the instance in the EC2 console and start"
                " again for a new one; if that shows none either, take an image (receiver.image) with cloud-init.",
            )
        return keys


def _keys(block: str) -> tuple[str, ...]:
    return tuple(f"{kind} {blob}" for kind, blob in _KEY.findall(block) if _whole(kind, blob))


def _whole(kind: str, blob: str) -> bool:
    """Whether the base64 text is a complete public key of the kind: fields with their lengths, to the last byte."""
    try:
        data = base64.b64decode(blob, validate=True)
    except binascii.Error:
        return False
    fields: list[bytes] = []
    while len(data) >= 4:
        (length,) = struct.unpack(">I", data[:4])
        fields.append(data[4 : 4 + length])
        if len(fields[-1]) != length:
            return False
        data = data[4 + length :]
    return not data and len(fields) >= 2 and fields[0] == kind.encode()
