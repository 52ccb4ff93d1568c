"""The key slots of volumes of an imagined world: which keys are in them, and rekeying as a run does it."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.world import World

from ec2zfs.execute.rekeying import TwoKeys, carry_out, key_slots
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.volume import Volume
from ec2zfs.plan.rekeying import plan_rekeying
from ec2zfs.tools.volume_keys import VolumeKeys

OLD = Secret(b"the key that opened the pool until today")
NEW = Secret(b"the key that opens the pool from now on")
THIRD = Secret(b"a key that somebody else once added by hand")


def two_keys(old: Secret = OLD, new: Secret = NEW) -> TwoKeys:
    """The keys of the pool `cloud`'s volumes."""
    return TwoKeys(VolumeKeys(old, "cloud"), VolumeKeys(new, "cloud"))


def put(world: World, volume: Volume, *slots: Secret | None) -> None:
    """Give a volume a header with these pool keys in its slots, whatever was there."""
    path = world.on_volume(volume.serial)
    (path / "signatures").write_text("crypto_LUKS\n")
    (path / "head").touch()
    (path / "label").write_text(volume.mapping + "\n")
    (path / "slots").write_text("".join(f"{_line(volume, key)}\n" for key in slots))


def opens(world: World, volume: Volume, key: Secret) -> bool:
    """Whether the pool key opens the volume."""
    return _line(volume, key) in (world.on_volume(volume.serial) / "slots").read_text().splitlines()


def held(world: World, volume: Volume) -> str:
    """What is in a volume's slots, one letter each: `O`ld, `N`ew, `T`hird, `-` for none, `?` for what opens nothing."""
    letters = {_line(volume, key): letter for key, letter in ((OLD, "O"), (NEW, "N"), (THIRD, "T"), (None, "-"))}
    lines = (world.on_volume(volume.serial) / "slots").read_text().splitlines()
    return "".join(letters.get(line, "?") for line in lines)


def rekey(world: World, volumes: Sequence[Volume], keys: TwoKeys, *, fresh: bool = False) -> None:
    """Phase after phase until the plan has no more."""
    while phase := plan_rekeying(key_slots(world.host, "cloud", volumes, keys), fresh=fresh):
        carry_out(world.host, "cloud", phase, keys)


def _line(volume: Volume, key: Secret | None) -> str:
    return "-" if key is None else VolumeKeys(key, "cloud").key(volume.mapping).reveal().hex(" ")
