"""The warm start: a machine that waits for its identity, saved with its memory, from which others start in seconds.

A template belongs to one image, one QEMU, one accelerator and one size of memory; it lies beside its image in the
cache and appears there by one rename. It never becomes an instance itself.
"""

from __future__ import annotations

import fcntl
import hashlib
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.lab.accelerator import qemu_version
from ec2zfs.lab.image.build import Image
from ec2zfs.lab.machines import process, qemu
from ec2zfs.lab.machines.qmp import MachineError, Monitor
from ec2zfs.lab.paths import private, work_directory

BOOT_LIMIT = 240.0
SAVE_LIMIT = 120.0
NOBODY = qemu.Wiring("127.0.0.1", 0, None)
"""Without metadata, whose relay is a file of ours: a template is good for every copy of this program."""


@dataclass(frozen=True)
class Template:
    """A saved machine: its disk as it was, and its memory and devices."""

    directory: Path

    @property
    def root(self) -> Path:
        """The disk (qcow2) that the disks of machines started from this lie over; never written to."""
        return self.directory / "root.qcow2"

    @property
    def memory(self) -> Path:
        """QEMU's migration stream."""
        return self.directory / "memory"

    def incoming(self) -> list[str]:
        """QEMU's words to resume from it."""
        return ["-incoming", f"exec:cat {shlex.quote(str(self.memory))}"]


def template(image: Image, memory_mib: int, accelerator: qemu.Accelerator) -> Template:
    """The template for machines of this kind; made first when there is none (a boot: some 40 s under emulation).

    Raises MachineError when the guest does not come to wait for its identity.
    """
    found = Template(image.directory / f"warm-{_key(image, memory_mib, accelerator)}")
    if found.directory.is_dir():
        return found
    with _lock(image.directory.parent):
        if not found.directory.is_dir():
            _make(image, memory_mib, accelerator, found)
    return found


def sweep(cache: Path) -> None:
    """End a template's machine whose maker was killed, and remove its files. One that is being made is left alone."""
    images = cache / "images"
    if images.is_dir():
        with _lock(images, wait=False) as alone:
            if alone:
                _clear(_workshop(images))


def overlay(base: Path, disk: Path) -> None:
    """Make `disk`, a qcow2 that holds only what differs from `base`."""
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(base), "-F", "qcow2", str(disk)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise MachineError(f"The disk {disk} could not be made over {base}: {done.stderr.strip()}")


def _make(image: Image, memory_mib: int, accelerator: qemu.Accelerator, result: Template) -> None:
    files = _workshop(image.directory.parent)
    _clear(files)
    private(files.directory)
    partial = image.directory / f".partial-{result.directory.name}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    draft = Template(partial)
    try:
        overlay(image.root, draft.root)
        files.identity.write_bytes(qemu.identity("", b"", 0))
        boot = qemu.Boot(image.vmlinuz, image.initrd, draft.root)
        argv = qemu.command("template", memory_mib, accelerator, boot, files, NOBODY)
        process.launch([*argv, "-no-reboot"], files)  # a kernel that panics ends it, instead of trying for ever
        _await_template(files)
        _save(files, draft)
        partial.rename(result.directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        _clear(files)


def _await_template(files: qemu.Files) -> None:
    deadline = time.monotonic() + BOOT_LIMIT
    while qemu.WAITING.encode() not in files.console.read_bytes():
        if time.monotonic() > deadline or process.pid(files) is None:
            said = files.console.read_text(errors="replace")[-1000:]
            raise MachineError(f"The template machine did not get ready within {BOOT_LIMIT:g} s. It printed: {said}")
        time.sleep(0.2)
    time.sleep(1.0)  # what started beside the identity service comes to rest


def _save(files: qemu.Files, draft: Template) -> None:
    with Monitor(files.qmp) as monitor:
        monitor.execute("stop")
        monitor.execute("migrate-set-parameters", {"max-bandwidth": 1 << 34})
        monitor.execute("migrate", {"uri": f"exec:cat > {shlex.quote(str(draft.memory))}"})
        deadline = time.monotonic() + SAVE_LIMIT
        while (state := monitor.execute("query-migrate"))["status"] != "completed":
            if state["status"] == "failed" or time.monotonic() > deadline:
                raise MachineError(f"The template machine's memory could not be saved: {state}")
            time.sleep(0.05)
        monitor.execute("quit")
    deadline = time.monotonic() + SAVE_LIMIT
    while process.pid(files) is not None and time.monotonic() < deadline:
        time.sleep(0.02)


def _key(image: Image, memory_mib: int, accelerator: qemu.Accelerator) -> str:
    # The command line with fixed names stands for the machine's hardware: other hardware cannot take the memory.
    boot = qemu.Boot(Path("vmlinuz"), Path("initrd"), Path("root"))
    hardware = qemu.command("", memory_mib, accelerator, boot, qemu.Files(Path("files")), NOBODY)
    return hashlib.sha256(repr([image.key, qemu_version(), hardware]).encode()).hexdigest()[:12]


def _workshop(images: Path) -> qemu.Files:
    return qemu.Files(work_directory(images.parent, "warm"))


def _clear(files: qemu.Files) -> None:
    if files.directory.is_dir():
        process.kill(files)
        shutil.rmtree(files.directory)


@contextmanager
def _lock(images: Path, *, wait: bool = True) -> Iterator[bool]:
    """Whether this process alone may make templates in the cache; without `wait` the answer may be no."""
    with (images / "warm.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
