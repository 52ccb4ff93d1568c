"""QEMU's command line, as a table: what the machine is, and the words that say so."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ec2zfs.lab.machines.qemu import (
    IDENTITY_BYTES,
    PORTS,
    RELAY,
    TRANSLATED_CPU,
    Accelerator,
    Boot,
    Files,
    Plugged,
    Wiring,
    blockdev,
    command,
    device,
    disk_devices,
    free_port,
    identity,
)
from ec2zfs.lab.machines.warm import NOBODY

BOOT = Boot(Path("/i/vmlinuz"), Path("/i/initrd"), Path("/m/root.qcow2"))
WIRING = Wiring("127.3.4.5", 2222, 9169)
KVM, TCG = Accelerator("kvm"), Accelerator("tcg")
DISK = Plugged("vol0123456789abcdef0", Path("/v/a.raw"), 7)


def argv(accelerator: Accelerator = TCG, files: Files | None = None, wiring: Wiring = WIRING) -> list[str]:
    return command("i-0abc", 2048, accelerator, BOOT, files or Files(Path("/m")), wiring)


def values(words: list[str], option: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == option]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("-name", "guest=i-0abc"),
        ("-m", "2048"),
        ("-accel", "tcg,thread=multi"),
        ("-cpu", TRANSLATED_CPU),
        ("-kernel", "/i/vmlinuz"),
        ("-initrd", "/i/initrd"),
        ("-qmp", "unix:/m/qmp,server=on,wait=off"),
        ("-pidfile", "/m/pid"),
        ("-fw_cfg", "name=opt/ec2zfs/identity,file=/m/identity"),
        ("-chardev", "file,id=console,path=/m/console,append=on"),
    ],
)
def test_a_machine(option: str, value: str) -> None:
    assert values(argv(), option) == [value]


@pytest.mark.parametrize(
    ("accelerator", "words"),
    [(TCG, ["tcg,thread=multi", TRANSLATED_CPU, "1"]), (KVM, ["kvm", "host", "2"])],
)
def test_the_accelerator(accelerator: Accelerator, words: list[str]) -> None:
    assert [values(argv(accelerator), option)[0] for option in ("-accel", "-cpu", "-smp")] == words
    fixed = "norandmaps" in values(argv(accelerator), "-append")[0]
    assert fixed == (accelerator is TCG), "addresses stay random wherever that costs nothing"


def test_a_template_is_good_for_every_copy_of_this_program() -> None:
    words = " ".join(argv(wiring=NOBODY))
    assert "hostfwd=tcp:127.0.0.1:0-" in words
    for mine in (str(RELAY.parent), sys.executable):
        assert mine not in words
        assert mine in " ".join(argv())


@pytest.mark.parametrize(
    "part",
    [
        "restrict=on",
        "hostfwd=tcp:127.3.4.5:2222-169.254.169.15:22",
        "guestfwd=tcp:169.254.169.254:80-cmd:",
    ],
)
def test_a_guest_reaches_the_metadata_service_and_nothing_else(part: str) -> None:
    (network,) = values(argv(), "-netdev")
    assert part in network
    assert network.endswith(" 9169")


def test_the_host_reaches_the_ports_of_streams_and_a_template_has_none() -> None:
    (network,) = values(argv(wiring=replace(WIRING, ports=(28300, 28302))), "-netdev")
    forwarded = [part.partition(":")[2] for part in network.split(",") if part.startswith("hostfwd")]
    assert forwarded == [
        "127.3.4.5:2222-169.254.169.15:22",
        *(f"127.3.4.5:{port}-169.254.169.15:{port}" for port in (28300, 28301, 28302)),
    ]
    assert values(argv(), "-netdev")[0].count("hostfwd") == 1


def test_a_comma_in_a_path_does_not_end_the_option() -> None:
    words = argv(files=Files(Path("/m,x")))
    assert values(words, "-qmp") == ["unix:/m,,x/qmp,server=on,wait=off"]
    assert values(words, "-pidfile") == ["/m,x/pid"]


def test_there_are_ports_for_40_volumes_and_their_replacements() -> None:
    bridges = [value.split(",")[1] for value in values(argv(), "-device") if value.startswith("pci-bridge")]
    devices = [device(replace(DISK, port=port)) for port in range(PORTS)]
    assert len({(each["bus"], each["addr"]) for each in devices}) == PORTS == 64
    assert {f"id={each['bus']}" for each in devices} == set(bridges)


def test_the_hardware_is_the_same_whoever_the_machine_is() -> None:
    one = argv()
    other = command("site", 2048, TCG, BOOT, Files(Path("/m")), WIRING)
    assert [word for word in one if word not in other] == ["guest=i-0abc"]


def test_a_volume_is_known_by_its_serial_and_survives_the_death_of_qemu() -> None:
    words = disk_devices([DISK])
    plugged = json.loads(values(words, "-device")[0])
    assert plugged["serial"] == "vol0123456789abcdef0"
    assert (plugged["bus"], plugged["addr"]) == ("bridge0", "0x8")
    host = blockdev(DISK)
    assert json.loads(values(words, "-blockdev")[0]) == host
    assert host["cache"] == {"direct": False, "no-flush": True}
    assert host["file"] == {
        "driver": "file",
        "filename": "/v/a.raw",
        "discard": "unmap",
        "cache": {"direct": False, "no-flush": True},
    }


@pytest.mark.parametrize(
    ("taken", "free"),
    [([], 0), ([0, 1], 2), ([1], 0), ([0, 2], 1), (list(range(PORTS)), None)],
)
def test_the_next_free_port(taken: list[int], free: int | None) -> None:
    assert free_port([replace(DISK, port=port) for port in taken]) == free


@pytest.mark.parametrize(("name", "seed"), [("", b""), ("i-0123456789abcdef0", bytes(64)), ("site", bytes(64))])
def test_what_a_guest_is_told_has_always_the_same_length(name: str, seed: bytes) -> None:
    told = identity(name, seed, 60.0)
    assert len(told) == IDENTITY_BYTES
    assert json.loads(told)["name"] == name
