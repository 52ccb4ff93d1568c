"""The proved connections of an end: how they come, how many are alive, and what is done when one is lost.

`Listening` takes them in, `Connecting` opens as many as are wanted and replaces those that are lost.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from ec2zfs.transport.far.carrier import Carrier
from ec2zfs.transport.far.connection import Connection, prepare
from ec2zfs.transport.far.events import Events
from ec2zfs.transport.far.frames import FrameError, Kind
from ec2zfs.transport.far.handshake import Departed, Handshake, Stranger
from ec2zfs.transport.far.orders import Orders

_PROOF_SECONDS = 5.0
_CARRIED_SECONDS = 30.0
"""Where a program (ssh) opens a connection, it has so long for all of it: four logins at once are much for a small
machine. At the end that listens such connections come from loopback.
"""
_UNPROVED = 8
"""So many connections may be about to prove themselves; the oldest makes way for another."""
_AT_A_TIME = 4
"""So many connections are opened side by side, as each takes some round trips: fewer than may prove themselves."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 3.0
_PARTING_SECONDS = 2.0


class Links:
    """`serve` reads from a connection until that is lost, in a thread of its own, and raises what ended it; it returns
    when the other side has parted from us.
    """

    def __init__(self, orders: Orders, events: Events, serve: Callable[[Connection], None]) -> None:
        self._orders = orders
        self._keys = orders.keys
        self._events = events
        self._serve = serve
        self._changed = threading.Condition()
        self._alive: list[Connection] = []
        self._retransmitted = 0
        self._seen = time.monotonic()
        self.ever = False
        self.closed = False

    @property
    def handshake(self) -> Handshake:
        """How a connection proves itself."""
        carried = self._orders.through or (self._orders.listens and self._orders.address == "127.0.0.1")
        return Handshake(self._keys.proof, _CARRIED_SECONDS if carried else _PROOF_SECONDS)

    @property
    def alive(self) -> list[Connection]:
        """The connections that are up now."""
        with self._changed:
            return list(self._alive)

    @property
    def lonely(self) -> float:
        """For how many seconds there has been no connection."""
        with self._changed:
            return 0.0 if self._alive else time.monotonic() - self._seen

    @property
    def retransmitted(self) -> int:
        """TCP segments that were sent again, on all connections that there were."""
        with self._changed:
            return self._retransmitted + sum(connection.retransmitted for connection in self._alive)

    def adopt(self, end: socket.socket, nonces: bytes, peer: str) -> None:
        """Serve a connection that has proved itself."""
        orders = self._orders
        connection = Connection(
            end, self._keys.control(nonces), sends=orders.sends, frame=orders.frame, silence=orders.silence
        )
        with self._changed:
            if self.closed:
                connection.release()
                return
            self._alive.append(connection)
            self.ever = True
            self._changed.notify_all()
        start(self._served, connection, peer)

    def _served(self, connection: Connection, peer: str) -> None:
        why = ""
        try:
            self._serve(connection)
        except (OSError, FrameError) as error:
            why = str(error)
        finally:
            connection.close()
            with self._changed:
                self._retransmitted += connection.retransmitted
                self._alive.remove(connection)
                self._seen = time.monotonic()
                self._changed.notify_all()
            connection.release()
        if why and not self.closed:
            self._events.tell("lost", peer=peer, why=why)

    def refused(self, peer: str, why: Exception) -> None:
        """Tell of somebody who did not prove itself."""
        if not self.closed:
            event = "departed" if isinstance(why, Departed) else "refused"
            self._events.tell(event, peer=peer, why=str(why) or type(why).__name__)

    def await_fewer(self, wanted: int, seconds: float) -> bool:
        """Wait until there are fewer connections than wanted; whether there are."""
        with self._changed:
            return self._changed.wait_for(lambda: self.closed or len(self._alive) < wanted, seconds)

    def await_first(self, seconds: float) -> None:
        """Wait for a connection, but no longer."""
        with self._changed:
            self._changed.wait_for(lambda: self.ever, seconds)

    def tell(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a control frame on every connection; one that is lost learns of it by reading."""
        for connection in self.alive:
            with contextlib.suppress(OSError):
                connection.tell(kind, payload)

    def part(self, kind: Kind, payload: bytes = b"") -> None:
        """Send a last control frame on every connection, and end them when the other side has, or soon."""
        self.closed = True
        partings = [start(connection.part, kind, payload) for connection in self.alive]
        for parting in partings:
            parting.join(_PARTING_SECONDS)
        with self._changed:
            self._changed.wait_for(lambda: not self._alive, _PARTING_SECONDS)

    def close(self) -> None:
        """End all connections, and take in no more."""
        self.closed = True
        for connection in self.alive:
            connection.close()


class Listening:
    """Takes in whoever proves itself on the first free port of a range. Raises OSError when there is none."""

    def __init__(self, links: Links, orders: Orders) -> None:
        self._links = links
        self._congestion = orders.congestion
        self._server = _listening(orders.address, orders.ports)
        self._unproved: deque[socket.socket] = deque()
        start(self._accept)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.getsockname()[1])

    def close(self) -> None:
        """Listen no more, once the links are closed."""
        with contextlib.suppress(OSError):  # it is closed already
            self._server.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with self._server:
            while not self._links.closed:
                self._welcome()

    def _welcome(self) -> None:
        try:
            end, address = self._server.accept()
        except OSError:
            time.sleep(_FIRST_PAUSE)  # a client that went at once, or no descriptors are left
            return
        self._unproved.append(end)
        if len(self._unproved) > _UNPROVED:
            with contextlib.suppress(OSError):
                self._unproved.popleft().shutdown(socket.SHUT_RDWR)
        start(self._prove, end, f"{address[0]} port {address[1]}")

    def _prove(self, end: socket.socket, peer: str) -> None:
        try:
            prepare(end, self._congestion)
            nonces = self._links.handshake.as_listener(end)
        except (OSError, Stranger) as error:
            self._links.refused(peer, error)
            end.close()
        else:
            self._links.adopt(end, nonces, peer)
        finally:
            with contextlib.suppress(ValueError):
                self._unproved.remove(end)


def _listening(address: str, ports: tuple[int, int]) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for port in range(ports[0], ports[1] + 1):
        with contextlib.suppress(OSError):
            return socket.create_server((address, port), family=family, backlog=64)
    raise OSError(f"it cannot listen on {address} at any port from {ports[0]} to {ports[1]}")


class Connecting:
    """Keeps as many connections up as `wanted` says, until the links are closed."""

    def __init__(self, links: Links, orders: Orders, wanted: Callable[[], int]) -> None:
        self._links = links
        self._peer = (orders.address, orders.ports[0])
        self._congestion = orders.congestion
        self._through = orders.through
        self._carriers: list[Carrier] = []
        self._wanted = wanted
        self.trouble = ""
        self.failures = 0
        start(self._keep)

    def _keep(self) -> None:
        pause = _FIRST_PAUSE
        while not self._links.closed:
            if not self._links.await_fewer(self._wanted(), 1.0):
                continue
            before = self.failures
            missing = self._wanted() - len(self._links.alive)
            opening = [start(self._open) for _ in range(min(missing, _AT_A_TIME))]
            for one in opening:
                one.join()
            if self.failures == before:
                pause = _FIRST_PAUSE
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _open(self) -> None:
        if self._through:
            self._carry()
        else:
            self._reach()

    def _carry(self) -> None:
        carrier = Carrier(self._through)
        name = f"{self._through[0]} process {carrier.process}"
        try:
            nonces = self._links.handshake.as_connector(carrier.end)
        except (OSError, Stranger) as error:
            said = carrier.given_up()
            self._failed(f"a connection by {self._through[0]} failed: {said or error}")
        else:
            self._carriers.append(carrier)
            self._links.adopt(carrier.end, nonces, name)

    def _reach(self) -> None:
        name = f"{self._peer[0]} port {self._peer[1]}"
        try:
            end = socket.create_connection(self._peer, _PROOF_SECONDS)
        except OSError as error:
            self._failed(f"{name} cannot be reached: {error}")
            return
        try:
            prepare(end, self._congestion)
            nonces = self._links.handshake.as_connector(end)
        except (OSError, Stranger) as error:
            self._failed(f"{name} was refused: {error}")
            self._links.refused(name, error)
            end.close()
        else:
            self._links.adopt(end, nonces, name)

    def _failed(self, trouble: str) -> None:
        self.trouble = trouble
        self.failures += 1


def start(work: Callable[..., None], *arguments: object) -> threading.Thread:
    """Begin some work in a thread that does not keep the process alive."""
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
