"""The one seam through which every command runs, whether here, over ssh, or in a test's imagination.

`Host` is small on purpose; all implementations pass tests/contract/test_hosts.py. What a command may be is `Command`:
an argv list from birth to exec. Nothing here starts a process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ec2zfs.hosts.secret import Secret


@dataclass(frozen=True)
class Command:
    """One program with its arguments.

    `stdin` is what it reads from its standard input (None: nothing); `timeout` in seconds (None: no limit, for streams
    and long waits that are watched in another way); `accept` lists the exit codes that count as success. A small POSIX
    script runs in one execution as `("sh", "-c", SCRIPT, "ec2zfs", *arguments)`; all words together must stay under
    128 KiB, the kernel's limit for the one string that a far shell is given.
    """

    argv: tuple[str, ...]
    stdin: bytes | Secret | None = None
    timeout: float | None = 60.0
    accept: frozenset[int] = field(default=frozenset({0}))

    @staticmethod
    def of(*argv: str, stdin: bytes | Secret | None = None, timeout: float | None = 60.0) -> Command:
        """Build a command from its words."""
        return Command(argv, stdin, timeout)


@dataclass(frozen=True)
class Result:
    """What a command printed and how it ended."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text (UTF-8; what cannot be decoded is kept as surrogates)."""
        return self.stdout.decode("utf-8", "surrogateescape")

    def lines(self) -> list[str]:
        """Standard output, line by line, without the empty ones."""
        return [line for line in self.text.splitlines() if line]


class Host(Protocol):
    """A machine on which commands run, in the C locale and with the sbin directories in PATH."""

    @property
    def name(self) -> str:
        """What the operator calls it: `site`, `receiver i-0abc…`, `localhost`. Stands in every error."""
        ...

    def run(self, command: Command) -> Result:
        """Run to the end and return what it printed.

        Raises `CommandFailed` on an exit code that is not accepted (a signal n is -n here and 128+n over ssh),
        `CommandTimeout` past the limit, `MissingTool` when the program does not exist there, `HostError` when the host
        cannot be reached or goes silent (within 15 s), and `HostKeyChanged` when it shows another ssh key than the
        pinned one. On a time limit, Ctrl-C or `Halted` (hosts/halting.py) the command is ended on its host, with its
        children.
        """
        ...

    def exec_argv(self, command: Command) -> Sequence[str]:
        """The local argv that runs the command on this host (itself here, `ssh … <quoted>` there), for pipelines.

        Each call stands for one execution. Over ssh it opens the shared connection and raises what that raises.
        """
        ...

    def end(self, argv: Sequence[str]) -> None:
        """End on this host what an `exec_argv` started and a signal to the local process does not reach.

        Takes at most some 5 s and raises nothing: a host that cannot be reached has nothing of ours that we could end.
        """
        ...

    def explain(self, command: Command, status: int, stderr: bytes) -> Exception:
        """The error that a failure of the command on this host means (used by pipelines to name the culprit)."""
        ...


@dataclass(frozen=True)
class Stage:
    """A command and the host on which it stands in a pipeline.

    `descriptor`: one of ours, from 3 on, that the command reads when it is the first, or writes when it is the last; on
    this machine only. The caller closes it.
    """

    host: Host
    command: Command
    descriptor: int | None = None
