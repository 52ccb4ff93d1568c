"""Whether a stream can go directly to a host behind ssh: what stands in the way is told in words."""

from __future__ import annotations

import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.processes import mentioning, soon

from ec2zfs.hosts.host import Host
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.transport.direct import DirectTransport
from ec2zfs.transport.probe import Barrier, barrier

DIRECT = DirectTransport(python=sys.executable)


def test_a_port_that_is_reached_bars_nothing_and_is_free_again(ssh_host: SshHost) -> None:
    seen: list[int] = []

    def reached(_host: Host, port: int) -> tuple[str, int]:
        seen.append(port)
        return "127.0.0.1", port

    free = free_range()
    assert barrier(replace(DIRECT, ports=free, reached=reached), ssh_host, 30) == Barrier()
    assert free[0] <= seen[0] <= free[1]
    assert soon(lambda: not mentioning(b"Shows whether a host can hold an end of the stream"))
    socket.create_server(("127.0.0.1", seen[0])).close()


def test_a_port_that_nobody_can_reach(ssh_host: SshHost) -> None:
    closed = replace(DIRECT, reached=lambda _host, _port: ("127.0.0.1", 1))
    assert barrier(closed, ssh_host).words.endswith("of receiver cannot be reached from here (connection refused)")


def test_a_port_at_which_nobody_answers_and_one_at_which_another_does(ssh_host: SshHost) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        mute = replace(DIRECT, reached=lambda _host, _port: ("127.0.0.1", port))
        assert barrier(mute, ssh_host, 0.3).words.endswith("cannot be reached from here (timed out after 0.3 s)")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        threading.Thread(target=greet, args=(other,)).start()
        assert barrier(mute, ssh_host, 30).words.endswith("(something else answers there)")


def test_no_port_is_free(ssh_host: SshHost) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        assert barrier(replace(DIRECT, ports=(port, port)), ssh_host) == Barrier(
            f"on receiver, no port from {port} to {port} is free"
        )


OTHERS = {
    "an old one": ('{"python": "3.8.10", "cryptography": "2.8", "port": 1, "word": ""}', "has Python 3.8.10, and 3.9"),
    "one that lacks it": ('{"python": "3.11.2", "cryptography": "", "port": 1, "word": ""}', "has no Python package"),
    "one with an old one": (
        '{"python": "3.11.2", "cryptography": "3.4.8", "port": 1, "word": ""}',
        "has the Python package `cryptography` 3.4.8, and 38 is needed",
    ),
    "one that tells something else": ("hello", "does not tell what it has"),
    "one that tells half of it": ('{"python": "3.11.2"}', "does not tell what it has"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_python_that_does_not_serve(ssh_host: SshHost, tmp_path: Path, case: str) -> None:
    told, words = OTHERS[case]
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\necho '{told}'\n")
    python.chmod(0o755)
    found = barrier(replace(DIRECT, python=str(python)), ssh_host)
    assert (words in found.words, found.serves) == (True, "cryptography" in words or "package" in words)


def test_a_host_without_python(ssh_host: SshHost) -> None:
    assert barrier(replace(DIRECT, python="no-such-python"), ssh_host) == Barrier(
        "receiver has no program `no-such-python`", serves=False
    )


def greet(server: socket.socket) -> None:
    with server.accept()[0] as end:
        end.sendall(b"SSH-2.0-another service that answers here\r\n")


def free_range() -> tuple[int, int]:
    """Two ports that were free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        port = int(one.getsockname()[1])
    return port, port + 1
