"""Whether guests run on the processor itself (KVM) or by translation (TCG): decided by a trial, then remembered.

/dev/kvm may exist and yet be unable to run a guest (nested virtualisation, local-ec2.md), so only a kernel that
reaches its first process within a short limit counts. The answer holds for this boot of the host and this QEMU.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from ec2zfs.errors import MissingTool
from ec2zfs.lab.image.build import Image
from ec2zfs.lab.machines.qemu import Accelerator

LIMIT = 8.0
PROOF = "Run /init as init process"
KVM = Path("/dev/kvm")


def accelerator(image: Image, cache: Path) -> Accelerator:
    """The remembered answer for this host, or that of a trial boot (at most some 8 s)."""
    memory = cache / "accelerator.json"
    question = {
        "boot": _boot_id(),
        "qemu": qemu_version(),
        "image": image.key,
        "kvm": os.access(KVM, os.R_OK | os.W_OK),
    }
    try:
        remembered = json.loads(memory.read_text())
        if remembered["question"] == question:
            return Accelerator(remembered["kind"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        pass  # never asked, or damaged: ask now
    answer = decide(_trial(image) if question["kvm"] else None)
    draft = memory.with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"question": question, "kind": answer.kind}))
    draft.replace(memory)
    return answer


def decide(console: str | None) -> Accelerator:
    """KVM when the trial's console (None: there was no trial) shows that the kernel reached its first process."""
    return Accelerator("kvm" if console is not None and PROOF in console else "tcg")


def qemu_version() -> str:
    """The first line of `qemu-system-x86_64 --version`. Raises MissingTool."""
    argv = ["qemu-system-x86_64", "--version"]
    try:
        return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.splitlines()[0]
    except FileNotFoundError as error:
        raise MissingTool(f"This machine has no `{argv[0]}`.", hint="Install the package qemu-system-x86.") from error


def trial_command(image: Image) -> list[str]:
    """A guest without disks, which panics after its first process and then ends; its console is its output."""
    return [
        # One that hangs would outlive us for ever when we are killed.
        *("setpriv", "--pdeathsig", "KILL"),
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-machine", "q35", *Accelerator("kvm").argv(), "-m", "512", "-serial", "stdio"),
        *("-kernel", str(image.vmlinuz), "-initrd", str(image.initrd)),
        *("-append", "console=ttyS0 panic=-1 rdinit=/init root=none"),
    ]


def _trial(image: Image) -> str:
    with subprocess.Popen(
        trial_command(image), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        try:
            output, _ = qemu.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            qemu.kill()
            output, _ = qemu.communicate()
    return output.decode(errors="replace")


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
