from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from ec2zfs.errors import Ec2zfsError, HostError, MissingTool, Refused
from ec2zfs.hosts.host import Command, Result
from ec2zfs.tools.receiver_setup import MachineFacts, check, parsed, set_up, user_data

SCRIPT = (files("ec2zfs.tools") / "receiver_setup.sh").read_text()
TOLD = """\
zfs=2.3.2-2~bpo12+2
zpool=/usr/sbin/zpool
cryptsetup=cryptsetup 2.6.1 flags: UDEV BLKID KEYRING KERNEL_CAPI
dm_crypt=/lib/modules/6.1.0-41-cloud-amd64/kernel/drivers/md/dm-crypt.ko
swap=0
memory_kib=3996172
system=Debian GNU/Linux 12 (bookworm)
"""
FACTS = MachineFacts(
    "2.3.2-2~bpo12+2",
    "/usr/sbin/zpool",
    "cryptsetup 2.6.1 flags: UDEV BLKID KEYRING KERNEL_CAPI",
    "/lib/modules/6.1.0-41-cloud-amd64/kernel/drivers/md/dm-crypt.ko",
    0,
    3996172,
    "Debian GNU/Linux 12 (bookworm)",
)


class Machine:
    name = "receiver i-1"

    def __init__(self, status: int, stdout: str = "", stderr: str = "") -> None:
        self.result = Result(status, stdout.encode(), stderr.encode())
        self.ran: list[Command] = []

    def run(self, command: Command) -> Result:
        self.ran.append(command)
        assert self.result.status in command.accept
        return self.result

    def exec_argv(self, command: Command) -> Sequence[str]:
        return command.argv

    def end(self, argv: Sequence[str]) -> None:
        return

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        return HostError("unused")


def test_user_data_is_a_script_with_the_minutes_and_within_ec2_s_limit() -> None:
    script = user_data(45)
    assert re.match(r"#!/bin/sh\n.*systemd-run .*\nset -- 45\n", script)
    assert script.endswith(SCRIPT)
    assert len(script.encode()) < 16 * 1024
    subprocess.run(["sh", "-n"], input=script.encode(), check=True)


def test_user_data_holds_nothing_but_the_script() -> None:
    """Whoever may describe the instance can read it (fact 20): it must be the same for everybody."""
    assert user_data(45) == user_data(46).replace("set -- 46", "set -- 45")
    assert not re.search(r"passw|BEGIN .*KEY|AKIA", SCRIPT)


def test_the_dead_man_is_armed_before_anything_else() -> None:
    main = SCRIPT[SCRIPT.index("exec 9>") :].splitlines()
    assert main[:3] == ["exec 9>/run/ec2zfs-setup.lock", "flock 9", 'set_dead_man "$1"']


def test_set_up_reads_what_the_machine_told() -> None:
    machine = Machine(0, TOLD)
    assert set_up(machine, 30) == FACTS
    (command,) = machine.ran
    assert command.argv == ("sh", "-c", SCRIPT, "ec2zfs-setup", "30")


def test_a_machine_that_cannot_be_set_up() -> None:
    machine = Machine(69, stderr="could not install ZFS and cryptsetup: E: Unable to locate package zfs-dkms\n")
    with pytest.raises(MissingTool, match=r"receiver i-1 cannot be set up as a receiver: .* package zfs-dkms") as error:
        set_up(machine, 30)
    assert "Take a new image" in error.value.hint


def test_told_nothing() -> None:
    assert parsed("Welcome\n") == MachineFacts("", "", "", "", 0, 0, "")


FIT = ["2.2.8-1", "2.2.10", "2.3.0", "2.3.2-2~bpo12+2", "2.4.4", "3.0.0"]
TOO_OLD = ["0.8.6", "2.1.11-1+deb12u1", "2.1.16", "2.2.2-0ubuntu9.1", "2.2.7", "unknown"]


@pytest.mark.parametrize("version", FIT)
def test_zfs_that_is_safe_on_luks(version: str) -> None:
    check("receiver i-1", replace(FACTS, zfs=version))


@pytest.mark.parametrize("version", TOO_OLD)
def test_zfs_that_is_not(version: str) -> None:
    with pytest.raises(Refused, match="can damage a pool on LUKS") as error:
        check("receiver i-1", replace(FACTS, zfs=version))
    assert "Debian 13, Debian 12 with ZFS of its backports, or Ubuntu 26.04" in error.value.hint


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (replace(FACTS, zfs=""), "has no ZFS"),
        (replace(FACTS, zpool=""), "has no ZFS"),
        (replace(FACTS, cryptsetup=""), "has no LUKS"),
        (replace(FACTS, dm_crypt=""), "has no LUKS"),
    ],
)
def test_an_image_without(facts: MachineFacts, words: str) -> None:
    with pytest.raises(MissingTool, match=words):
        check("receiver i-1", facts)


def test_swap_is_refused() -> None:
    with pytest.raises(Refused, match="keys could reach its disk"):
        check("receiver i-1", replace(FACTS, swap=1))


PYTHON, PACKAGE = "/usr/bin/python3", "/usr/lib/python3/dist-packages/cryptography"
# what is there, whether the archive answers; what is run
STREAMS = {
    "all is there": ((PYTHON, PACKAGE), True, []),
    "no package": ((PYTHON,), True, ["update", "install"]),
    "nothing at all": ((), True, ["update", "install"]),
    "an archive that does not answer": ((), False, ["update"]),
}


@pytest.mark.parametrize("case", STREAMS)
def test_what_streams_need_is_installed_if_it_can_be(case: str, tmp_path: Path) -> None:
    there, answers, expected = STREAMS[case]
    for path in there:
        place = tmp_path / path[1:]
        place.parent.mkdir(parents=True, exist_ok=True)
        place.mkdir() if path == PACKAGE else place.touch(0o755)
    function = re.search(r"^ready_for_streams\(\).*?^}", SCRIPT, re.MULTILINE | re.DOTALL)
    assert function
    tools = f"""
        modprobe() {{ return 1; }}
        timeout() {{ echo update; {"true" if answers else "false"}; }}
        apt() {{ echo "$1"; }}
    """
    script = f"set -eu\n{tools}\n{function[0].replace('/usr/', f'{tmp_path}/usr/')}\nready_for_streams || true\n"
    ran = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == expected


# apt's targets (address, suite, component, keyring), code name, version; the sources that are added
ARCHIVES = {
    "Debian 12, plain": (
        "http://m/debian/ bookworm main $(SIGNED_BY)\nhttp://m/debian/ bookworm-updates main $(SIGNED_BY)",
        ("bookworm", "12"),
        [
            "deb http://m/debian/ bookworm contrib",
            "deb http://m/debian/ bookworm-backports main",
            "deb http://m/debian/ bookworm-backports contrib",
        ],
    ),
    "Debian 12 of the cloud, which has backports": (
        "mirror+file:/m bookworm main $(SIGNED_BY)\nmirror+file:/m bookworm-backports main $(SIGNED_BY)",
        ("bookworm", "12"),
        ["deb mirror+file:/m bookworm contrib", "deb mirror+file:/m bookworm-backports contrib"],
    ),
    "Debian 13, whose own ZFS fits": (
        "http://m/debian/ trixie main /usr/share/keyrings/d.pgp",
        ("trixie", "13"),
        ["deb [signed-by=/usr/share/keyrings/d.pgp] http://m/debian/ trixie contrib"],
    ),
    "contrib is there": ("http://m/ trixie main x\nhttp://m/ trixie contrib x", ("trixie", "13"), []),
    "no archive of this Debian": ("http://m/ sid main $(SIGNED_BY)", ("bookworm", "12"), []),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_debian_archives_are_those_of_the_machine(case: str) -> None:
    targets, release, expected = ARCHIVES[case]
    function = re.search(r"^debian_archives\(\).*?^}", SCRIPT, re.MULTILINE | re.DOTALL)
    assert function
    argv = ["sh", "-c", f'{function[0]}\ndebian_archives "$@"', "sh", *release]
    ran = subprocess.run(argv, input=targets, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == expected
