"""The lab's background process: the API, the machine room and the site, from `up` until it is told to end.

Started by `laboratory.up` as `python -m ec2zfs.lab.daemon DIRECTORY OPTIONS`; it puts itself into the background. All
its files are in its directory, all its sockets on 127.0.0.0/8. On SIGTERM it ends its machines and removes them. When
its owner ends, whatever way, it does the same and removes its directory too.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

from ec2zfs.lab.configuration import write_configuration
from ec2zfs.lab.description import RECEIVER_USER, LabDescription, SiteAccess, write
from ec2zfs.lab.hypervisor import Hardware, Hypervisor
from ec2zfs.lab.laboratory import clear
from ec2zfs.lab.site import Site, raise_site

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How a lab is to be. `memory_mib`: of each machine; `call_seconds`: the time of every API call; `site`: have one.

    `state_seconds`: the least time of each change of state in EC2; `region`: which one it plays. `owner_pid`: the
    process with which the lab goes down, even when that is killed; None: it stays until it is taken down.
    """

    region: str = "us-east-1"
    memory_mib: int = 2048
    call_seconds: float = 0.0
    state_seconds: float = 0.3
    site: bool = True
    owner_pid: int | None = None


class _Ending:
    """What the daemon waits for: a signal, or the end of its owner, which makes it `orphaned`."""

    def __init__(self) -> None:
        self.told = threading.Event()
        self.orphaned = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._hear)

    def follow(self, owner_pid: int) -> None:
        """Be told when the process ends, or at once when there is none."""
        try:
            # Held from now on, so that nobody who gets the number later is taken for the owner.
            handle = os.pidfd_open(owner_pid)
        except ProcessLookupError:
            self._orphan()
        else:
            threading.Thread(target=self._watch, args=(handle,), name="owner", daemon=True).start()

    def _watch(self, handle: int) -> None:
        ended = select.poll()
        ended.register(handle, select.POLLIN)
        ended.poll()
        self._orphan()

    def _orphan(self) -> None:
        log.info("The owner of this lab has ended")
        self.orphaned = True
        self.told.set()

    def _hear(self, _signal: int, _frame: FrameType | None) -> None:
        self.told.set()


def main(directory: Path, options: Options) -> int:
    """Serve until SIGTERM, SIGINT or the end of the owner; the exit code."""
    ending = _Ending()
    if options.owner_pid is not None:
        ending.follow(options.owner_pid)
    try:
        _stand(directory, options, ending.told)
    finally:
        if ending.orphaned:
            clear(directory)
    return 0


def _stand(directory: Path, options: Options, told_to_end: threading.Event) -> None:
    with ExitStack() as stack:
        room = Hypervisor(directory, Hardware(memory_mib=options.memory_mib))
        stack.callback(room.close)
        crew = stack.enter_context(ThreadPoolExecutor(1))
        site = (
            crew.submit(raise_site, room, directory / "id_ed25519", partial(_say, directory)) if options.site else None
        )
        lab = _serve(stack, room, directory, options)
        if not _awaited(site, told_to_end):
            room.close()
            return
        lab = _described(lab, site.result() if site else None)
        write_configuration(lab)
        write(directory, lab)
        _say(directory, "The lab is up")
        told_to_end.wait()


def _serve(stack: ExitStack, room: Hypervisor, directory: Path, options: Options) -> LabDescription:
    from ec2zfs.lab.api.server import serve
    from ec2zfs.lab.api.settings import Settings, Times

    times = Times.uniform(options.state_seconds)
    settings = Settings(region=options.region, times=times, call_seconds=options.call_seconds)
    local = stack.enter_context(serve(settings, room))
    _say(directory, f"The API answers at {local.endpoint}")
    return LabDescription(
        directory=str(directory),
        pid=os.getpid(),
        endpoint=local.endpoint,
        region=settings.region,
        zone=settings.zones[0],
        image_id=settings.images[0].id,
        identity=str(directory / "id_ed25519"),
        receiver_user=RECEIVER_USER,
        receiver_port=Hardware().ssh_port,
        stream_ports="{}-{}".format(*Hardware().stream_ports),
        site=None,
    )


def _awaited(site: Future[Site] | None, told_to_end: threading.Event) -> bool:
    """Whether the site stands; False when we are to end before."""
    while site and not site.done():
        if told_to_end.wait(0.1):
            return False
    return True


def _described(lab: LabDescription, site: Site | None) -> LabDescription:
    if site is None:
        return lab
    access = SiteAccess(site.address, site.port, site.user, str(site.known_hosts), site.alias)
    return replace(lab, site=access)


def _say(directory: Path, line: str) -> None:
    """Say where we are, to whoever started us."""
    with (directory / "progress").open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def _into_the_background(directory: Path) -> None:
    """Let a child of init carry on; its process id is in daemon.pid before we return to whoever started us."""
    child = os.fork()
    if child:
        draft = directory / "daemon.pid.new"
        draft.write_text(str(child))
        draft.replace(directory / "daemon.pid")
        os._exit(0)
    os.setsid()


if __name__ == "__main__":
    _directory, _options = Path(sys.argv[1]), Options(**json.loads(sys.argv[2]))
    _into_the_background(_directory)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    try:
        sys.exit(main(_directory, _options))
    except Exception:
        log.exception("The lab failed")
        sys.exit(1)
