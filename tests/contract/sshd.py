"""A real OpenSSH server on loopback, run by the current user, with keys, configuration and home of its own.

And a TCP relay in front of it that can fall silent, as a network does.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.contract.processes import descendants

from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.ssh_options import Liveness, SshTarget

PROGRAM = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ.get("PATH", ""))
ALIAS = "i-0fee1dead0fee1dea"
QUICK = Liveness(connect=4.0, interval=1, unanswered=1)
"""Notices a death within 2 s, so that tests of deaths are short."""

_CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {directory}/host_key
AuthorizedKeysFile {directory}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv LANG LC_*
SetEnv HOME={directory}/home
"""


@dataclass(frozen=True)
class Sshd:
    """A running server; `host_key` is its public key line."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]
    host_key: str

    @staticmethod
    def started(directory: Path) -> Sshd:
        """Make keys and configuration, and wait until it listens."""
        assert PROGRAM is not None
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd demands it of root
        (directory / "home").mkdir()
        port = free_port()
        host_key = ensure_keypair(directory / "host_key")
        (directory / "authorized_keys").write_text(ensure_keypair(directory / "identity") + "\n")
        (directory / "sshd_config").write_text(_CONFIGURATION.format(port=port, directory=directory))
        KnownHosts(directory / "known_hosts").pin(ALIAS, [host_key])
        argv = [PROGRAM, "-D", "-f", str(directory / "sshd_config"), "-E", str(directory / "log")]
        server = Sshd(directory, port, subprocess.Popen(argv, stdin=subprocess.DEVNULL), host_key)
        server._await()
        return server

    def target(self, port: int | None = None) -> SshTarget:
        """How to reach it, here or through a relay at another port."""
        return SshTarget(
            address="127.0.0.1",
            port=port or self.port,
            user=None,
            identity=self.directory / "identity",
            known_hosts=self.directory / "known_hosts",
            alias=ALIAS,
            sudo=False,
            control_directory=self.directory / "control",
        )

    @property
    def logins(self) -> int:
        """How many connections were ever accepted."""
        return (self.directory / "log").read_text().count("Accepted publickey")

    def signal_sessions(self, number: signal.Signals) -> None:
        """Signal the processes of the server that serve connections."""
        for pid, argv in descendants(self.process.pid).items():
            if argv and argv[0].startswith("sshd"):
                os.kill(pid, number)

    def end(self) -> None:
        """End it, and all that it still runs."""
        running = descendants(self.process.pid)
        self.process.terminate()
        self.process.wait(timeout=5)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _await(self) -> None:
        for _ in range(250):
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)) as end:
                assert end.recv(4) == b"SSH-"
                return
            assert self.process.poll() is None, (self.directory / "log").read_text()
            time.sleep(0.02)
        raise AssertionError("sshd does not listen")


def free_port() -> int:
    """A TCP port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Relay:
    """Forwards TCP connections to a port, until it is told to be silent: then all stay open and nothing passes."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._passing = threading.Event()
        self._passing.set()
        self._sockets: list[socket.socket] = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._sockets[0].getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def silence(self) -> None:
        """Let nothing pass from now on."""
        self._passing.clear()

    def close(self) -> None:
        """End all connections."""
        self._passing.set()
        for end in self._sockets:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._sockets[0].accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [near, far]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._forward, args=(source, sink), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._passing.wait()
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
