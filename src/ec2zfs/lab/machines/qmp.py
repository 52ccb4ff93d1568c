"""One conversation with a QEMU through its QMP socket: commands and their answers.

QEMU listens to one client at a time, so a conversation is short and its caller holds the machine's lock.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ec2zfs.errors import Ec2zfsError

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

T = TypeVar("T")
PATIENCE = 30.0  # seconds for one answer


class MachineError(Ec2zfsError):
    """A machine of the lab did not do what it was told; the sentence says which and what QEMU answered."""


class Monitor:
    """A conversation, as a context manager. Its methods raise MachineError when QEMU refuses, dies or stays silent."""

    def __init__(self, socket: Path) -> None:
        from qemu.qmp import QMPClient

        self._socket = socket
        self._client = QMPClient(socket.parent.name)
        self._runner = asyncio.Runner()

    def __enter__(self) -> Self:
        try:
            self._run("connect", self._client.connect(str(self._socket)))
        except BaseException:
            self._runner.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from qemu.qmp import QMPError

        try:
            self._runner.run(self._client.disconnect())
        except (QMPError, OSError, EOFError):
            pass  # QEMU ended first; there is nobody left to take leave of
        finally:
            self._runner.close()

    def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - it is JSON
        """Run one command; its answer, as QEMU's schema has it for that command."""
        return self._run(command, self._client.execute(command, dict(arguments or {})))

    def _run(self, what: str, work: Coroutine[Any, Any, T]) -> T:
        from qemu.qmp import QMPError

        try:
            return self._runner.run(asyncio.wait_for(work, PATIENCE))
        except TimeoutError:
            raise MachineError(f"{self._name}: QEMU did not answer within {PATIENCE:g} s ({what}).") from None
        except (QMPError, OSError, EOFError) as error:
            raise MachineError(f"{self._name}: QEMU refused ({what}): {error}") from error

    @property
    def _name(self) -> str:
        return f"The lab's machine {self._socket.parent.name}"
