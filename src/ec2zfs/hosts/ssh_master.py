"""The shared ssh connection to one host: one process of ours, whose life is bound to this program's.

It runs `cat` on the far side with a pipe of ours as input: when this program ends, in whatever way, the pipe closes,
`cat` ends, and so does the connection. Its socket has a fresh random name, so that no stale master, of an earlier
address of the same machine say, can ever be met. Never asks, never reconnects by itself.
"""

from __future__ import annotations

import os
import secrets
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ec2zfs.hosts import process
from ec2zfs.hosts.halting import TICK_SECONDS, heed
from ec2zfs.hosts.ssh_options import quoted_path

_READY = b"ec2zfs-ready\n"
_FAR_SIDE = "echo ec2zfs-ready; exec cat >/dev/null"
_SOCKET_PATH_LIMIT = 108 - 1 - 17
"""The kernel's limit for a socket's path, less the suffix under which ssh first makes it."""


class NotConnected(Exception):
    """ssh did not come to a shell on the far side; the text is what it said."""


class Master:
    """An open connection, safe to use from several threads. `socket` is what ssh's ControlPath is to be."""

    def __init__(self, ssh: process.Process, socket: Path, said: IO[bytes]) -> None:
        self._ssh = ssh
        self._said = said
        self._reading = threading.Lock()
        self._last_words = ""
        self.socket = socket

    @staticmethod
    def opened(options: Sequence[str], address: str, directory: Path, seconds: float) -> Master:
        """Connect and wait for a shell. Raises `NotConnected` when ssh ends before, or `seconds` pass."""
        socket = _socket(directory)
        said = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the connection
        control = ("-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-o", f"ControlPath={quoted_path(socket)}")
        # At the level ERROR ssh does not say that a server no longer responds.
        argv = ("ssh", "-T", "-o", "LogLevel=INFO", *control, *options, "--", address, _FAR_SIDE)
        try:
            ssh = process.start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        except BaseException:
            said.close()
            raise
        master = Master(ssh, socket, said)
        try:
            master._await_shell(seconds)
        except BaseException:
            master.close()
            raise
        return master

    @property
    def alive(self) -> bool:
        """Whether the connection still stands, as far as ssh knows."""
        return self._ssh.poll() is None

    def ended_within(self, seconds: float) -> bool:
        """Whether the connection has ended, or does so now: its sessions hear of it a moment earlier than we."""
        return process.reap(self._ssh, seconds)

    def said(self) -> str:
        """What ssh printed so far: the reason, once it has ended."""
        with self._reading:
            if not self._said.closed:
                self._last_words = os.pread(self._said.fileno(), 16384, 0).decode("utf-8", "replace")
            return self._last_words

    def close(self, grace: float = process.GRACE_SECONDS) -> None:
        """End the connection: politely, and after `grace` seconds in earnest."""
        process.kill(self._ssh, signal.SIGTERM)
        if not process.reap(self._ssh, grace):
            process.kill(self._ssh, signal.SIGKILL)
            process.reap(self._ssh, process.GRACE_SECONDS)
        process.close(self._ssh)
        self.said()
        with self._reading:
            self._said.close()
        self.socket.unlink(missing_ok=True)

    def _await_shell(self, seconds: float) -> None:
        assert self._ssh.stdout is not None  # noqa: S101 - we made it a pipe
        answer = select.poll()
        answer.register(self._ssh.stdout, select.POLLIN)
        heard = b""
        deadline = time.monotonic() + seconds
        while len(heard) < len(_READY):
            heed()
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotConnected(f"{self.said()}Connection timed out after {seconds:g} s")
            if not answer.poll(min(left, TICK_SECONDS) * 1000):
                continue
            part = os.read(self._ssh.stdout.fileno(), 4096)
            if not part:
                process.reap(self._ssh, process.GRACE_SECONDS)
                raise NotConnected(self.said())
            heard += part
        if heard != _READY:
            raise NotConnected(f"the shell's start-up files print text, which would spoil data: {heard[:100]!r}")


def _socket(directory: Path) -> Path:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = f"ec2zfs-{secrets.token_hex(8)}"
    path = directory / name
    if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
        return path
    # Elsewhere is as safe: nobody can guess the name, and ssh serves a socket's owner only.
    return Path(tempfile.gettempdir()) / name
