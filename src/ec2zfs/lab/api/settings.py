"""What a local EC2 is set to: its region, images, and how long EC2 takes for each change of state. Values only."""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024**2


@dataclass(frozen=True)
class Times:
    """The least seconds that each change of state takes; a real machine may need longer.

    `modify` leads to `optimizing`, `optimize` from there to `completed` (fact 4). `spot_notice` is the warning before
    an interruption (fact 16), `modification_window` the time in which a volume can be modified four times (fact 4).
    """

    instance_start: float = 0.05
    instance_stop: float = 0.05
    instance_terminate: float = 0.05
    volume_create: float = 0.05
    volume_delete: float = 0.05
    attach: float = 0.05
    detach: float = 0.05
    modify: float = 0.05
    optimize: float = 0.1
    spot_notice: float = 120.0
    modification_window: float = 24 * 3600.0

    @staticmethod
    def uniform(seconds: float) -> Times:
        """Every change of state takes this long (the limits that EC2 counts in hours stay as they are)."""
        return Times(*([seconds] * 9))


@dataclass(frozen=True)
class Image:
    """An AMI that exists from the start."""

    id: str = "ami-0ec2f5000000000a1"
    name: str = "ec2zfs-receiver"
    description: str = "Debian with OpenZFS and cryptsetup, made by ec2zfs lab build"
    architecture: str = "x86_64"


@dataclass(frozen=True)
class Settings:
    """What a local EC2 is set to. `call_seconds` is the time that every call of the API takes."""

    region: str = "us-east-1"
    times: Times = field(default_factory=Times)
    images: tuple[Image, ...] = (Image(),)
    call_seconds: float = 0.0
    object_bytes: int = 256 * MIB

    @property
    def zones(self) -> tuple[str, ...]:
        """The availability zones that can be counted on in every region."""
        return (f"{self.region}a", f"{self.region}b")
