"""Spot instances have a request, and one-time ones cannot be stopped.

Rule: RunInstances with MarketType=spot makes a spot request for each instance, named by its SpotInstanceRequestId and
shown by DescribeSpotInstanceRequests; a persistent request must say InstanceInterruptionBehavior stop or hibernate, a
one-time request must not; StopInstances of a one-time spot instance is refused with UnsupportedOperation. Source: fact
15. moto gives no request id and stops them.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

from moto.core.responses import ActionResult
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.models.instances import Instance, Reservation
from moto.ec2.utils import random_spot_request_id

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, SpotTerms, refuse


class SpotRequest(TaggedEC2Resource):
    """A fulfilled spot request, with the attribute names that the API's answer has."""

    def __init__(self, instance: Instance, kind: str, behaviour: str) -> None:
        self.id = self.spot_instance_request_id = random_spot_request_id()
        self.ec2_backend = instance.ec2_backend
        self.instance = instance
        self.instance_id = instance.id
        self.type = kind
        self.instance_interruption_behavior = behaviour
        self.product_description = "Linux/UNIX"
        self.create_time = datetime.now(UTC).replace(tzinfo=None)
        self.launched_availability_zone = instance.placement.zone

    @property
    def state(self) -> str:
        """The request's state: it follows its instance."""
        if self.instance.state in ("shutting-down", "terminated"):
            return "closed"
        return "disabled" if self.instance.state == "stopped" else "active"

    @property
    def status(self) -> dict[str, Any]:
        """The status: fulfilled once, since we only make requests with their instances."""
        return {"Code": "fulfilled", "Message": "Your Spot request is fulfilled.", "UpdateTime": self.create_time}


def install(local: LocalEc2) -> None:
    """Make requests, and guard what a one-time instance cannot do."""
    local.on_action("run_instances", partial(_run, local))
    local.on_action("stop_instances", partial(_stop, local))
    local.patches.replace(Instance, "spot_instance_request_id", property(partial(_request_id, local)))


def _run(local: LocalEc2, proceed: Proceed, call: ActionCall) -> ActionResult:
    if call.text("InstanceMarketOptions.MarketType") != "spot":
        return proceed()
    kind = call.text("InstanceMarketOptions.SpotOptions.SpotInstanceType", "one-time")
    behaviour = call.text("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", "terminate")
    if (kind == "persistent") != (behaviour in ("stop", "hibernate")):
        refuse(
            "InvalidParameterCombination",
            f"InstanceInterruptionBehavior '{behaviour}' is not possible with a {kind} Spot request.",
        )
    launched = proceed()
    reservation = cast(Reservation, launched.result)
    tags = call.tags("spot-instances-request")
    for instance in reservation.instances:
        request = SpotRequest(instance, kind, behaviour)
        request.add_tags(tags)
        requests: dict[str, Any] = call.backend.spot_instance_requests
        requests[request.id] = request
        instance.lifecycle = "spot"
        local.marks.spot[instance.id] = SpotTerms(request.id, kind)
    return launched


def _request_id(local: LocalEc2, instance: Instance) -> str | None:
    spot = local.marks.spot.get(instance.id)
    return spot.request_id if spot else None


def _stop(local: LocalEc2, proceed: Proceed, call: ActionCall) -> ActionResult:
    for instance_id in call.texts("InstanceIds"):
        if not local.can_stop(local.instance(instance_id)):
            refuse(
                "UnsupportedOperation",
                f"You can't stop the Spot Instance '{instance_id}' because it is associated with a one-time Spot "
                "Instance request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
            )
    return proceed()
