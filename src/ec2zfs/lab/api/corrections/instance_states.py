"""Instances change state as their machines do, and not at once.

Rule: RunInstances and StartInstances lead through `pending` to `running` when the machine is up, StopInstances through
`stopping` to `stopped`, TerminateInstances through `shutting-down` to `terminated`; an instance that cannot be stopped
or started in its state is refused with IncorrectInstanceState. Volumes with DeleteOnTermination=false outlive their
instance (fact 9). A guest that powers itself off stops or is terminated by InstanceInitiatedShutdownBehavior (fact 18).
Source: EC2 user guide, "Instance lifecycle". moto reaches every state at once.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models import EC2Backend
from moto.ec2.models.instances import Instance, Reservation
from moto.ec2.responses import EC2Response

from ec2zfs.lab.api.lifecycle import CODES, Lifecycle
from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse


def install(local: LocalEc2, lifecycle: Lifecycle) -> None:
    """Let the lifecycle decide every state of an instance."""
    local.patches.around(EC2Backend, "run_instances", partial(_run, lifecycle))
    local.on_action("start_instances", partial(_start, local, lifecycle))
    local.on_action("stop_instances", partial(_stop, lifecycle))
    local.on_action("terminate_instances", partial(_terminate, lifecycle))
    local.on_action("reboot_instances", partial(_reboot, local))
    forced = dict(EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER)
    del forced["RunInstances.Reservation.Instances.Instance.State"]
    local.patches.replace(EC2Response, "RESPONSE_KEY_PATH_TO_TRANSFORMER", forced)


def _run(
    lifecycle: Lifecycle,
    proceed: Callable[..., Reservation],
    _backend: EC2Backend,
    *arguments: object,
    **named: object,
) -> Reservation:
    reservation = proceed(*arguments, **named)
    for instance in reservation.instances:
        lifecycle.start(instance, fresh=True)
    return reservation


def _start(local: LocalEc2, lifecycle: Lifecycle, _proceed: Proceed, call: ActionCall) -> ActionResult:
    instances = _instances(call)
    for instance in instances:
        if instance.state not in ("stopped", "pending", "running"):
            _wrong_state(instance, "started")
    before = _states(instances)
    for instance in instances:
        if instance.state == "stopped":
            with local.lock:
                instance.start()
                lifecycle.start(instance, fresh=False)
    return ActionResult({"StartingInstances": _changes(instances, before)})


def _stop(lifecycle: Lifecycle, _proceed: Proceed, call: ActionCall) -> ActionResult:
    instances = _instances(call)
    for instance in instances:
        if instance.state not in ("running", "stopping", "stopped"):
            _wrong_state(instance, "stopped")
        if instance.disable_api_stop:
            refuse(
                "OperationNotPermitted", f"The instance '{instance.id}' may not be stopped. Modify 'disableApiStop'."
            )
    before = _states(instances)
    for instance in instances:
        if instance.state == "running":
            lifecycle.stop(instance)
    return ActionResult({"StoppingInstances": _changes(instances, before)})


def _terminate(lifecycle: Lifecycle, _proceed: Proceed, call: ActionCall) -> ActionResult:
    instances = _instances(call)
    for instance in instances:
        if instance.disable_api_termination is True:
            refuse(
                "OperationNotPermitted",
                f"The instance '{instance.id}' may not be terminated. Modify its 'disableApiTermination' attribute.",
            )
    before = _states(instances)
    for instance in instances:
        lifecycle.terminate(instance)
    return ActionResult({"TerminatingInstances": _changes(instances, before)})


def _reboot(local: LocalEc2, _proceed: Proceed, call: ActionCall) -> ActionResult:
    instances = _instances(call)
    for instance in instances:
        if instance.state != "running":
            _wrong_state(instance, "rebooted")
    for instance in instances:
        local.transitions.after(0.0, instance.id, partial(local.room.reboot, instance.id))
    return EmptyResult()


def _instances(call: ActionCall) -> list[Instance]:
    ids = call.texts("InstanceIds")
    call.stop_if_dry_run()
    return call.backend.get_multi_instances_by_id(ids)


def _wrong_state(instance: Instance, participle: str) -> None:
    refuse(
        "IncorrectInstanceState",
        f"The instance '{instance.id}' is not in a state from which it can be {participle}.",
    )


def _states(instances: list[Instance]) -> dict[str, str]:
    return {instance.id: instance.state for instance in instances}


def _changes(instances: list[Instance], before: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "InstanceId": instance.id,
            "CurrentState": _state(instance.state),
            "PreviousState": _state(before[instance.id]),
        }
        for instance in instances
    ]


def _state(name: str) -> dict[str, Any]:
    return {"Name": name, "Code": CODES[name]}
