"""Keeps a receiver alive for exactly as long as its controller works: a thread that puts the machine's own end off.

When the controller dies, its network fails or the block ends, nobody extends the timer and the machine powers itself
off within the time (fact 18). It never keeps a machine up after its block, and its own failures end no work: when the
machine cannot be reached, whatever is at work on it notices that by itself.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from ec2zfs.errors import Ec2zfsError
from ec2zfs.execute.progress import Progress, Silent
from ec2zfs.hosts.host import Host
from ec2zfs.tools.systemd import power_off_after

_RETRY_SECONDS = 10.0
_FAREWELL_SECONDS = 5.0


class DeadMan:
    """`with DeadMan(host, minutes):` the machine powers off `minutes` after the last sign of us."""

    def __init__(self, host: Host, minutes: float, progress: Progress | None = None) -> None:
        self._host = host
        self._seconds = max(round(minutes * 60), 1)
        self._progress = progress or Silent()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_extending, name="dead-man", daemon=True)

    def __enter__(self) -> Self:
        """Arm it. Raises what the machine says when it cannot be armed."""
        power_off_after(self._host, self._seconds)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Extend no more. The timer stays; before it ends the machine is stopped, or extended by another."""
        self._ended.set()
        self._thread.join(_FAREWELL_SECONDS)

    def _keep_extending(self) -> None:
        pause = regular = self._seconds / 3
        while not self._ended.wait(pause):
            try:
                power_off_after(self._host, self._seconds)
            except Ec2zfsError as error:
                if pause == regular:
                    self._progress.say(f"{self._host.name} will power itself off unless it answers again: {error}")
                pause = min(regular, _RETRY_SECONDS)
            else:
                pause = regular
