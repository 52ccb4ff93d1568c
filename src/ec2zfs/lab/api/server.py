"""Serves a local EC2 on a loopback port: moto, corrected, with or without machines. One at a time in a process.

with serve(Settings(times=Times.uniform(0.02))) as local:
    ec2 = boto3.client("ec2", endpoint_url=local.endpoint, region_name=local.settings.region, …)
    local.faults.add(Fault(FaultKind.FAIL, "CreateVolume", code="RequestLimitExceeded", times=3))
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from moto.core.base_backend import BackendDict
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from ec2zfs.lab.api.control import Control
from ec2zfs.lab.api.corrections import images, install_all
from ec2zfs.lab.api.gateway import Gateway
from ec2zfs.lab.api.lifecycle import Lifecycle
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.room import MachineRoom, NoMachines
from ec2zfs.lab.api.settings import Settings

log = logging.getLogger(__name__)

_serving = threading.Lock()


class _Handler(MotoRequestHandler):
    """moto's handler without a line of log for each request."""

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Write errors only."""
        if type == "error":
            log.error(message, *args)


@contextmanager
def serve(settings: Settings | None = None, room: MachineRoom | None = None, port: int = 0) -> Iterator[LocalEc2]:
    """Serve until the `with` block ends; port 0 takes a free one. Everything that was made is forgotten at the end.

    Raises `RuntimeError` when this process serves a local EC2 already: moto's state is one for the whole process.
    """
    if not _serving.acquire(blocking=False):
        raise RuntimeError("This process serves a local EC2 already.")
    local = LocalEc2(settings or Settings(), room or NoMachines())
    try:
        images.hide_others(local)
        BackendDict.reset()
        lifecycle = Lifecycle(local)
        install_all(local, lifecycle)
        with _listening(local, Gateway(local, Control(local, lifecycle)), port):
            yield local
    finally:
        local.transitions.close()
        BackendDict.reset()
        local.patches.undo()
        _serving.release()


@contextmanager
def _listening(local: LocalEc2, gateway: Gateway, port: int) -> Iterator[None]:
    server = make_server("127.0.0.1", port, gateway, threaded=True, request_handler=_Handler)
    local.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="local EC2", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
