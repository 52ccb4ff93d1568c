"""Client tokens make RunInstances and CreateVolume idempotent.

Rule: a request with a token that was used before, and with the same parameters, returns the resource of the first
request; with other parameters it is refused with IdempotentParameterMismatch. When the resource is gone, the token is
refused: IdempotentInstanceTerminated for a terminated instance, IdempotentParameterMismatch with words of its own for a
volume that is deleted or being deleted. A token has at most 64 ASCII characters. Source: fact 12 (botocore marks
ClientToken as idempotency token), EC2 API reference, "Error codes", EC2 developer guide, "Ensuring idempotency";
boto/boto3 issue 4406; kubernetes-sigs/aws-ebs-csi-driver issues 1951 and 3010. moto makes a second resource.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import cast

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_block_store import Volume
from moto.ec2.models.instances import Reservation

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse

LONGEST = 64
# These say how a request is made, not what it asks for.
_APART = {"ClientToken", "Action", "Version", "DryRun"}


@dataclass(frozen=True)
class _First:
    request: frozenset[tuple[str, str]]
    result: ActionResult


@dataclass(frozen=True)
class _Tokens:
    """The tokens of an action, each with its first request; `refuse_gone` refuses a result that is no more."""

    refuse_gone: Callable[[ActionResult], None]
    seen: dict[str, _First] = field(default_factory=dict)


def install(local: LocalEc2) -> None:
    """Remember the tokens of both actions."""
    local.on_action("run_instances", partial(_idempotent, _Tokens(_refuse_terminated)))
    local.on_action("create_volume", partial(_idempotent, _Tokens(partial(_refuse_deleted, local))))


def _idempotent(tokens: _Tokens, proceed: Proceed, call: ActionCall) -> ActionResult:
    token = call.text("ClientToken")
    if not token:
        return proceed()
    if len(token) > LONGEST or not token.isascii():
        refuse("InvalidClientToken", f"Client tokens have at most {LONGEST} ASCII characters.")
    call.stop_if_dry_run()
    request = frozenset((name, value) for name, value in call.form.items() if name not in _APART)
    first = tokens.seen.get(token)
    if first is None:
        first = tokens.seen[token] = _First(request, proceed())
        return first.result
    if first.request != request:
        refuse(
            "IdempotentParameterMismatch",
            "Arguments on this idempotent request are inconsistent with arguments used in previous request(s).",
        )
    tokens.refuse_gone(first.result)
    return first.result


def _refuse_terminated(result: ActionResult) -> None:
    instances = cast(Reservation, result.result).instances
    if all(instance.state == "terminated" for instance in instances):
        refuse(
            "IdempotentInstanceTerminated",
            "The client token you have provided is associated with a terminated instance. Please use a different "
            "client token.",
        )


def _refuse_deleted(local: LocalEc2, result: ActionResult) -> None:
    volume = cast(Volume, result.result)
    if volume.id not in local.backend.volumes or volume.status == "deleting":
        refuse(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a resource that is already deleted. Please use a "
            "different client token.",
        )
