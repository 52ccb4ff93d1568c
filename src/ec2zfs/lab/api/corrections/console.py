"""GetConsoleOutput shows what the machine printed.

Rule: the last 64 KiB of the serial console, base64; empty before the machine printed anything. With Latest=True it is
what is there now (Nitro), otherwise EC2 may show an older copy: here both are the same. Source: fact 21. moto shows a
canned text.
"""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import partial

from moto.core.responses import ActionResult
from moto.core.types import Base64EncodedString

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed

SHOWN = 64 * 1024


def install(local: LocalEc2) -> None:
    """Ask the machine room."""
    local.on_action("get_console_output", partial(_console, local))


def _console(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    instance = call.backend.get_instance(call.text("InstanceId"))
    printed = local.room.console(instance.id).encode()[-SHOWN:]
    return ActionResult(
        {
            "InstanceId": instance.id,
            "Timestamp": datetime.now(UTC).replace(tzinfo=None),
            "Output": Base64EncodedString(base64.b64encode(printed).decode()) if printed else None,
        }
    )
