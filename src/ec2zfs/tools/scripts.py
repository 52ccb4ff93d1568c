"""Our own shell scripts (the .sh files beside this): each does its work on a host in one execution.

Every script begins with devices.sh. One at a time works on a pool: the far end of a controller that was killed goes on
for a while, and whoever comes next waits for it, by a lock that the kernel frees with the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ec2zfs.errors import AlreadyRunning, CommandFailed, CommandTimeout
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.hosts.secret import Secret

BUSY = 75
"""Exit code: another script still worked on the pool when the patience had passed."""

PATIENCE_SECONDS = 180
WORK_SECONDS = 600


@cache
def script(name: str) -> str:
    """The text of a script, with the functions that it builds on."""
    folder = files("ec2zfs.tools")
    return (folder / "devices.sh").read_text("utf-8") + (folder / f"{name}.sh").read_text("utf-8")


@dataclass(frozen=True)
class Script:
    """A script to be run on a pool. `accept` lists the exit codes of its own that the caller explains."""

    name: str
    pool: str
    arguments: tuple[str, ...] = ()
    stdin: Secret | None = None
    accept: frozenset[int] = frozenset()

    @property
    def command(self) -> Command:
        """The command: it waits while another works on the pool, and ends with BUSY when that takes too long."""
        lock = f"/run/lock/ec2zfs-{self.pool}"
        wait = ("flock", "--close", "--wait", str(PATIENCE_SECONDS), "--conflict-exit-code", str(BUSY), lock)
        argv = (*wait, "sh", "-c", script(self.name), f"ec2zfs-{self.name}", self.pool, *self.arguments)
        return Command(argv, self.stdin, timeout=PATIENCE_SECONDS + WORK_SECONDS, accept=self.accept | {0, BUSY})

    def run(self, host: Host) -> Result:
        """Run it in one execution. Raises as `Host.run` does, and `AlreadyRunning` when the pool stays taken."""
        try:
            result = host.run(self.command)
        except CommandTimeout:
            raise
        except CommandFailed as error:
            words = (f"{self.name}.sh", self.pool)
            raise CommandFailed(host.name, words, error.status, error.stderr, hint=error.hint) from error
        if result.status == BUSY:
            raise AlreadyRunning(
                f"On {host.name} another command still works on pool {self.pool}, for more than {PATIENCE_SECONDS} s.",
                hint="Wait until it has ended (`ps` there shows it as ec2zfs-…), and run again.",
            )
        return result
