"""Asks a running lab, and orders faults of it: the lab's own questions beside the API (see `api/control.py`).

Speaks to 127.0.0.1 only; imports nothing of moto.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import asdict
from typing import Any

from ec2zfs.errors import Ec2zfsError
from ec2zfs.lab.faults import Fault, FaultKind

TIMEOUT = 60.0
# Whatever proxy the operator uses, the lab is not behind it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LabRefused(Ec2zfsError):
    """The lab does not do what was asked; the sentence says why."""


class LabClient:
    """The lab at an endpoint, `http://127.0.0.1:PORT`."""

    def __init__(self, endpoint: str) -> None:
        self._base = f"{endpoint.rstrip('/')}/ec2zfs-lab"

    def add(self, fault: Fault) -> None:
        """Let a fault happen from now on."""
        self._ask("POST", "faults", asdict(fault))

    def strike(self, kind: str, instance_id: str, seconds: float | None = None) -> None:
        """Do it to an instance: kill-machine, drop-network, restore-network, interrupt-spot, recommend-rebalance.

        `seconds` is the notice of an interruption; None is 120 s.
        """
        self._ask("POST", "faults", {"kind": kind, "instance_id": instance_id, "seconds": seconds})

    def faults(self) -> list[Fault]:
        """Those that can still happen."""
        return [Fault(**{**entry, "kind": FaultKind(entry["kind"])}) for entry in self._ask("GET", "faults")]

    def clear_faults(self) -> None:
        """Take all of them back."""
        self._ask("DELETE", "faults")

    def counts(self) -> dict[str, int]:
        """How often each action of the API was called."""
        counts: dict[str, int] = self._ask("GET", "calls")["counts"]
        return counts

    def calls(self) -> list[dict[str, Any]]:
        """The log of calls, oldest first: at, service, action, status, seconds, error."""
        log: list[dict[str, Any]] = self._ask("GET", "calls")["log"]
        return log

    def reset_calls(self) -> None:
        """Begin to count anew."""
        self._ask("DELETE", "calls")

    def status(self) -> dict[str, Any]:
        """What there is: `instances` and `volumes`, each a list of objects."""
        status: dict[str, Any] = self._ask("GET", "status")
        return status

    def _ask(self, method: str, path: str, content: object = None) -> Any:  # noqa: ANN401 - JSON
        body = None if content is None else json.dumps(content).encode()
        request = urllib.request.Request(f"{self._base}/{path}", data=body, method=method)  # noqa: S310 - our endpoint
        try:
            with _DIRECT.open(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                reason = json.loads(error.read()).get("error", error.reason)
            raise LabRefused(f"The lab refuses: {reason}.") from None
        except OSError as error:
            raise LabRefused(f"The lab does not answer at {self._base}: {error}.") from error
