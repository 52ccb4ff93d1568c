"""An imagined cloud with one receiver: EC2's volumes, and a machine where our real scripts run on imagined programs.

The volumes are `FakeVolumes`; the machine is a directory that receiver.sh works on. `World.host` runs a command as
the receiver would, and can be killed after any of its effects.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from string import ascii_lowercase

from tests.fakes.cloud import FakeVolumes
from tests.fakes.pools import INSTANCE, ZONE, instance, instance_type, wish

from ec2zfs.errors import CommandFailed
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.layout import GIB, Layout
from ec2zfs.model.volume import AttachmentState, Volume
from ec2zfs.plan.volumes import CreateVolume, plan_creation

PROGRAMS = "".join(Path(__file__).with_name(name).read_text() for name in ("receiver.sh", "zpool.sh"))
NEVER = 10**9
HEADER = 16 * 2**20
"""Bytes that a LUKS2 header takes of a volume."""
LETTERS = (*ascii_lowercase[1:], *(f"a{letter}" for letter in ascii_lowercase))


class World:
    """EC2's volumes and a receiver; the machine's own state dies with `reboot`, the volumes' does not."""

    def __init__(self, directory: Path, pool: str = "cloud", *, unseen_looks: int = 0) -> None:
        self.directory = directory
        self.volumes = FakeVolumes(pool, {INSTANCE: ZONE}, unseen_looks=unseen_looks)
        self.host = ImaginedHost(self)
        self._pulled: set[str] = set()
        for name in ("volumes", "pools"):
            (directory / name).mkdir(parents=True)
        self.reboot()
        self.kill_after(NEVER)
        (directory / "effects").touch()

    def reboot(self) -> None:
        """The receiver loses all that is in its memory; a pool that was imported was not exported."""
        for name in ("mapper", "imported"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
            (self.directory / name).mkdir()
        (self.directory / "suspended").unlink(missing_ok=True)
        (self.directory / "stale").write_text("")

    def kill_after(self, effects: int) -> None:
        """Let the machine's script be killed after that many more effects."""
        (self.directory / "kill_after").write_text(f"{effects}\n")

    @property
    def effects(self) -> list[str]:
        """What was changed on the receiver so far, in order."""
        return (self.directory / "effects").read_text().splitlines()

    @property
    def mappings(self) -> list[str]:
        """The open mappings."""
        return _filled(self.directory / "mapper")

    @property
    def imported(self) -> list[str]:
        """The imported pools."""
        return _filled(self.directory / "imported")

    @property
    def pools(self) -> list[str]:
        """The names of all pools that exist, imported or not."""
        return sorted((path / "name").read_text().strip() for path in (self.directory / "pools").iterdir())

    def forget_effects(self) -> None:
        """Count anew from here."""
        (self.directory / "effects").write_text("")

    def let(self, what: str, how: str = "") -> None:
        """`suspended` (for ever, or until it is cleared, with any `how`), `busy` (zpool export fails without -f)."""
        (self.directory / what).write_text(how)

    def close(self, mapping: str) -> None:
        """A mapping is gone, by another's hand."""
        (self.directory / "mapper" / mapping).write_text("")

    def leave_open(self, volume: Volume, mapping: str = "", *, stale: bool = False) -> None:
        """A mapping is open on a volume; `stale`: on a device of it that is gone."""
        name = mapping or volume.mapping
        (self.directory / "mapper" / name).write_text(f"{volume.serial}\n{volume.size_gib * GIB - HEADER}\n")
        if stale:
            (self.directory / "stale").write_text(name + "\n")

    def fail(self, volume: Volume, state: str = "FAULTED") -> None:
        """ZFS gave a member up: FAULTED, REMOVED or OFFLINE."""
        for path in (self.directory / "pools").iterdir():
            with (path / "states").open("a") as states:
                states.write(f"/dev/mapper/{volume.mapping} {state}\n")

    def hold_scans(self) -> None:
        """Resilvers and scrubs go on until `end_scans`; else each ends when the pool's status is asked for."""
        (self.directory / "held").touch()

    def end_scans(self) -> None:
        """They end with the next look."""
        (self.directory / "held").unlink()

    def forget_import(self) -> None:
        """The pool was exported by hand."""
        guid = (self.directory / "imported" / "cloud").read_text().strip()
        (self.directory / "pools" / guid / "exported").write_text("yes\n")
        (self.directory / "imported" / "cloud").write_text("")

    def last_used_by(self, hostid: str) -> None:
        """Every pool was imported by another machine last."""
        for path in (self.directory / "pools").iterdir():
            (path / "hostid").write_text(hostid + "\n")

    def rename_pool(self, name: str) -> None:
        """Every pool has this name now."""
        for path in (self.directory / "pools").iterdir():
            (path / "name").write_text(name + "\n")

    def import_other(self, name: str) -> None:
        """A pool of this name on other devices is imported."""
        path = self.directory / "pools" / "9"
        path.mkdir()
        (path / "name").write_text(name + "\n")
        (path / "vdevs").write_text("mirror-0\n/dev/sdx\n/dev/sdy\n")
        (path / "size-mirror-0").write_text("1\n")
        (self.directory / "imported" / name).write_text("9\n")

    def put(self, serial: str, signature: str) -> None:
        """Foreign data: a file system, or with no signature bytes that mean nothing to anybody."""
        path = self.on_volume(serial)
        (path / "signatures").write_text(signature and signature + "\n")
        (path / "head").touch()
        (path / "data").touch()

    def wipe(self, serial: str) -> None:
        """Make a volume blank."""
        shutil.rmtree(self.on_volume(serial))
        self.on_volume(serial)

    def change_key(self, serial: str) -> None:
        """The volume's LUKS key is another now."""
        (self.on_volume(serial) / "slots").write_text("00\n")

    def pull(self, volume: Volume) -> None:
        """The disk shows no more, though EC2 calls it attached."""
        self._pulled.add(volume.serial)

    def put_back(self, volume: Volume) -> None:
        """The disk shows again, as another device than before."""
        self._pulled.discard(volume.serial)
        with (self.directory / "stale").open("a") as stale:
            stale.write(f"{volume.mapping}\n")

    def on_volume(self, serial: str) -> Path:
        """The directory of what stands on a volume."""
        path = self.directory / "volumes" / serial
        if not path.exists():
            path.mkdir()
            (path / "signatures").touch()
        return path

    def show_disks(self) -> None:
        """The disks that show are the volumes that EC2 calls attached, in an order that means nothing (fact 8)."""
        bonds = [(volume.serial, volume.attachment) for volume in self.volumes.paid]
        attached = [serial for serial, bond in reversed(bonds) if bond and bond.state is AttachmentState.ATTACHED]
        shown = [serial for serial in attached if serial not in self._pulled]
        for serial in shown:
            self.on_volume(serial)
        sizes = {volume.serial: volume.size_gib * GIB for volume in self.volumes.paid}
        lines = [f"vd{letter} {serial} {sizes[serial]}\n" for letter, serial in zip(LETTERS, shown, strict=False)]
        (self.directory / "attached").write_text("".join(lines))


def _filled(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.stat().st_size)


class ImaginedHost:
    """The receiver as a `Host`: `sh` runs our scripts with the programs of receiver.sh. `commands` are those it ran."""

    name = "receiver"

    def __init__(self, world: World) -> None:
        self._world = world
        self.commands: list[Command] = []

    def run(self, command: Command) -> Result:
        """As `Host.run`."""
        self.commands.append(command)
        self._world.show_disks()
        ended = subprocess.run(
            self.exec_argv(command),
            input=command.stdin.reveal() if isinstance(command.stdin, Secret) else command.stdin or b"",
            capture_output=True,
            check=False,
            env={"WORLD": str(self._world.directory), "PATH": os.environ["PATH"], "LC_ALL": "C"},
        )
        if ended.returncode not in command.accept:
            raise CommandFailed(self.name, command.argv, ended.returncode, ended.stderr.decode())
        return Result(ended.returncode, ended.stdout, ended.stderr)

    def exec_argv(self, command: Command) -> tuple[str, ...]:
        """The script behind `flock … sh -c`, with the imagined programs before it."""
        start = command.argv.index("sh")
        shell, option, script, *arguments = command.argv[start:]
        return (shell, option, PROGRAMS + script, *arguments)

    def end(self, argv: Sequence[str]) -> None:
        """As `Host.end`: what runs here ends by itself."""

    def explain(self, command: Command, status: int, stderr: bytes) -> CommandFailed:
        """As `Host.explain`."""
        return CommandFailed(self.name, command.argv, status, stderr.decode())


def attached(world: World, layout: Layout) -> list[Volume]:
    """The volumes of a layout, bought and attached."""
    fleet = VolumeFleet(world.volumes)
    fleet.carry_out(plan_creation(wish(layout), fleet.volumes()))
    return fleet.attached(instance(), instance_type(64))


def newcomer(world: World, old: Volume, *, size_gib: int = 0) -> Volume:
    """The next volume of a place, bought and attached."""
    fleet = VolumeFleet(world.volumes)
    order = CreateVolume(old.pool, old.place, old.generation + 1, size_gib or old.size_gib, old.type, old.zone)
    fleet.carry_out([order])
    attached = fleet.attached(instance(), instance_type(64))
    return next(each for each in attached if (each.place, each.generation) == (old.place, order.generation))
