"""A host in a test's imagination: answers argv prefixes as it was told to, and remembers what ran.

    host = FakeHost("receiver")
    host.answers("zpool", "list", stdout="cloud\\n")          # whatever follows these words
    host.answers("zpool", "export", status=1, stderr="busy")
    host.simulates("cat", by=lambda command: Result(0, bytes_of(command), b""))
    host.lacks("zfs"); host.hangs("sleep"); host.dies()
    assert host.argvs == [("zpool", "list", "-H")]

The longest prefix that fits answers; of several answers to one prefix each is given once, and the last for ever. A
command that nobody scripted fails the test. Passes tests/contract/test_hosts.py.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Sequence

from ec2zfs.errors import CommandTimeout, Ec2zfsError, HostError
from ec2zfs.hosts import faults
from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret

Answer = Callable[[Command], Result]

_PLAY = """
import base64, os, sys
while os.read(0, 1 << 20): pass
for number, text in enumerate(sys.argv[1:3], 1): os.write(number, base64.b64decode(text))
sys.exit(int(sys.argv[3]))
"""


def bytes_of(command: Command) -> bytes:
    """What the command would read from its standard input."""
    given = command.stdin
    return given.reveal() if isinstance(given, Secret) else given or b""


class FakeHost:
    """See the module's text."""

    def __init__(self, name: str = "fake") -> None:
        self._name = name
        self._answers: dict[tuple[str, ...], list[Answer]] = {}
        self._dead = False
        self.ran: list[Command] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def argvs(self) -> list[tuple[str, ...]]:
        """The words of all that ran, in order."""
        return [command.argv for command in self.ran]

    def answers(self, *prefix: str, stdout: str | bytes = b"", stderr: str | bytes = b"", status: int = 0) -> None:
        """Answer a command that begins with these words."""
        result = Result(status, _bytes(stdout), _bytes(stderr))
        self.simulates(*prefix, by=lambda _: result)

    def simulates(self, *prefix: str, by: Answer) -> None:
        """Answer by a function, which may also raise."""
        self._answers.setdefault(prefix, []).append(by)

    def lacks(self, program: str) -> None:
        """Have no such program."""
        self.answers(program, status=127, stderr=f"env: '{program}': No such file or directory\n")

    def hangs(self, *prefix: str) -> None:
        """Never end such a command: it runs into its time limit."""

        def hang(command: Command) -> Result:
            assert command.timeout is not None, f"{command.argv} would hang for ever"
            raise CommandTimeout(self.name, command.argv, command.timeout)

        self.simulates(*prefix, by=hang)

    def dies(self) -> None:
        """Not answer any more, whatever runs."""
        self._dead = True

    def run(self, command: Command) -> Result:
        result = self._result(command)
        if result.status not in command.accept:
            raise self.explain(command, result.status, result.stderr)
        return result

    def exec_argv(self, command: Command) -> Sequence[str]:
        """A process that reads its input to the end, and then plays the answer; a simulation sees no input here."""
        result = self._result(command)
        streams = (base64.b64encode(stream).decode() for stream in (result.stdout, result.stderr))
        return (sys.executable, "-I", "-S", "-c", _PLAY, *streams, str(result.status))

    def end(self, argv: Sequence[str]) -> None:
        """Nothing of it runs elsewhere."""

    def explain(self, command: Command, status: int, stderr: bytes) -> Ec2zfsError:
        return faults.explained(self.name, command, status, stderr)

    def _result(self, command: Command) -> Result:
        self.ran.append(command)
        if self._dead:
            raise HostError(f"{self.name} cannot be reached: it is dead.")
        lengths = range(len(command.argv), -1, -1)
        found = next((self._answers[command.argv[:n]] for n in lengths if command.argv[:n] in self._answers), None)
        assert found, f"nobody scripted {command.argv} on {self.name}"
        answer = found.pop(0) if len(found) > 1 else found[0]
        return answer(command)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text
