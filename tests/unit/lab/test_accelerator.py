"""KVM is used only when a trial showed that a guest runs; the recorded consoles are of real hosts."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tests.unit.lab.asking import until

from ec2zfs.lab import accelerator as module
from ec2zfs.lab.accelerator import accelerator, decide, trial_command
from ec2zfs.lab.image.build import Image

WORKS = """\
[    0.000000] Linux version 6.1.0-50-cloud-amd64 (debian-kernel@lists.debian.org)
[    0.912345] Freeing unused kernel image (initmem) memory: 2720K
[    0.934567] Run /init as init process
Loading, please wait...
[    3.100000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100
"""
ABORTS = """\
qemu-system-x86_64: error: failed to set MSR 0x38f to 0x7000000ff
qemu-system-x86_64: kvm.c:3110: kvm_buf_set_msrs: Assertion `ret == cpu->kvm_msr_buf->nmsrs' failed.
"""
STOPS_EARLY = "[    0.000000] Linux version 6.1.0-50-cloud-amd64\n[    0.000000] BIOS-provided physical RAM map:\n"


@pytest.mark.parametrize(
    ("console", "kind"),
    [
        pytest.param(WORKS, "kvm", id="a kernel that reaches its first process"),
        pytest.param(ABORTS, "tcg", id="nested virtualisation, -cpu host"),
        pytest.param("", "tcg", id="nested virtualisation, hangs before the first line"),
        pytest.param(STOPS_EARLY, "tcg", id="hangs while it boots"),
        pytest.param(None, "tcg", id="no /dev/kvm, so no trial"),
    ],
)
def test_what_a_trial_shows(console: str | None, kind: str) -> None:
    assert decide(console).kind == kind


def test_the_trial_ends_by_itself_and_shows_its_console() -> None:
    argv = trial_command(Image(Path("/i"), "k", "6.1", "2.3.2", {}))
    assert "-no-reboot" in argv
    assert argv[argv.index("KILL") + 1] == "qemu-system-x86_64"
    assert argv[argv.index("-accel") + 1] == "kvm"
    assert argv[argv.index("-serial") + 1] == "stdio"


def test_a_trial_ends_with_who_made_it(tmp_path: Path) -> None:
    """A QEMU that hangs, and a process that is killed while it tries it."""
    hanging = tmp_path / "qemu-system-x86_64"
    hanging.write_text(
        f"#!/bin/sh\necho $$ > {tmp_path}/pid.new\nmv {tmp_path}/pid.new {tmp_path}/pid\nread line < {tmp_path}/never\n"
    )
    hanging.chmod(0o755)
    os.mkfifo(tmp_path / "never")
    tries = (
        "from pathlib import Path; from ec2zfs.lab import accelerator; from ec2zfs.lab.image.build import Image; "
        "accelerator._trial(Image(Path('/i'), 'k', '6.1', '2.3.2', {}))"
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    with subprocess.Popen([sys.executable, "-c", tries], env=environment) as trying:
        until((tmp_path / "pid").exists)
        qemu = os.pidfd_open(int((tmp_path / "pid").read_text()))
        trying.kill()
    ended = select.select([qemu], [], [], 5.0)[0]
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(qemu, signal.SIGKILL)
    os.close(qemu)
    assert ended


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the images with which trials were made; every trial succeeds, without a QEMU."""
    made: list[str] = []

    def trial(image: Image) -> str:
        made.append(image.key)
        return WORKS

    monkeypatch.setattr(module, "_trial", trial)
    monkeypatch.setattr(module, "qemu_version", lambda: "QEMU 7.2")
    monkeypatch.setattr(module, "KVM", Path("/dev/null"))
    return made


def test_the_answer_is_remembered_until_the_question_changes(tmp_path: Path, trials: list[str]) -> None:
    first, second = (Image(Path("/i"), key, "6.1", "2.3.2", {}) for key in ("a", "b"))
    assert [accelerator(image, tmp_path).kind for image in (first, first, second)] == ["kvm"] * 3
    assert trials == ["a", "b"]


@pytest.mark.parametrize("left", ["", "{", "[]", json.dumps({"kind": "kvm"})])
def test_a_damaged_memory_is_a_reason_for_a_trial(tmp_path: Path, trials: list[str], left: str) -> None:
    (tmp_path / "accelerator.json").write_text(left)
    assert accelerator(Image(Path("/i"), "a", "6.1", "2.3.2", {}), tmp_path).kind == "kvm"
    assert trials == ["a"]
