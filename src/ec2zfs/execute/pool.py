"""The cloud pool on a receiver: create, unlock, look at and lock it. It never formats what may hold data.

Nothing is remembered between calls: each looks at the receiver, plans (plan/pool.py) and carries out, so every call may
be cut off anywhere and made again. Unlocking and locking are one execution each, however many volumes there are.
"""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.errors import CommandFailed, CommandTimeout, Ec2zfsError, Refused
from ec2zfs.execute.opening import DEVICE_SECONDS, Opening, carry_out
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.hosts.host import Host
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.contents import ReceiverView
from ec2zfs.model.pool import PoolDesign, PoolStatus
from ec2zfs.model.volume import AttachmentState, Volume
from ec2zfs.plan.pool import CreatePool, PoolAction, plan_pool, plan_unlocking, usable
from ec2zfs.tools.hostid import host_id
from ec2zfs.tools.observation import receiver_view
from ec2zfs.tools.scripts import Script
from ec2zfs.tools.volume_keys import VolumeKeys
from ec2zfs.tools.zpool import create_arguments

_ROUNDS = 4
"""Looks at most while creating: before, with the mappings open, with the pool made, and one to spare."""


class CloudPool:
    """The pool of a design on one host, which is the receiver."""

    def __init__(self, host: Host, design: PoolDesign, progress: Progress | None = None) -> None:
        self._host = host
        self._design = design
        self._progress = progress or Silent()

    def create(self, key: Secret | None, volumes: Sequence[Volume]) -> PoolStatus:
        """Make the pool of these attached volumes, or finish what an earlier call began; leaves it imported.

        `key` is the pool key, None only for a pool without encryption. Raises `WrongPoolKey` before anything is
        formatted or opened, `Refused` when a volume holds foreign data or another pool stands in the way.
        """
        keys = self._keys(key)
        for _ in range(_ROUNDS):
            view = self.observe(volumes)
            actions = plan_pool(self._design, volumes, view)
            if not actions and view.imported:
                return view.imported
            self._carry_out(actions, keys, volumes)
        raise Ec2zfsError(
            f"Pool {self._design.name} on {self._host.name} is still not as it should be after {_ROUNDS} attempts.",
            hint="Look at it there with `zpool status` and `zpool import`.",
        )

    def observe(self, volumes: Sequence[Volume]) -> ReceiverView:
        """What these volumes hold and which pools there are; waits until the volumes show on the receiver."""
        serials = [volume.serial for volume in volumes]
        return self._view("observe", str(DEVICE_SECONDS), self._encrypted, *serials)

    def unlock(self, key: Secret | None, volumes: Sequence[Volume], *, accept_degraded: bool = False) -> None:
        """Open the volumes and import the pool in one execution; what is open already is fine.

        `key` is the pool key, None only for a pool without encryption. Volumes that have left the pool are left alone.
        Raises `WrongPoolKey` before anything is opened, and `Refused` when ZFS lacks a member that it knows and
        `accept_degraded` is not given. If anything fails on the way, what this call opened is closed again.
        """
        actions = plan_unlocking(self._design, volumes, accept_degraded=accept_degraded)
        opened = tuple(usable(volumes))
        self._progress.say(f"Unlocking pool {self._design.name} on {self._host.name}: {len(opened)} volumes")
        force = _on_one_machine(opened, accept_degraded=accept_degraded)
        for left_out in carry_out(self._host, Opening(self._design, actions, opened, force=force), self._keys(key)):
            self._progress.say(left_out)

    def lock(self) -> None:
        """Export the pool, close every mapping of it and verify that none is left, in one execution; twice is fine.

        Raises `CommandFailed` when the pool stays imported or a mapping stays open: then the key is still in the
        receiver's memory.
        """
        pool = self._design.name
        self._progress.say(f"Locking pool {pool} on {self._host.name}")
        try:
            result = Script("lock", pool, (self._encrypted,)).run(self._host)
        except CommandTimeout as error:
            raise self._not_locked(error.status, "It hangs, as every access to a suspended pool may.") from error
        except CommandFailed as error:
            raise self._not_locked(error.status, error.stderr) from error
        if left := result.lines():
            said = result.stderr.decode("utf-8", "replace").strip()
            words = "\n".join(filter(None, (said, f"Left behind: {', '.join(left)}.")))
            raise self._not_locked(1, words, key_left=any(line.startswith("open ") for line in left))

    def status(self) -> PoolStatus:
        """The imported pool; raises `Refused` when it is locked or absent on this host."""
        status = self.found()
        if status is None:
            raise Refused(
                f"Pool {self._design.name} is not imported on {self._host.name}.",
                hint="Unlock it (`ec2zfs pool unlock`), or make it (`ec2zfs pool create`).",
            )
        return status

    def found(self) -> PoolStatus | None:
        """The imported pool, or None when it is locked or absent on this host."""
        return self.look().imported

    def look(self, *, detail: bool = False) -> ReceiverView:
        """The imported pool and the open mappings, without a look at the volumes; quick, reads only.

        With `detail` the key slots of each open mapping are told too.
        """
        return self._view("status", *(["detail"] if detail else []))

    @property
    def _encrypted(self) -> str:
        return "yes" if self._design.encrypted else "no"

    def _view(self, script: str, *arguments: str) -> ReceiverView:
        pool = self._design.name
        return receiver_view(pool, Script(script, pool, arguments).run(self._host).text)

    def _keys(self, key: Secret | None) -> VolumeKeys | None:
        if not self._design.encrypted:
            return None
        if key is None:
            raise Refused(f"Pool {self._design.name} is encrypted; its pool key is needed.")
        return VolumeKeys(key, self._design.name)

    def _carry_out(self, actions: Sequence[PoolAction], keys: VolumeKeys | None, volumes: Sequence[Volume]) -> None:
        for action in actions:
            self._progress.say(str(action))
        if isinstance(actions[0], CreatePool):
            self._create(actions[0])
        else:
            carry_out(self._host, Opening(self._design, tuple(actions), tuple(volumes)), keys)

    def _create(self, action: CreatePool) -> None:
        design = action.design
        arguments = create_arguments(design.name, design.layout.redundancy, action.vdevs)
        Script("create", design.name, (host_id(design.name), *arguments)).run(self._host)

    def _not_locked(self, status: int, words: str, *, key_left: bool = True) -> CommandFailed:
        memory = "The key is still in the receiver's memory" if key_left else "No key is left, but the pool is stuck"
        hint = f"{memory}: stop the receiver (`ec2zfs instance stop`)."
        return CommandFailed(self._host.name, ("zpool", "export", self._design.name), status, words, hint=hint)


def _on_one_machine(volumes: Sequence[Volume], *, accept_degraded: bool) -> bool:
    """Whether EC2 proves that nobody else can have the pool open: every volume is attached, all to one instance.

    With `accept_degraded` those that hang nowhere prove it as well, as long as any is attached.
    """
    bonds = [volume.attachment for volume in volumes]
    if accept_degraded:
        bonds = [bond for bond in bonds if bond]
    attached = all(bond is not None and bond.state is AttachmentState.ATTACHED for bond in bonds)
    return attached and len({bond.instance_id for bond in bonds if bond}) == 1
