"""What replication sees on both sides before it decides: the datasets, their histories and the room that is left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ec2zfs.model.properties import SeenProperties
from ec2zfs.model.send_flags import SendFlags
from ec2zfs.model.sighting import Look
from ec2zfs.model.snapshot import Dataset, DatasetKind
from ec2zfs.model.source import Source

MOST_STREAMS = 4
"""Datasets that may be replicated at once. Over one ssh connection a stream has one session, and when it is broken off
its ending another; the connection itself and what runs beside have two more. sshd admits 10 (MaxSessions)."""


@dataclass(frozen=True)
class Replica:
    """A dataset and its copy: from where to where, of what kind, and with which flags its streams are sent.

    `below_raw`: a copy above it is natively encrypted. Whoever is plain must then say so when it is first received, or
    ZFS wants the key from which it would inherit. `identity`: the source's GUID, which its copy is to bear (0: none).
    """

    source: str
    target: str
    kind: DatasetKind = DatasetKind.FILESYSTEM
    flags: SendFlags = SendFlags.PLAIN
    below_raw: bool = False
    identity: int = 0

    @property
    def raw(self) -> bool:
        """Whether its streams are raw (fact 38)."""
        return self.flags is SendFlags.RAW

    @property
    def pool(self) -> str:
        """The pool of the copy."""
        return self.target.removesuffix(f"/{self.source}")


@dataclass(frozen=True)
class ReplicationState:
    """Both sides as they are now.

    `targets` are all datasets of the pool. `available` is the room in the pool in bytes, None while nobody can see it.
    `identities` are the GUIDs of sources that copies bear, by the names of the copies; `properties` what is set on
    both, None where nobody looked. `excluded` are datasets of the sources that a policy leaves out, `covered` is what
    is to be safe. `looks` are what was seen of both sides before their histories; `settled` are the sources whose
    history is known by their newest snapshot alone, since nothing has changed there or on the copy.
    """

    pool: str
    sources: tuple[Dataset, ...]
    targets: tuple[Dataset, ...]
    available: int | None = None
    identities: Mapping[str, int] = field(default_factory=dict)
    properties: SeenProperties | None = None
    excluded: tuple[Dataset, ...] = ()
    covered: tuple[Source, ...] = ()
    looks: tuple[Look, Look] | None = None
    settled: frozenset[str] = frozenset()


def target_name(pool: str, source: str) -> str:
    """Where the copy of a source stands in the pool: `cloud` and `tank/home` make `cloud/tank/home`."""
    return f"{pool}/{source}"
