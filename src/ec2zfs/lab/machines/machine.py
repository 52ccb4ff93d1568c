"""One machine of the lab: a QEMU process, its files in one directory, driven through QMP.

It can be opened again from another process: everything that it knows is in its directory (spec, disks, pid, QMP
socket, console). It must never end a process that is not this machine's own QEMU. Of its disks' files it changes only
the size, and only to a larger one.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ec2zfs.errors import Refused
from ec2zfs.lab.accelerator import accelerator
from ec2zfs.lab.image.build import Image, find
from ec2zfs.lab.image.recipe import recipe
from ec2zfs.lab.machines import process, qemu, warm
from ec2zfs.lab.machines.qmp import MachineError, Monitor
from ec2zfs.lab.paths import cache_directory, private, socket_path

log = logging.getLogger(__name__)

SERIAL_LENGTH = 20  # of a virtio disk, and of a volume id without its dash
METADATA_PATIENCE = 60.0
RESUME_LIMIT = 60.0


@dataclass(frozen=True)
class Disk:
    """A volume as the guest sees it: `serial` is the volume id without its dash (20 characters), `path` a raw file."""

    serial: str
    path: Path


@dataclass(frozen=True)
class MachineSpec:
    """What a machine is made of.

    `name`: an instance id, or `site`. `address`: 127.x.y.z, of which the host forwards `ssh_port` to the guest's port
    22, and those from the first to the last of `ports` to the guest's own. `metadata_port`: loopback port of the host
    that the guest sees as 169.254.169.254:80. `directory`: its files.
    """

    name: str
    memory_mib: int
    address: str
    ssh_port: int
    metadata_port: int
    directory: Path
    ports: tuple[int, int] | None = None


@dataclass(frozen=True)
class _Description:
    """What the machine's directory remembers: the image's boot files, the disks and their ports."""

    boot: qemu.Boot | None = None
    disks: tuple[qemu.Plugged, ...] = ()


class Machine:
    """A machine; its files exist from the first start (or attached disk) until `discard()`."""

    def __init__(self, spec: MachineSpec, cache: Path | None = None) -> None:
        self.spec = spec
        self.files = qemu.Files(spec.directory)
        self._cache = cache or cache_directory()
        socket_path(spec.directory, "qmp")

    @staticmethod
    def open(directory: Path, cache: Path | None = None) -> Machine:
        """The machine whose files are in `directory`, with the spec of its last start. FileNotFoundError: none is."""
        spec = json.loads(qemu.Files(directory).description.read_text())["spec"]
        ports = tuple(spec["ports"]) if spec.get("ports") else None
        return Machine(MachineSpec(**{**spec, "directory": directory, "ports": ports}), cache)

    def start(self, *, fresh: bool) -> None:
        """Start it: `fresh` from the image (warm when possible), else its own root disk, cold, with its known disks.

        Returns when QEMU runs the guest; ssh answers seconds (warm) or half a minute (cold, emulated) later. Raises
        Refused (it runs, no image, no root disk), MachineError, MissingTool.
        """
        private(self.spec.directory)
        with self._locked():
            if self.running():
                raise Refused(f"The lab's machine {self.spec.name} is already running.")
            told = qemu.identity(self.spec.name, secrets.token_bytes(64), METADATA_PATIENCE)
            self.files.identity.write_bytes(told)
            if fresh:
                self._start_fresh()
            else:
                self._start_again()

    def running(self) -> bool:
        """Whether its QEMU process lives."""
        return process.pid(self.files) is not None

    def power_off(self) -> None:
        """Press the ACPI power button; returns at once. A machine that does not run stays as it is."""
        self._tell("system_powerdown")

    def kill(self) -> None:
        """SIGKILL, as a host that dies; returns when the process is gone."""
        process.kill(self.files)

    def reboot(self) -> None:
        """Press Ctrl-Alt-Del, at which systemd reboots in good order; returns at once."""
        keys = [{"type": "qcode", "data": name} for name in ("ctrl", "alt", "delete")]
        self._tell("send-key", {"keys": keys})

    def attach(self, disk: Disk) -> None:
        """Plug a disk in (when it is not running: at its next start). Once more changes nothing.

        Raises Refused when all 64 ports are taken or the serial is too long, MachineError when QEMU cannot open the
        file.
        """
        if len(disk.serial) > SERIAL_LENGTH:
            raise Refused(f"A disk's serial has at most {SERIAL_LENGTH} characters; {disk.serial} would be cut.")
        private(self.spec.directory)
        with self._locked():
            known = self._describe()
            plugged = next((found for found in known.disks if found.serial == disk.serial), None)
            if plugged is None:
                port = qemu.free_port(known.disks)
                if port is None:
                    raise Refused(f"The lab's machine {self.spec.name} has no free port for {disk.serial}.")
                plugged = qemu.Plugged(disk.serial, disk.path, port)
                self._remember(replace(known, disks=(*known.disks, plugged)))
            if self.running():
                try:
                    self._plug([plugged])
                except MachineError:
                    self._forget(disk.serial)
                    raise

    def detach(self, serial: str, timeout: float = 30.0) -> None:
        """Unplug a disk; waits until the guest let it go, at most `timeout` seconds, else MachineError.

        A disk that is not plugged in is no error. After a timeout the guest may still let go later; call again.
        """
        with self._locked():
            if self.running():
                self._unplug(serial, timeout)
            self._forget(serial)

    def resize(self, serial: str, size_bytes: int) -> None:
        """Grow a disk's file; a running guest sees the new size at once. Refused: unknown disk, or a smaller size."""
        with self._locked():
            disk = next((disk for disk in self._describe().disks if disk.serial == serial), None)
            if disk is None:
                raise Refused(f"The lab's machine {self.spec.name} has no disk {serial}.")
            if size_bytes < disk.path.stat().st_size:
                raise Refused(f"The disk {serial} cannot shrink to {size_bytes} bytes.")
            if self.running():
                with Monitor(self.files.qmp) as monitor:
                    monitor.execute("block_resize", {"node-name": serial, "size": size_bytes})
            else:
                os.truncate(disk.path, size_bytes)

    def disks(self) -> tuple[Disk, ...]:
        """The disks that are plugged in, or will be at the next start."""
        return tuple(Disk(disk.serial, disk.path) for disk in self._describe().disks)

    def console(self) -> str:
        """All that the serial console printed since the machine was made (lines end as the guest ended them)."""
        try:
            return self.files.console.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def connect_network(self, *, up: bool) -> None:
        """Pull the network cable, or plug it in again; a later start has it plugged in."""
        self._tell("set_link", {"name": "nic", "up": up})

    def discard(self) -> None:
        """Kill it and remove its files; the files of its disks stay. A start in progress comes to its end first."""
        self.kill()  # without the lock: who holds it may wait for this very QEMU
        with suppress(FileNotFoundError), self._locked():
            self.kill()
            shutil.rmtree(self.spec.directory, ignore_errors=True)

    def _start_fresh(self) -> None:
        image = find(recipe(), self._cache)
        if image is None:
            raise Refused("The lab's image is not built yet.", hint="Build it with `ec2zfs lab build`.")
        chosen = accelerator(image, self._cache)
        known = replace(self._describe(), boot=qemu.Boot(image.vmlinuz, image.initrd, self.files.root))
        self.files.console.unlink(missing_ok=True)
        self._remember(known)
        try:
            self._start_warm(image, chosen)
        except MachineError as error:
            # A memory that this QEMU or this processor does not take; a boot from the image always works.
            log.warning("The lab's machine %s starts cold: %s", self.spec.name, error)
            process.kill(self.files)
            self.files.console.unlink(missing_ok=True)
            self._lay_root_over(image.root)
            self._launch(chosen, [])
        self._plug(known.disks)

    def _start_warm(self, image: Image, chosen: qemu.Accelerator) -> None:
        template = warm.template(image, self.spec.memory_mib, chosen)
        self._lay_root_over(template.root)
        self._launch(chosen, template.incoming())
        deadline = time.monotonic() + RESUME_LIMIT
        with Monitor(self.files.qmp) as monitor:
            while monitor.execute("query-status")["status"] == "inmigrate":
                if time.monotonic() > deadline:
                    raise MachineError(f"The lab's machine {self.spec.name} did not resume in {RESUME_LIMIT:g} s.")
                time.sleep(0.02)
            monitor.execute("cont")

    def _start_again(self) -> None:
        known = self._describe()
        if known.boot is None or not self.files.root.exists():
            raise Refused(f"The lab's machine {self.spec.name} has no root disk yet; it must first start fresh.")
        image = find(recipe(), self._cache)
        chosen = accelerator(image, self._cache) if image else qemu.Accelerator("tcg")
        self._remember(known)
        self._launch(chosen, qemu.disk_devices(known.disks))

    def _lay_root_over(self, base: Path) -> None:
        self.files.root.unlink(missing_ok=True)
        warm.overlay(base, self.files.root)

    def _launch(self, chosen: qemu.Accelerator, more: list[str]) -> None:
        boot = self._describe().boot
        assert boot is not None  # noqa: S101 - both callers have just remembered it
        spec = self.spec
        wiring = qemu.Wiring(spec.address, spec.ssh_port, spec.metadata_port, spec.ports)
        argv = qemu.command(self.spec.name, self.spec.memory_mib, chosen, boot, self.files, wiring)
        process.launch([*argv, *more], self.files)

    def _plug(self, disks: tuple[qemu.Plugged, ...] | list[qemu.Plugged]) -> None:
        if not disks:
            return
        with Monitor(self.files.qmp) as monitor:
            nodes, devices = _nodes(monitor), _devices(monitor)
            for disk in disks:
                if disk.serial not in nodes:
                    monitor.execute("blockdev-add", qemu.blockdev(disk))
                if f"disk-{disk.serial}" not in devices:
                    monitor.execute("device_add", qemu.device(disk))

    def _unplug(self, serial: str, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        device = f"disk-{serial}"
        with Monitor(self.files.qmp) as monitor:
            asked = False
            while device in _devices(monitor):
                if not asked:
                    asked = _ask_to_let_go(monitor, device)
                if time.monotonic() > deadline:
                    raise MachineError(
                        f"The lab's machine {self.spec.name} did not let go of the disk {serial} in {timeout:g} s."
                    )
                time.sleep(0.05)
            while serial in _nodes(monitor) and not _removed(monitor, serial):
                if time.monotonic() > deadline:
                    raise MachineError(f"The lab's machine {self.spec.name} still uses the disk {serial}.")
                time.sleep(0.05)

    def _tell(self, command: str, arguments: dict[str, object] | None = None) -> None:
        with self._locked():
            if self.running():
                with Monitor(self.files.qmp) as monitor:
                    monitor.execute(command, arguments)

    def _describe(self) -> _Description:
        try:
            kept = json.loads(self.files.description.read_text())
        except FileNotFoundError:
            return _Description()
        boot = (
            qemu.Boot(*(Path(kept["boot"][part]) for part in ("vmlinuz", "initrd", "root"))) if kept["boot"] else None
        )
        disks = (qemu.Plugged(disk["serial"], Path(disk["path"]), disk["port"]) for disk in kept["disks"])
        return _Description(boot, tuple(disks))

    def _remember(self, known: _Description) -> None:
        draft = self.files.description.with_suffix(".new")
        draft.write_text(json.dumps({"spec": asdict(self.spec), **asdict(known)}, default=str))
        draft.replace(self.files.description)

    def _forget(self, serial: str) -> None:
        known = self._describe()
        self._remember(replace(known, disks=tuple(disk for disk in known.disks if disk.serial != serial)))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.files.lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _nodes(monitor: Monitor) -> set[str]:
    return {node["node-name"] for node in monitor.execute("query-named-block-nodes", {"flat": True})}


def _removed(monitor: Monitor, node: str) -> bool:
    """Whether QEMU forgot the node; a device that has just gone may hold it for a moment longer."""
    try:
        monitor.execute("blockdev-del", {"node-name": node})
    except MachineError as error:
        if "is in use" not in str(error):
            raise
        return False
    return True


def _devices(monitor: Monitor) -> set[str]:
    return {entry["name"] for entry in monitor.execute("qom-list", {"path": "/machine/peripheral"})}


def _ask_to_let_go(monitor: Monitor, device: str) -> bool:
    try:
        monitor.execute("device_del", {"id": device})
    except MachineError as error:
        if "in the process of unplug" not in str(error):
            raise
    return True
