"""QEMU's command line for a machine of the lab: a pure function of what the machine is.

The devices and their order are part of what a saved memory means: a template and the machines that start from it are
made by the same function. Nothing here starts a process.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

# 40 volumes and spare ones for replacements: four bridges of 16 slots. PCIe has a port for each device; 64 ports, with
# the services of each, are 500 devices more that a booting guest has to find.
PORTS = 64
SLOTS = 16
FIRST_BRIDGE = 0x10
IDENTITY_BYTES = 1024
WAITING = "ec2zfs-lab: template waits for an identity"

APPEND = (
    "console=ttyS0 net.ifnames=0 mitigations=off random.trust_cpu=on no_timer_check nowatchdog quiet loglevel=4 panic=5"
)
# Translated code is found again only where it stood before: with random addresses every program start translates anew,
# which makes starts three times as slow. The others are a kernel's guards, accounts and exact timers: about a twentieth
# of what an emulated machine does. An idle one needs nohz: with `nohz=off` it takes 6.5 % of a processor, else 0.7 %.
TRANSLATED_APPEND = (
    "norandmaps init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=0 cgroup_disable=memory psi=0"
    " transparent_hugepage=never highres=off"
)
# The newest processor would be `max`. Its wide registers, fifth level of page tables and guards of user memory are work
# for the translation; these are what ZFS, LUKS and OpenSSL profit from. With svm, udev would load KVM.
# One of it: with two, ZFS and the starts of programs take the host a quarter more time, since the kernel's locks are
# real ones then, and a change of page tables stops both.
TRANSLATED_CPU = "qemu64,-svm,+ssse3,+sse4.1,+sse4.2,+popcnt,+aes,+pclmulqdq,+rdrand,+fsgsbase"

RELAY = Path(__file__).parent / "relay.py"


@dataclass(frozen=True)
class Accelerator:
    """How the guest's instructions are run: by the processor (`kvm`) or by translation (`tcg`)."""

    kind: Literal["kvm", "tcg"]

    def argv(self) -> list[str]:
        """QEMU's words for it."""
        if self.kind == "kvm":
            return ["-accel", "kvm", "-cpu", "host", "-smp", "2"]
        return ["-accel", "tcg,thread=multi", "-cpu", TRANSLATED_CPU, "-smp", "1"]

    def append(self) -> str:
        """The kernel's command line for a guest under it."""
        return APPEND if self.kind == "kvm" else f"{APPEND} {TRANSLATED_APPEND}"


@dataclass(frozen=True)
class Boot:
    """What a machine boots: kernel, initial RAM disk, its own root disk (qcow2)."""

    vmlinuz: Path
    initrd: Path
    root: Path


@dataclass(frozen=True)
class Plugged:
    """A disk in its port (0 to 63); `serial` is the volume id without its dash."""

    serial: str
    path: Path
    port: int


@dataclass(frozen=True)
class Wiring:
    """Where the guest's network ends on the host: ssh at `address`:`ssh_port`, metadata on loopback `metadata_port`.

    Without a `metadata_port` there is no metadata. `ports`: the first and the last of the TCP ports at `address` that
    are the guest's own, None for none.
    """

    address: str
    ssh_port: int
    metadata_port: int | None
    ports: tuple[int, int] | None = None


@dataclass(frozen=True)
class Files:
    """The files through which a running machine is known and driven, all in its directory."""

    directory: Path

    @property
    def pid(self) -> Path:
        """QEMU's process id."""
        return self.directory / "pid"

    @property
    def qmp(self) -> Path:
        """The QMP socket."""
        return self.directory / "qmp"

    @property
    def console(self) -> Path:
        """All that the serial console printed."""
        return self.directory / "console"

    @property
    def identity(self) -> Path:
        """What the guest reads about itself in the firmware configuration."""
        return self.directory / "identity"

    @property
    def root(self) -> Path:
        """The root disk of its own."""
        return self.directory / "root.qcow2"

    @property
    def description(self) -> Path:
        """Spec and disks, for another process that opens the machine."""
        return self.directory / "machine.json"

    @property
    def lock(self) -> Path:
        """Held by whoever talks to QEMU or changes the description."""
        return self.directory / "lock"


def command(
    name: str, memory_mib: int, accelerator: Accelerator, boot: Boot, files: Files, wiring: Wiring
) -> list[str]:
    """The machine as QEMU's argv, without its volumes (`disk_devices`) and without a memory to resume."""
    return [
        *("qemu-system-x86_64", "-name", _option(f"guest={name}"), "-nodefaults", "-no-user-config"),
        *("-machine", "q35", *accelerator.argv(), "-m", str(memory_mib), "-display", "none"),
        *("-kernel", str(boot.vmlinuz), "-initrd", str(boot.initrd), "-append", accelerator.append()),
        *("-device", "virtio-rng-pci,addr=0x2"),
        *("-fw_cfg", f"name=opt/ec2zfs/identity,file={_escape(files.identity)}"),
        # no-flush: what the guest flushed is in the host's page cache, and so survives QEMU's death, as EBS would.
        *("-blockdev", json.dumps(_blockdev("root", boot.root, "qcow2"))),
        *("-device", "virtio-blk-pci,id=root,drive=root,addr=0x3,bootindex=1"),
        *("-netdev", _network(wiring), "-device", "virtio-net-pci,id=nic,netdev=net,addr=0x4,romfile="),
        *("-chardev", f"file,id=console,path={_escape(files.console)},append=on", "-serial", "chardev:console"),
        *("-qmp", f"unix:{_escape(files.qmp)},server=on,wait=off", "-pidfile", str(files.pid), "-daemonize"),
        *(word for bridge in range(PORTS // SLOTS) for word in ("-device", _bridge(bridge))),
    ]


def disk_devices(disks: Iterable[Plugged]) -> list[str]:
    """The arguments by which volumes are plugged in before a cold start."""
    words: list[str] = []
    for disk in disks:
        words += ["-blockdev", json.dumps(blockdev(disk)), "-device", json.dumps(device(disk))]
    return words


def blockdev(disk: Plugged) -> dict[str, object]:
    """A volume's host side, for `-blockdev` and `blockdev-add`."""
    return _blockdev(disk.serial, disk.path, "raw")


def device(disk: Plugged) -> dict[str, object]:
    """A volume's guest side, for `-device` and `device_add`."""
    return {
        "driver": "virtio-blk-pci",
        "id": f"disk-{disk.serial}",
        "drive": disk.serial,
        "serial": disk.serial,
        "bus": f"bridge{disk.port // SLOTS}",
        "addr": f"{1 + disk.port % SLOTS:#x}",  # slot 0 is the bridge's own
        "disable-legacy": "on",  # on PCI it would ask for ports of the processor, of which a bridge has too few
    }


def free_port(disks: Iterable[Plugged]) -> int | None:
    """The lowest port without a disk; None when all 64 are taken."""
    taken = {disk.port for disk in disks}
    return next((port for port in range(PORTS) if port not in taken), None)


def identity(name: str, seed: bytes, patience: float) -> bytes:
    """What the guest is told in the firmware configuration.

    Always `IDENTITY_BYTES` long, because a resumed guest knows only the length that it once saw. An empty `name` makes
    it wait as a template; `patience` is how many seconds it asks for instance metadata before it does without.
    """
    told = {"name": name, "seed": seed.hex(), "patience": patience, "waiting": WAITING}
    return json.dumps(told).encode().ljust(IDENTITY_BYTES)


def _blockdev(node: str, path: Path, driver: str) -> dict[str, object]:
    cache = {"direct": False, "no-flush": True}
    return {
        "driver": driver,
        "node-name": node,
        "discard": "unmap",
        "cache": cache,
        "file": {"driver": "file", "filename": str(path), "discard": "unmap", "cache": cache},
    }


def _network(wiring: Wiring) -> str:
    # restrict: a guest reaches the metadata service and nothing else; the host, only its ports for ssh and for streams.
    first, last = wiring.ports or (0, -1)
    forwarded = ((wiring.ssh_port, 22), *((port, port) for port in range(first, last + 1)))
    ends = [f"hostfwd=tcp:{wiring.address}:{here}-169.254.169.15:{there}" for here, there in forwarded]
    if wiring.metadata_port is not None:
        relay = shlex.join([sys.executable, "-I", "-S", str(RELAY), str(wiring.metadata_port)])
        ends.append(f"guestfwd=tcp:169.254.169.254:80-cmd:{_option(relay)}")
    return ",".join(
        [
            "user,id=net,restrict=on,ipv6=off,net=169.254.169.0/24,host=169.254.169.2,dns=169.254.169.3",
            "dhcpstart=169.254.169.15",
            *ends,
        ]
    )


def _bridge(number: int) -> str:
    return f"pci-bridge,id=bridge{number},chassis_nr={number + 1},addr={FIRST_BRIDGE + number:#x}"


def _escape(path: Path) -> str:
    return _option(str(path))


def _option(value: str) -> str:
    return value.replace(",", ",,")  # in QEMU's option strings a comma ends the value, two stand for one
