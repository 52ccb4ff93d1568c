"""From what was printed to what it means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ec2zfs.errors import CommandFailed, HostError, HostKeyChanged, HostKeyUnknown, MissingTool
from ec2zfs.hosts import faults, ssh_faults
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.ssh_options import Liveness, SshTarget, connection_options

ZFS = Command.of("zfs", "list")
TARGET = SshTarget(
    address="203.0.113.7",
    port=22,
    user="admin",
    identity=Path("/keys/id"),
    known_hosts=Path("/nowhere/known_hosts"),
    alias="i-0abc",
    sudo=True,
    control_directory=Path("/run/ec2zfs"),
)


@pytest.mark.parametrize(
    ("said", "program"),
    [
        ("env: 'zfs': No such file or directory\n", "zfs"),
        ("env: ‘zfs’: No such file or directory\n", "zfs"),
        ("env: can't execute 'zfs': No such file or directory\n", "zfs"),
        ("ec2zfs: 1: exec: zfs: not found\n", "zfs"),
        ("ec2zfs: 12: zpool: not found\n", "zpool"),
        ("ec2zfs: line 12: exec: zfs: not found\n", "zfs"),
        ("ec2zfs: line 12: cryptsetup: command not found\n", "cryptsetup"),
        ("warning: something\nsh: 1: sudo: not found\n", "sudo"),
    ],
)
def test_missing_programs(said: str, program: str) -> None:
    error = faults.explained("receiver", ZFS, 127, said.encode())
    assert isinstance(error, MissingTool)
    assert f"receiver has no program `{program}`" in error.message
    assert "apt install" in error.hint


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (1, "env: 'zfs': No such file or directory"),
        (127, ""),
        (127, "cannot open 'tank': dataset does not exist"),
        (127, "tank: 3: snapshot: not found by me"),
    ],
)
def test_what_is_a_commands_own_failure(status: int, said: str) -> None:
    error = faults.explained("receiver", ZFS, status, said.encode())
    assert isinstance(error, CommandFailed)
    assert (error.status, error.stderr) == (status, said)


@pytest.mark.parametrize("said", ["sudo: a password is required", "sudo: a terminal is required to read the password"])
def test_a_sudo_that_asks(said: str) -> None:
    assert "NOPASSWD" in faults.explained("site", ZFS, 1, said.encode()).hint


def test_bytes_that_are_no_text_are_shown_all_the_same() -> None:
    assert "disk \ufffd" in str(faults.explained("site", ZFS, 1, b"disk \xff"))


CHANGED = "@@@\n@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\n@@@\nHost key verification failed.\n"
UNKNOWN = (
    "No ED25519 host key is known for i-0abc and you have requested strict checking.\nHost key verification failed.\n"
)
PROTECT = "@ WARNING: UNPROTECTED PRIVATE KEY FILE! @\nadmin@203.0.113.7: Permission denied (publickey).\n"


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        (CHANGED, HostKeyChanged, ("receiver", "pinned for i-0abc", "ssh-keygen -f /nowhere/known_hosts -R i-0abc")),
        (UNKNOWN, HostKeyUnknown, ("receiver", "no key for i-0abc", "console")),
        (
            "admin@203.0.113.7: Permission denied (publickey).\n",
            HostError,
            ("/keys/id", "user admin", "authorized_keys"),
        ),
        (PROTECT, HostError, ("others may read it", "chmod 600 /keys/id")),
        ("ssh: connect to host 203.0.113.7 port 22: Connection refused\n", HostError, ("nothing listens", "port 22")),
        (
            "ssh: connect to host 203.0.113.7 port 22: Connection timed out\n",
            HostError,
            ("does not answer", "port open"),
        ),
        ("ssh: connect to host 203.0.113.7 port 22: No route to host\n", HostError, ("does not answer",)),
        ("ssh: Could not resolve hostname nas: Name or service not known\n", HostError, ("no address",)),
        ("Bad owner or permissions on /home/me/.ssh/config\n", HostError, ("its own configuration", "Bad owner")),
        ("Timeout, server 203.0.113.7 not responding.\r\n", HostError, ("stopped answering",)),
        ("Connection to 203.0.113.7 port 22 timed out\r\n", HostError, ("stopped answering",)),
        ("", HostError, ("connection to receiver ended before",)),
        ("something new\n", HostError, ("connection to receiver ended before", "ssh: something new")),
    ],
)
def test_what_ssh_says(said: str, kind: type[HostError], words: tuple[str, ...]) -> None:
    error = ssh_faults.explained("receiver", TARGET, said)
    assert type(error) is kind
    assert [word for word in words if word not in str(error)] == []


def test_a_key_of_a_type_that_is_not_pinned_counts_as_changed(tmp_path: Path) -> None:
    target = replace(TARGET, known_hosts=tmp_path / "known_hosts")
    KnownHosts(target.known_hosts).pin("i-0abc", ["ssh-rsa " + "A" * 60])
    assert isinstance(ssh_faults.explained("receiver", target, UNKNOWN), HostKeyChanged)


def _options(target: SshTarget) -> dict[str, str]:
    words = connection_options(target, Liveness())
    assert words[::2] == ["-o"] * (len(words) // 2)
    return dict(word.split("=", 1) for word in words[1::2])


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("StrictHostKeyChecking", "yes"),
        ("UserKnownHostsFile", '"/nowhere/known_hosts"'),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("HostKeyAlias", "i-0abc"),
        ("UpdateHostKeys", "no"),
        ("VerifyHostKeyDNS", "no"),
        ("BatchMode", "yes"),
        ("PasswordAuthentication", "no"),
        ("KbdInteractiveAuthentication", "no"),
        ("ForwardAgent", "no"),
        ("IdentityFile", '"/keys/id"'),
        ("IdentitiesOnly", "yes"),
        ("Port", "22"),
        ("User", "admin"),
    ],
)
def test_options_that_always_hold(option: str, value: str) -> None:
    assert _options(TARGET)[option] == value


def test_what_is_left_to_the_operators_own_configuration() -> None:
    options = _options(replace(TARGET, port=None, user=None, identity=None, alias=""))
    left = {"Port", "User", "IdentityFile", "IdentitiesOnly", "HostKeyAlias", "ProxyJump", "ProxyCommand", "HostName"}
    assert not left & options.keys()
