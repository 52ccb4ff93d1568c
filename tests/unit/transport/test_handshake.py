"""Who knows the secret proves it both ways; who does not learns nothing that proves anything."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from ec2zfs.transport.far.handshake import GREETING, Handshake, Stranger, proof

KEY = b"k" * 32
OURS = Handshake(KEY, 5.0)

Ends = tuple[socket.socket, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    """The listening end's socket and the other's."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


@pytest.fixture
def listening(ends: Ends) -> Iterator[Future[bytes]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(OURS.as_listener, ends[0])


def test_both_ends_of_a_transfer_agree_on_their_nonces(ends: Ends, listening: Future[bytes]) -> None:
    nonces = OURS.as_connector(ends[1])
    assert listening.result() == nonces
    assert len(nonces) == 64


def test_a_stranger_with_another_secret_is_refused_and_gets_no_proof(ends: Ends, listening: Future[bytes]) -> None:
    greeting = ends[1].recv(40)
    own = bytes(32)
    ends[1].sendall(own + proof(b"o" * 32, b"connecting", greeting[8:] + own))
    with pytest.raises(Stranger, match="does not know the secret"):
        listening.result()
    ends[0].shutdown(socket.SHUT_WR)
    assert ends[1].recv(1) == b""


def test_a_proof_of_another_connection_is_worth_nothing(ends: Ends, listening: Future[bytes]) -> None:
    ends[1].recv(40)
    ends[1].sendall(bytes(32) + proof(KEY, b"connecting", bytes(64)))
    with pytest.raises(Stranger):
        listening.result()


def test_the_connecting_ends_own_proof_sent_back_to_it_is_refused(ends: Ends) -> None:
    with ThreadPoolExecutor(1) as pool:
        connecting = pool.submit(OURS.as_connector, ends[1])
        ends[0].sendall(GREETING + bytes(32))
        ends[0].sendall(ends[0].recv(64)[32:])
        with pytest.raises(Stranger, match="does not know the secret"):
            connecting.result()


@pytest.mark.parametrize(
    ("said", "why"), [(b"SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u7\r\n", "another protocol"), (b"ec2zfs/1", "closed")]
)
def test_what_does_not_greet_is_refused(ends: Ends, said: bytes, why: str) -> None:
    ends[0].sendall(said)
    ends[0].shutdown(socket.SHUT_WR)
    with pytest.raises(Stranger, match=why):
        OURS.as_connector(ends[1])


def test_silence_is_refused_when_the_time_is_over(ends: Ends) -> None:
    with pytest.raises((Stranger, TimeoutError)):
        Handshake(KEY, 0.05).as_listener(ends[0])
