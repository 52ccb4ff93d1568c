"""Client tokens make RunInstances and CreateVolume idempotent.

Rule: a request with a token that was used before, and with the same parameters, returns the resource of the first
request (also when that is deleted by now); with other parameters it is refused with IdempotentParameterMismatch. A
token has at most 64 ASCII characters. Source: fact 12 (botocore marks ClientToken as idempotency token), EC2 user
guide, "Ensuring idempotency". moto makes a second resource.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from moto.core.responses import ActionResult

from ec2zfs.lab.api.local import ActionCall, LocalEc2, Proceed, refuse

LONGEST = 64
# These say how a request is made, not what it asks for.
_APART = {"ClientToken", "Action", "Version", "DryRun"}


@dataclass(frozen=True)
class _First:
    request: frozenset[tuple[str, str]]
    result: ActionResult


def install(local: LocalEc2) -> None:
    """Remember the tokens of both actions."""
    for action in ("run_instances", "create_volume"):
        seen: dict[str, _First] = {}
        local.on_action(action, partial(_idempotent, seen))


def _idempotent(seen: dict[str, _First], proceed: Proceed, call: ActionCall) -> ActionResult:
    token = call.text("ClientToken")
    if not token:
        return proceed()
    if len(token) > LONGEST or not token.isascii():
        refuse("InvalidClientToken", f"Client tokens have at most {LONGEST} ASCII characters.")
    call.stop_if_dry_run()
    request = frozenset((name, value) for name, value in call.form.items() if name not in _APART)
    first = seen.get(token)
    if first is None:
        first = seen[token] = _First(request, proceed())
    elif first.request != request:
        refuse(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a resource that is already deleted, "
            "or with parameters other than those of this request.",
        )
    return first.result
