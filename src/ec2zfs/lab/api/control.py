"""The lab's own questions and orders, beside the API: faults, calls, what there is. Answers JSON.

GET, POST, DELETE `/ec2zfs-lab/faults`; GET, DELETE `/ec2zfs-lab/calls`; GET `/ec2zfs-lab/status`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.models.instances import Instance

from ec2zfs.lab.api.answers import Answer, json_answer
from ec2zfs.lab.api.lifecycle import Lifecycle, instant
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.request import Environ, body
from ec2zfs.lab.faults import Fault, FaultKind

PREFIX = "/ec2zfs-lab/"


class Control:
    """Answers what begins with `/ec2zfs-lab/`."""

    def __init__(self, local: LocalEc2, lifecycle: Lifecycle) -> None:
        self._local = local
        self._lifecycle = lifecycle
        self._routes: dict[tuple[str, str], Callable[[Any], object]] = {
            ("GET", "faults"): lambda _: [asdict(fault) for fault in local.faults.waiting()],
            ("POST", "faults"): self._fault,
            ("DELETE", "faults"): lambda _: local.faults.clear(),
            ("GET", "calls"): lambda _: {
                "counts": local.calls.counts(),
                "log": [asdict(call) for call in local.calls.log()],
            },
            ("DELETE", "calls"): lambda _: local.calls.reset(),
            ("GET", "status"): lambda _: self._status(),
        }

    def answer(self, environ: Environ) -> Answer:
        """Do what the request says; 404 for what is not there, 400 for what makes no sense."""
        route = self._routes.get((environ["REQUEST_METHOD"], environ["PATH_INFO"].removeprefix(PREFIX)))
        if route is None:
            return json_answer({"error": "no such thing here"}, 404)
        try:
            content = json.loads(body(environ) or b"null")
            return json_answer(route(content))
        except (ValueError, TypeError, KeyError) as error:
            return json_answer({"error": f"{type(error).__name__}: {error}"}, 400)
        except EC2ClientError as error:
            return json_answer({"error": str(error)}, 400)

    def _fault(self, content: dict[str, Any]) -> None:
        kind = content["kind"]
        if kind in tuple(FaultKind):
            self._local.faults.add(Fault(**{**content, "kind": FaultKind(kind)}))
        else:
            self._strike_instance(kind, content)

    def _strike_instance(self, kind: str, content: dict[str, Any]) -> None:
        with self._local.lock:
            instance = self._local.instance(content["instance_id"])
        if kind == "kill-machine":
            self._lifecycle.kill(instance.id)
        elif kind == "drop-network":
            self._local.room.connect_network(instance.id, up=False)
        elif kind == "restore-network":
            self._local.room.connect_network(instance.id, up=True)
        elif kind == "interrupt-spot":
            if instance.lifecycle != "spot":
                raise ValueError(f"{instance.id} is not a spot instance")
            notice = content.get("seconds")
            self._lifecycle.interrupt(instance, self._local.settings.times.spot_notice if notice is None else notice)
        elif kind == "recommend-rebalance":
            self._local.marks.rebalance[instance.id] = instant(time.time())
        else:
            raise ValueError(f"no such fault: {kind}")

    def _status(self) -> dict[str, Any]:
        with self._local.lock:
            backend = self._local.backend
            return {
                "endpoint": self._local.endpoint,
                "region": self._local.settings.region,
                "instances": [_instance(instance) for instance in backend.all_instances()],
                "volumes": [_volume(volume) for volume in backend.volumes.values()],
            }


def _instance(instance: Instance) -> dict[str, Any]:
    return {
        "id": instance.id,
        "state": instance.state,
        "type": instance.instance_type,
        "zone": instance.placement.zone,
        "address": instance.public_ip or "",
        "spot": instance.lifecycle == "spot",
    }


def _volume(volume: Volume) -> dict[str, Any]:
    attachment = volume.attachment
    return {
        "id": volume.id,
        "state": volume.status,
        "size_gib": volume.size,
        "type": volume.volume_type,
        "zone": volume.availability_zone,
        "instance": attachment.instance.id if attachment else "",
        "device": attachment.device if attachment else "",
        "attachment": attachment.status if attachment else "",
    }
