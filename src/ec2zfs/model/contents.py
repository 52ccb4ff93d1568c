"""What a receiver shows: what its volumes hold, which mappings are open and which pools there are. Decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ec2zfs.model.pool import PoolStatus


@dataclass(frozen=True)
class SeenVolume:
    """An attached volume, found by its serial, with what stands on it.

    `path` outlives a restart. `signatures` are the types that libblkid recognises (`crypto_LUKS`, `zfs_member`, `gpt`).
    `keyslots` counts those of its LUKS2 header, None when it has none that is sound; `label` is the header's.
    `untouched`: nothing stands where data of a pool or a file system would, though a LUKS2 header may have been begun;
    only looked at where there is no key slot.
    """

    serial: str
    path: str
    signatures: tuple[str, ...] = ()
    keyslots: int | None = None
    label: str = ""
    untouched: bool = False


@dataclass(frozen=True)
class OpenMapping:
    """What the kernel and LUKS tell of an open mapping. Sizes in bytes; `written` since it was opened.

    `keyslots` are the numbers of its header's key slots that hold a key; empty where nobody looked. `stale`: the device
    under it has gone, though another may bear its serial since.
    """

    name: str
    size: int
    written: int = 0
    stale: bool = False
    keyslots: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImportablePool:
    """A pool that `zpool import` finds on the devices that it was shown. `state` is ZFS's word."""

    name: str
    guid: int
    state: str


@dataclass(frozen=True)
class ReceiverView:
    """Everything about the pool that one look at the receiver shows.

    `mappings` are the open mappings of our pool's name, `opened` what is known of each where it was asked for. `pools`
    are the names of all imported pools; `imported` is the status of ours among them.
    """

    volumes: tuple[SeenVolume, ...] = ()
    mappings: tuple[str, ...] = ()
    pools: tuple[str, ...] = ()
    imported: PoolStatus | None = None
    importable: tuple[ImportablePool, ...] = ()
    opened: tuple[OpenMapping, ...] = ()

    def volume(self, serial: str) -> SeenVolume | None:
        """The volume of a serial; None when it is not attached."""
        return next((volume for volume in self.volumes if volume.serial == serial), None)
