"""The operator of the demonstration: types `ec2zfs` commands as a person would, and keeps all that was printed.

The pool key goes to standard input, which the demonstration's configuration names as its descriptor.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.errors import Ec2zfsError
from ec2zfs.hosts.secret import Secret


class DemonstrationFailed(Ec2zfsError):
    """A command of the demonstration failed, or a proof did not hold."""


@dataclass(frozen=True)
class Operator:
    """Runs commands with `configuration` in `environment`; `say` hears each line, `log` keeps them."""

    configuration: Path
    environment: Mapping[str, str]
    pool_key: Secret
    log: Path
    say: Callable[[str], None]

    def types(self, *words: str) -> str:
        """Run `ec2zfs WORDS` to its end and return what it printed. Raises `DemonstrationFailed` when it fails."""
        self.say(f"$ ec2zfs {' '.join(words)}")
        argv = [sys.executable, "-m", "ec2zfs", "--config", str(self.configuration), *words]
        pipe = subprocess.PIPE
        with (
            self.log.open("a") as log,
            subprocess.Popen(
                argv, stdin=pipe, stdout=pipe, stderr=subprocess.STDOUT, env=self.environment, text=True
            ) as process,
        ):
            if process.stdin is None or process.stdout is None:
                raise AssertionError("Popen was asked for both pipes")
            process.stdin.write(self.pool_key.reveal().decode())
            process.stdin.close()
            lines = [self._heard(line, log.write) for line in process.stdout]
        if process.returncode:
            raise DemonstrationFailed(
                f"`ec2zfs {' '.join(words)}` exited with {process.returncode}.", hint="See above."
            )
        return "".join(lines)

    def _heard(self, line: str, keep: Callable[[str], int]) -> str:
        keep(line)
        self.say(f"  │ {line.rstrip()}")
        return line
