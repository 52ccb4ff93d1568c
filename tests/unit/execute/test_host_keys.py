from __future__ import annotations

import base64
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.instances import FakeInstances, console_with

from ec2zfs.cloud.patience import Patience
from ec2zfs.errors import HostError, HostKeyChanged
from ec2zfs.execute.host_keys import HostKeys, console_keys
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.model.instance import Instance, InstanceState, Market


def key(kind: str, *fields: bytes) -> str:
    blob = b"".join(struct.pack(">I", len(part)) + part for part in (kind.encode(), *fields))
    return f"{kind} {base64.b64encode(blob).decode()}"


ED25519 = key("ssh-ed25519", b"\x01" * 32)
OTHER = key("ssh-ed25519", b"\x02" * 32)
ECDSA = key("ecdsa-sha2-nistp256", b"nistp256", b"\x04" + b"\x03" * 64)
RSA = key("ssh-rsa", b"\x01\x00\x01", b"\x05" * 257)
BEGIN, END = "-----BEGIN SSH HOST KEY KEYS-----", "-----END SSH HOST KEY KEYS-----"

CONSOLES = {
    "nothing yet": ("", ()),
    "boot messages": ("[    0.1] Linux version 6.1\nlogin:", ()),
    "fingerprints are no keys": (
        f"{BEGIN.replace('KEYS', 'FINGERPRINTS')}\n256 SHA256:x root@h\n{END.replace('KEYS', 'FINGERPRINTS')}",
        (),
    ),
    "block": (console_with(ECDSA, ED25519, RSA), (ED25519,)),
    "block without ed25519": (console_with(ECDSA, RSA), (ECDSA, RSA)),
    "block that has not ended": (f"{BEGIN}\n{ED25519} root@h\n", ()),
    "prefixed lines": (f"ci-info: {BEGIN}\nci-info: {ED25519} root@h\nci-info: {END}", (ED25519,)),
    "line broken by the kernel": (f"{BEGIN}\n{ED25519[:60]}\n[   31.2] random: crng init done\n{END}", ()),
    "one line of two broken": (f"{BEGIN}\n{ED25519[:60]}[ 31.2] x\n{ECDSA} r@h\n{END}", (ECDSA,)),
    "the same block twice": (console_with(ED25519) + console_with(ED25519), (ED25519,)),
    "a key outside of the block": (f"{OTHER} root@h\n{console_with(ED25519)}\n{OTHER} root@h", (ED25519,)),
    "a key of one type named as another": (f"{BEGIN}\nssh-ed25519 {ECDSA.split()[1]} r@h\n{END}", ()),
}


@pytest.mark.parametrize("case", CONSOLES)
def test_console_keys(case: str) -> None:
    console, keys = CONSOLES[case]
    assert console_keys(console) == keys


def test_two_different_blocks_are_nobodys_keys() -> None:
    with pytest.raises(HostKeyChanged, match="two different sets"):
        console_keys(console_with(ED25519) + console_with(OTHER))


def an_instance(host_key: str = "") -> Instance:
    launched = datetime(2026, 11, 23, tzinfo=UTC)
    return Instance(
        "i-1", "cloud", "m7g.medium", "us-east-1a", InstanceState.RUNNING, Market.SPOT, "", host_key, launched
    )


# pinned before, tag before, what the console shows at each look; pinned after, tag after, looks at the console
LESSONS: dict[str, tuple[str, str, list[str], str, str, int]] = {
    "first boot": ("", "", [console_with(ED25519)], ED25519, ED25519, 1),
    "first boot, slow": ("", "", ["", "boot", console_with(ED25519)], ED25519, ED25519, 3),
    "pinned and tagged": (ED25519, ED25519, ["nothing"], ED25519, ED25519, 0),
    "killed between pin and tag": (ED25519, "", ["nothing"], ED25519, ED25519, 0),
    "lost state directory": ("", ED25519, ["nothing"], ED25519, ED25519, 1),
    "lost state directory, first boot still shown": ("", ED25519, [console_with(ED25519)], ED25519, ED25519, 1),
    "a key too long for a tag": ("", "", [console_with(RSA)], RSA, "", 1),
}


@pytest.mark.parametrize("case", LESSONS)
def test_learn(case: str, tmp_path: Path) -> None:
    pinned, tag, shown, pinned_after, tag_after, looks = LESSONS[case]
    known_hosts = KnownHosts(tmp_path / "known_hosts")
    if pinned:
        known_hosts.pin("i-1", [pinned])
    ec2 = FakeInstances(consoles={"i-1": shown})
    ec2.add(an_instance(tag))
    HostKeys(ec2, known_hosts, Patience(0.001), 5).learn(ec2.all["i-1"], Silent())
    assert known_hosts.keys("i-1") == (pinned_after,)
    assert ec2.all["i-1"].host_key == tag_after
    assert ec2.calls.count("console i-1") == looks


def test_a_changed_tag_is_refused_and_the_pin_stays(tmp_path: Path) -> None:
    known_hosts = KnownHosts(tmp_path / "known_hosts")
    known_hosts.pin("i-1", [ED25519])
    ec2 = FakeInstances()
    with pytest.raises(HostKeyChanged, match="tag of i-1 tells another ssh host key"):
        HostKeys(ec2, known_hosts, Patience(0.001), 5).learn(an_instance(OTHER), Silent())
    assert known_hosts.keys("i-1") == (ED25519,)


def test_a_tag_that_the_console_contradicts_is_refused_and_nothing_is_pinned(tmp_path: Path) -> None:
    known_hosts = KnownHosts(tmp_path / "known_hosts")
    ec2 = FakeInstances(consoles={"i-1": [console_with(ED25519)]})
    with pytest.raises(HostKeyChanged, match="tag of i-1 tells another ssh host key than its console shows"):
        HostKeys(ec2, known_hosts, Patience(0.001), 5).learn(an_instance(OTHER), Silent())
    assert known_hosts.keys("i-1") == ()


def test_a_console_that_never_shows_a_key(tmp_path: Path) -> None:
    known_hosts = KnownHosts(tmp_path / "known_hosts")
    ec2 = FakeInstances(consoles={"i-1": ["login:"]})
    with pytest.raises(HostError) as error:
        HostKeys(ec2, known_hosts, Patience(0.001), 0.01).learn(an_instance(), Silent())
    assert "The console of i-1 showed no ssh host keys within 0.01 s" in str(error.value)
    assert known_hosts.keys("i-1") == ()
