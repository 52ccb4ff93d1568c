"""A day with staging, on the file server itself: encrypted there, copied to the cloud, and restored from it when the
staging pool is lost.

The program runs on the lab's site; what it reaches of the cloud, it reaches through ssh: the API, and each receiver
under its own address as soon as there is one.
"""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from tests.lab.installed import CLOUD, Installed, install
from tests.lab.machines import answers, printed, until
from tests.lab.zfs_ends import ATTRIBUTES, AWKWARD, TREE_DIGEST, reached

from ec2zfs.cloud.tags import ROLE_RECEIVER, filtered, of_pool
from ec2zfs.hosts.host import Command, Host
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.login import login_argv

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

POOL = "sealed"
SOURCE = "tank/sealed"
VAULT = "staging/vault"
STATE = "/root/staged-day"
MARKER = "a sentence that leaves the site in no form"
ADMIT = """\
echo 'GatewayPorts clientspecified' >/etc/ssh/sshd_config.d/reach.conf
systemctl reload ssh
"""
MAKE = """\
set -eu
mkdir -p -m 700 "$1" /root/.gnupg
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key staging future-default default never
gpg --armor --export staging > "$1/recipient.asc"
zfs create -o acltype=posix "$2"
zfs create -o mountpoint=/mnt/staged-day "$3"
"""
UNMAKE = """\
zfs list -H -o name -t snapshot -r "$2" | while read -r name; do zfs release ec2zfs-staging "$name"; done 2>/dev/null
zfs destroy -r "$2"
zfs destroy -r "$3" 2>/dev/null
rm -rf "$1" /root/.gnupg /etc/ssh/sshd_config.d/reach.conf
"""
FILL = """\
set -eu
cd "$1"
rm hole
head -c 20000000 /dev/urandom > large
i=0; while [ $i -lt 50 ]; do echo "$i: $2" > "note$i"; i=$((i + 1)); done
"""
SENT = """\
zfs send "$1" >/var/tmp/sent
for words in "$2" "$3"; do grep -caF -- "$words" /var/tmp/sent; done
rm /var/tmp/sent
"""
SHOWN = "ls -d /run/ec2zfs-copy.* || true"
SOME_SEAL = 'cut -f 3 "$1"/manifest/000001.seals | sed -n 4p'
"""Of the seals, which are in clear, a ciphertext's digest."""


@contextmanager
def within_reach(lab: LabDescription) -> Iterator[None]:
    """On the site, the lab's API and each receiver have the addresses that they have here, for the time of a block."""
    ways: dict[str, subprocess.Popen[bytes]] = {}
    over = threading.Event()

    def lay(place: str) -> None:
        ssh, _, *rest = login_argv(lab, SITE, ())
        options = ("-o", "ClearAllForwardings=no", "-o", "ExitOnForwardFailure=yes")
        words = [ssh, "-N", *options, "-R", f"{place}:{place}", *rest]
        ways[place] = subprocess.Popen(words, stdin=subprocess.DEVNULL)

    def watch() -> None:
        while not over.wait(1.0):
            for each in LabClient(lab.endpoint).status()["instances"]:
                place = f"{each['address']}:{lab.receiver_port}"
                if each["state"] == "running" and place not in ways:
                    lay(place)

    lay(urlsplit(lab.endpoint).netloc)
    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        for way in ways.values():
            way.kill()
            way.wait()


@dataclass(frozen=True)
class FileServer:
    """The site with the program, which has a pool in the lab's cloud."""

    lab: LabDescription
    host: Host
    ec2zfs: Installed

    def sh(self, script: str, *words: str) -> str:
        return self.host.run(Command.of("sh", "-c", script, "test", *words, timeout=600.0)).text

    def starts(self, *words: str) -> subprocess.Popen[bytes]:
        """Begin a command; its id is in STATE/pid."""
        argv = ("sh", "-c", f'echo $$ >{STATE}/pid; exec "$@"', "test", *self.ec2zfs.command(*words).argv)
        return subprocess.Popen(login_argv(self.lab, SITE, argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


@pytest.fixture
def server(lab: LabDescription, tmp_path: Path) -> Iterator[FileServer]:
    with reached("site", lab, tmp_path) as host:
        environment = [f"{name}={value}" for name, value in lab.environment().items()]
        server = FileServer(lab, host, install(host, CLOUD, environment))
        server.sh(ADMIT)
        server.sh(MAKE, STATE, SOURCE, VAULT)
        for name, text in (
            ("receiver_key", Path(lab.identity).read_text()),
            ("receiver_key.pub", lab.public_key),
            ("pool_key", "the key of this pool alone, long enough"),
        ):
            host.run(Command.of("sh", "-c", f"umask 077; cat >{STATE}/{name}", stdin=f"{text.strip()}\n".encode()))
        server.ec2zfs.configure(settings(lab))
        with within_reach(lab):
            until(lambda: urlsplit(lab.endpoint).netloc in server.sh("ss -Hltn"))
            yield server
            for words in ("instance stop", "volumes detach", f"volumes delete --confirm {POOL}"):
                server.ec2zfs(*words.split())
        server.sh(UNMAKE, STATE, SOURCE, VAULT)


def settings(lab: LabDescription) -> str:
    """A pool of one mirror for one source that is staged, a receiver for a day, and all files in STATE.

    The stream goes by ssh: the accelerated one (test_transport.py) has two ends, which take emulated machines long.
    """
    text = configuration(replace(lab, site=None, directory=STATE, identity=f"{STATE}/receiver_key"))
    for old, new in (
        ('name = "cloud"', f'name = "{POOL}"'),
        ('"raidz1"', '"mirror"'),
        ("vdevs = 2", "vdevs = 1"),
        ("volumes_per_vdev = 3", "volumes_per_vdev = 2"),
        ('"on-demand"', '"spot"'),
        ('"tank/home"', f'"{SOURCE}"'),
        ("[transport]", '[transport]\nmode = "ssh"'),
        ('\n[[source]]\ndataset = "tank/projects"\n', ""),
    ):
        assert old in text
        text = text.replace(old, new)
    return f'{text}\n[staging]\ndataset = "{VAULT}"\nrecipients = ["{STATE}/recipient.asc"]\n'


def running(ec2: EC2Client) -> list[str]:
    """The pool's receivers that are up."""
    ours = [*of_pool(POOL, ROLE_RECEIVER), filtered("instance-state-name", "running")]
    found = ec2.describe_instances(Filters=ours)["Reservations"]
    return [each["InstanceId"] for one in found for each in one["Instances"]]


def shown(lab: LabDescription, machines: Machines, receivers: list[str]) -> bool:
    """Whether a snapshot is shown on a receiver that answers."""
    return any(answers(lab, each) and machines.run(each, "sh", "-c", SHOWN) for each in receivers)


def test_what_left_the_site_is_ciphertext_and_comes_back_without_the_staging_pool(
    server: FileServer, ec2: EC2Client
) -> None:
    server.ec2zfs("pool", "create")
    server.sh(AWKWARD, f"/{SOURCE}")
    server.sh(FILL, f"/{SOURCE}", MARKER)
    events = {each["event"]: each for each in server.ec2zfs("backup")}
    assert isinstance(sent := events["backup_complete"]["bytes_sent"], int)
    assert sent > 20_000_000
    snapshot = server.sh('zfs list -Ht snapshot -o name "$1"', SOURCE).strip().partition("@")[2]

    seal = server.sh(SOME_SEAL, "/mnt/staged-day/tank%sealed").strip()
    server.sh("zfs destroy -r staging/vault/tank")
    cloud = ("--dataset", SOURCE, "--from", "cloud", "--identity", "gpg")
    words = ("restore", "files", *cloud, "--to")
    machines = Machines(server.lab)
    with server.starts(*words, "/tank/killed") as killed:
        until(lambda: shown(server.lab, machines, running(ec2)) or killed.poll() is not None, 900)
        server.sh(f"kill -STOP $(cat {STATE}/pid)")
        (receiver,) = running(ec2)
        copy = f"{POOL}/{VAULT}/{SOURCE}@{snapshot}"
        counts = machines.run(receiver, "sh", "-c", SENT, "test", copy, MARKER, seal).split()
        assert counts[0] == "0", "no plaintext is in the stream"
        assert int(counts[1]) > 0, "what stands in clear is found, so the search proves something"
        server.sh(f"kill -KILL $(cat {STATE}/pid)")
    assert shown(server.lab, machines, [receiver]), "what it mounted is still mounted"
    listed = {each["event"]: each for each in server.ec2zfs("restore", "list", "note1*", *cloud)}
    rows = listed["versions"]["rows"]
    assert isinstance(rows, list)
    assert [row["path"] for row in rows] == ["note1", *(f"note1{number}" for number in range(10))]
    server.ec2zfs("pool", "lock")
    server.ec2zfs("instance", "stop")

    server.ec2zfs(*words, "/tank/restored", "--at", snapshot)
    trees = (f"/{SOURCE}/.zfs/snapshot/{snapshot}", "/tank/restored")
    here, there = (server.sh(TREE_DIGEST, tree, ATTRIBUTES) for tree in trees)
    assert here == there
    assert running(ec2) == [], "the receiver was started for it, and stopped"
    assert printed(server.lab, SITE, "sh", "-c", "ls -d /tank/.ec2zfs-fetched-* | wc -l") == "1\n", "of the killed one"
    server.sh("rm -rf /tank/killed /tank/restored /tank/.ec2zfs-fetched-*")
