"""The hosts that the contract suites run over, and keys of gpg."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.contract.encryption_keys import Gnupg
from tests.contract.sshd import PROGRAM, QUICK, Relay, Sshd

from ec2zfs.hosts.ssh import SshHost


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real OpenSSH server on loopback."""
    yield from _served(tmp_path_factory)


@pytest.fixture(scope="session")
def doomed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """Another one, whose processes may be stopped and killed."""
    yield from _served(tmp_path_factory)


def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    if PROGRAM is None:
        pytest.skip("sshd is not installed (Debian: apt install openssh-server)")
    server = Sshd.started(tmp_path_factory.mktemp("sshd"))
    yield server
    server.end()


@pytest.fixture(scope="session")
def ssh_host(sshd: Sshd) -> Iterator[SshHost]:
    """A host behind ssh, with one connection for all tests that do not break it."""
    with SshHost("receiver", sshd.target()) as host:
        yield host


@pytest.fixture
def relay(doomed: Sshd) -> Iterator[Relay]:
    """A way to that server that can fall silent."""
    way = Relay(doomed.port)
    yield way
    way.close()


@pytest.fixture
def relayed(doomed: Sshd, relay: Relay) -> Iterator[SshHost]:
    """A host behind that way, whose death is noticed soon."""
    with SshHost("receiver", doomed.target(relay.port), QUICK) as host:
        yield host


@pytest.fixture(scope="session")
def gnupg() -> Iterator[Gnupg]:
    """Keys of gpg, in a directory whose name is short enough for a socket."""
    made = Gnupg.made(Path("/tmp") / f"ec2zfs-keys-{os.getpid()}")
    yield made
    made.end()
