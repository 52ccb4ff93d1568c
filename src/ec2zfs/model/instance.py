"""The receiver as EC2 sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class InstanceState(StrEnum):
    """EC2's `InstanceStateName`."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


class Market(StrEnum):
    """How an instance is paid: at the list price, or as spare capacity that EC2 may take back (facts 15-17)."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


@dataclass(frozen=True)
class Instance:
    """A receiver. `host_key` is its ssh public key (`ssh-ed25519 AAAA…`) once learned from its console, else empty.

    `image` is the id of the image that it was made from, `key_name` EC2's name of the ssh key that it lets in.
    """

    id: str
    pool: str
    type: str
    zone: str
    state: InstanceState
    market: Market
    address: str
    host_key: str
    launched: datetime
    image: str = ""
    key_name: str = ""


@dataclass(frozen=True)
class InstanceType:
    """What EC2 says of a type: memory in MiB, and how many EBS volumes may hang on it (fact 7)."""

    name: str
    memory_mib: int
    attachments: int
    attachments_shared: bool
    architecture: str
