"""One real machine of the lab, without the API above it: how it starts, what it is reached by, how its disks move."""

from __future__ import annotations

import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.lab.machines import BOOT, until

from ec2zfs.errors import Refused
from ec2zfs.lab.environment import loopback_address
from ec2zfs.lab.machines.machine import Disk, Machine, MachineSpec

MIB = 1024**2
SERIALS = ("vol0aaaaaaaaaaaaaaa1", "vol0aaaaaaaaaaaaaaa2")
USER_DATA = "#!/bin/sh\necho user data ran as $(id -un) on $(hostname)\n"


@dataclass(frozen=True)
class Reached:
    """A machine, and how one logs in: by its key, with the host key that its console showed."""

    machine: Machine
    key: Path
    known: Path

    def ssh(self, command: str, user: str = "root") -> subprocess.CompletedProcess[str]:
        spec = self.machine.spec
        options = {
            "UserKnownHostsFile": str(self.known),
            "HostKeyAlias": spec.name,
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        target = ["-F", "none", "-i", str(self.key), "-p", str(spec.ssh_port), f"{user}@{spec.address}"]
        argv = ["ssh", *words, *target, command]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)

    def printed(self, command: str, user: str = "root") -> str:
        done = self.ssh(command, user)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def answers(self) -> bool:
        return self.ssh("true").returncode == 0


def host_keys(machine: Machine) -> list[str]:
    block = re.search(r"BEGIN SSH HOST KEY KEYS-----\r\n(.*?)-----END SSH HOST KEY", machine.console(), re.DOTALL)
    return [" ".join(line.split()[:2]) for line in block[1].splitlines()] if block else []


@contextmanager
def metadata_server(public_key: str) -> Iterator[int]:
    texts = {
        "/latest/meta-data/local-hostname": "ip-10-0-0-7.ec2.internal",
        "/latest/meta-data/public-keys/0/openssh-key": public_key,
        "/latest/user-data": USER_DATA,
    }

    class Answers(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self._say(200, "t")

        def do_GET(self) -> None:
            known = self.headers["X-aws-ec2-metadata-token"] == "t" and self.path in texts
            self._say(200 if known else 404, texts[self.path] if known else "")

        def _say(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def workspace(image: None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ec2zfs-test-", dir="/var/tmp") as directory:
        yield Path(directory)


@pytest.fixture(scope="module")
def key(workspace: Path) -> Path:
    path = workspace / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def metadata_port(key: Path) -> Iterator[int]:
    with metadata_server(key.with_suffix(".pub").read_text()) as port:
        yield port


def start_fresh(workspace: Path, key: Path, spec: MachineSpec) -> Reached:
    machine = Machine(spec)
    machine.start(fresh=True)
    keys = until(lambda: host_keys(machine), BOOT)
    reached = Reached(machine, key, workspace / f"known-{spec.name}")
    reached.known.write_text("".join(f"{spec.name} {line}\n" for line in keys))
    until(reached.answers, BOOT)
    return reached


@pytest.fixture(scope="module")
def spec(workspace: Path, metadata_port: int) -> MachineSpec:
    return MachineSpec("i-0aaaaaaaaaaaaaaa1", 2048, loopback_address(), 2222, metadata_port, workspace / "one")


@pytest.fixture(scope="module")
def one(workspace: Path, key: Path, spec: MachineSpec) -> Iterator[Reached]:
    try:
        yield start_fresh(workspace, key, spec)
    finally:
        Machine(spec).discard()


@pytest.fixture(scope="module")
def disks(workspace: Path) -> tuple[Disk, ...]:
    made = tuple(Disk(serial, workspace / serial) for serial in SERIALS)
    for disk in made:
        with disk.path.open("wb") as file:
            file.truncate(64 * MIB)
    return made


def sizes(reached: Reached) -> dict[str, int]:
    lines = reached.printed("lsblk -bdno SERIAL,SIZE").splitlines()
    return {words[0]: int(words[1]) for line in lines if len(words := line.split()) == 2}


def test_a_fresh_machine_is_its_instance(one: Reached) -> None:
    assert one.printed("hostname") == "ip-10-0-0-7"
    assert one.printed("sudo -n id -un", user="admin") == "root"
    console = one.machine.console()
    assert 0 <= console.find("user data ran as root on ip-10-0-0-7") < console.find("BEGIN SSH HOST KEY KEYS")
    before = time.time()
    assert before - 3 < int(one.printed("date +%s")) < time.time() + 3


def test_it_has_what_a_receiver_needs(one: Reached) -> None:
    assert one.printed("zfs version | tail -n 1").startswith("zfs-kmod-2.")
    assert one.printed("command -v cryptsetup mbuffer python3 gpg zpool | wc -l") == "5"
    assert (
        one.printed("python3 -c 'import cryptography' && modprobe -n dm_crypt tcp_bbr sch_netem && echo all") == "all"
    )
    assert one.printed("cat /proc/swaps | wc -l") == "1"


def test_the_guest_sees_metadata_and_nothing_else(one: Reached, metadata_port: int) -> None:
    assert one.printed("curl -s -X PUT http://169.254.169.254/latest/api/token") == "t"
    refused = one.ssh(f"curl -s -m 5 http://169.254.169.2:{metadata_port}/")
    assert refused.returncode != 0


def test_two_machines_of_one_image_share_no_secret(one: Reached, workspace: Path, key: Path, spec: MachineSpec) -> None:
    other_spec = replace(spec, name="i-0aaaaaaaaaaaaaaa2", address=loopback_address(), directory=workspace / "two")
    ids = "cat /etc/machine-id; hostid; head -c 32 /dev/urandom | sha256sum"
    try:
        other = start_fresh(workspace, key, other_spec)
        assert not set(host_keys(one.machine)) & set(host_keys(other.machine))
        assert not set(one.printed(ids).splitlines()) & set(other.printed(ids).splitlines())
    finally:
        Machine(other_spec).discard()
    assert not other_spec.directory.exists()


def test_disks_come_grow_and_go(one: Reached, disks: tuple[Disk, ...]) -> None:
    for disk in disks:
        one.machine.attach(disk)
    until(lambda: set(SERIALS) <= set(sizes(one)))
    one.machine.resize(SERIALS[0], 96 * MIB)
    until(lambda: sizes(one)[SERIALS[0]] == 96 * MIB)
    one.machine.detach(SERIALS[0])
    until(lambda: SERIALS[0] not in sizes(one))
    assert one.machine.disks() == (disks[1],)


def test_the_network_drops_and_comes_back(one: Reached) -> None:
    one.machine.connect_network(up=False)
    assert not one.answers()
    one.machine.connect_network(up=True)
    until(one.answers)


def test_a_running_machine_is_opened_by_another_process(one: Reached, spec: MachineSpec) -> None:
    again = Machine.open(spec.directory)
    assert again.spec == spec
    assert again.running()
    with pytest.raises(Refused, match="already running"):
        again.start(fresh=False)


def test_a_reboot_keeps_identity_and_disks(one: Reached) -> None:
    boot_id = "cat /proc/sys/kernel/random/boot_id"
    before = one.printed(boot_id)

    def again() -> bool:
        now = one.ssh(boot_id)  # one login: the next one may already meet the shutdown
        return now.returncode == 0 and now.stdout.strip() != before

    one.machine.reboot()
    until(again, BOOT)
    assert SERIALS[1] in sizes(one)
    assert one.machine.console().count("BEGIN SSH HOST KEY KEYS") == 1
    assert one.machine.console().count("user data ran") == 1


def test_power_off_ends_it_and_a_cold_start_keeps_its_disks(one: Reached) -> None:
    one.printed("echo kept > /root/kept")
    one.machine.power_off()
    until(lambda: not one.machine.running(), 120)
    one.machine.start(fresh=False)
    until(one.answers, BOOT)
    assert one.printed("cat /root/kept") == "kept"
    assert SERIALS[1] in sizes(one)


def test_a_machine_dies_at_once(one: Reached) -> None:
    began = time.monotonic()
    one.machine.kill()
    assert not one.machine.running()
    assert time.monotonic() - began < 5
