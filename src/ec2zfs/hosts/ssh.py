"""A host behind OpenSSH: all commands share one connection, which is opened when first needed and again after a loss.

Quoting for the far shell happens here, once. What a command's exit code means is never guessed: a program's own 255 is
marked by the far side, so that 255 without the mark is ssh's. Never learns a host key and never asks for anything.
"""

from __future__ import annotations

import contextlib
import shlex
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ec2zfs.errors import CommandTimeout, Ec2zfsError, HostError, HostKeyChanged, HostKeyUnknown
from ec2zfs.hosts import faults, job, ssh_faults
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.process import GRACE_SECONDS, execute
from ec2zfs.hosts.spoken import tell
from ec2zfs.hosts.ssh_master import Master, NotConnected
from ec2zfs.hosts.ssh_options import Liveness, SshTarget, connection_options, quoted_path
from ec2zfs.model.replication import MOST_STREAMS

_SSH_FAILED = 255
_OWN_255 = b"ec2zfs: the command itself exited with 255\n"
_FAR_SHELL = (
    'export "$1" LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"; shift; '
    '(exec "$@"); s=$?; '  # exec takes programs only, never a shell's own printf or kill
    f'[ $s -ne {_SSH_FAILED} ] || echo "{_OWN_255.decode().strip()}" >&2; exit $s'
)
_END_SECONDS = 5.0
_END_OF_CONNECTION_SECONDS = 0.5
_AT_ONCE = 10 - 1 - MOST_STREAMS
"""Commands at a time: sshd allows 10 sessions a connection (MaxSessions), which itself is one; streams are the rest."""


class SshHost:
    """A machine reached by ssh. Safe to use from several threads; `close` it, or use it in a `with`."""

    def __init__(self, name: str, target: SshTarget, liveness: Liveness = Liveness()) -> None:  # noqa: B008 - frozen
        self._name = name
        self.target = target
        self._liveness = liveness
        self._options = connection_options(target, liveness)
        self._master: Master | None = None
        self._connecting = threading.Lock()
        self._refusals: list[str] = []
        self._sessions = threading.BoundedSemaphore(_AT_ONCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """What the operator calls it."""
        return self._name

    def run(self, command: Command) -> Result:
        """Run to the end; see `Host.run`."""
        with self._sessions:
            argv = self.exec_argv(command)
            ending = execute(argv, command.stdin, command.timeout, lambda: self.end(argv))
        if ending.status is None:
            raise self._out_of_time(command)
        if ending.status in command.accept and not _lost(ending.status, ending.stderr):
            return Result(ending.status, ending.stdout, _own(ending.stderr))
        raise self.explain(command, ending.status, ending.stderr)

    def exec_argv(self, command: Command) -> Sequence[str]:
        """The ssh that runs the command over the shared connection, which is opened if need be."""
        tell(self.name, command.argv)
        return self._session(self._connected(), command.argv)

    def login_argv(self) -> Sequence[str]:
        """The ssh that gives the operator a shell with a terminal, on a connection of its own."""
        return ("ssh", "-t", *self._options, "--", self.target.address)

    def apart_argv(self, argv: Sequence[str]) -> Sequence[str]:
        """The ssh that runs the words over a connection of its own, as the user who logs in; the caller ends it."""
        tell(self.name, argv)
        alone = ("-o", "ControlMaster=no", "-o", "ControlPath=none")
        return ("ssh", "-T", *alone, *self._options, "--", self.target.address, shlex.join(argv))

    def end(self, argv: Sequence[str]) -> None:
        """End the far side of an `exec_argv`; when that cannot be done, the connection is given up."""
        master, killing = self._master, self.ending_argv(argv)
        if master is None or killing is None:
            return
        with contextlib.suppress(OSError):
            ended = execute(killing, None, _END_SECONDS, _nothing)
            if ended.status is None or _lost(ended.status, ended.stderr):
                self._drop(master, grace=0)

    def ending_argv(self, argv: Sequence[str]) -> Sequence[str] | None:
        """The ssh that ends the far side of an `exec_argv` over the same connection; None when that is gone."""
        master, killing = self._master, job.ending(argv)
        if master is None or killing is None or not master.alive:
            return None
        return self._session(master, killing)

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        """The error that a failure means: the command's own, or the connection's, which is then given up.

        One that still answers stays: another thread may have opened it anew since, and has streams on it.
        """
        if not _lost(status, stderr):
            return faults.explained(self.name, command, status, _own(stderr))
        master = self._master
        said = stderr.decode("utf-8", "replace")
        if master is not None and master.ended_within(_END_OF_CONNECTION_SECONDS):
            said = master.said() or said
            self._drop(master)
        elif master is not None and not self._answers(master):
            self._drop(master)
        return ssh_faults.explained(self.name, self.target, said)

    def reachable(self) -> bool:
        """Whether a shell answers there now.

        Raises `HostKeyChanged` or `HostKeyUnknown` rather than call a machine unreachable that is not to be trusted.
        """
        try:
            self.run(Command.of("true", timeout=self._liveness.connect))
        except (HostKeyChanged, HostKeyUnknown):
            raise
        except (HostError, CommandTimeout):
            return False
        return True

    def close(self) -> None:
        """End the shared connection, and with it whatever still runs over it. It is opened again when needed."""
        if (master := self._master) is not None:
            self._drop(master)

    def _answers(self, master: Master) -> bool:
        return execute(self._session(master, ("true",)), None, _END_SECONDS, _nothing).status == 0

    def _drop(self, master: Master, grace: float = GRACE_SECONDS) -> None:
        with self._connecting:
            if self._master is master:
                self._master = None
                master.close(grace)

    def _connected(self) -> Master:
        """The connection, opened by one thread for all; its failure is that of all who were waiting for it."""
        known = len(self._refusals)
        with self._connecting:
            if self._master is not None and self._master.alive:
                return self._master
            if len(self._refusals) > known:
                raise ssh_faults.explained(self.name, self.target, self._refusals[-1])
            if self._master is not None:
                self._master.close()
                self._master = None
            self._master = self._connect()
            return self._master

    def _connect(self) -> Master:
        target = self.target
        try:
            return Master.opened(self._options, target.address, target.control_directory, self._liveness.connect)
        except NotConnected as error:
            self._refusals.append(str(error))
            raise ssh_faults.explained(self.name, target, str(error)) from error
        except FileNotFoundError as error:
            raise faults.missing_tool("localhost", "ssh") from error

    def _session(self, master: Master, argv: Sequence[str]) -> tuple[str, ...]:
        mark = job.new_mark()
        words = job.as_root(argv, mark) if self.target.sudo else argv
        far = ("sh", "-c", _FAR_SHELL, "ec2zfs", mark, *words)
        control = ("-o", "ControlMaster=no", "-o", f"ControlPath={quoted_path(master.socket)}")
        return ("ssh", "-T", *control, *self._options, "--", self.target.address, shlex.join(far))

    def _out_of_time(self, command: Command) -> Ec2zfsError:
        master = self._master
        if master is None or not master.alive:
            return HostError(
                f"{self.name} stopped answering while `{command.argv[0]}` ran.",
                hint="Is the machine still up, and the network? Running the command again is safe.",
            )
        return CommandTimeout(self.name, command.argv, command.timeout or 0)


def _lost(status: int, stderr: bytes) -> bool:
    """Whether it was ssh that failed, or was killed, and not the command."""
    return status < 0 or (status == _SSH_FAILED and not stderr.endswith(_OWN_255))


def _own(stderr: bytes) -> bytes:
    return stderr.removesuffix(_OWN_255)


def _nothing() -> None:
    """Nothing more to end."""


def real_address(target: SshTarget) -> str:
    """What the operator's ssh configuration makes of the target's address (`HostName`)."""
    options = connection_options(target, Liveness())
    asked = execute(("ssh", "-G", *options, "--", target.address), None, _END_SECONDS, _nothing)
    told = dict(line.partition(" ")[::2] for line in asked.stdout.decode("utf-8", "replace").splitlines())
    return told.get("hostname", target.address)
