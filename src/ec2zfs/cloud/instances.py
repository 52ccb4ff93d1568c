"""The receivers of one pool as EC2 instances: found by tag, run, started, stopped, terminated, awaited (facts 15-23).

What an instance is made of stands in instance_request.py. Never touches an instance but the one it is told.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ec2zfs.cloud import tags
from ec2zfs.cloud.descriptions import instance_of
from ec2zfs.cloud.errors import aws_errors, capacity_error
from ec2zfs.cloud.instance_request import run_request
from ec2zfs.cloud.patience import Patience
from ec2zfs.cloud.protocols import InstanceOrder
from ec2zfs.cloud.tokens import DATE_STEP_SECONDS, MISMATCH, MOST_ATTEMPTS, age_seconds, spent
from ec2zfs.errors import CloudError, Refused
from ec2zfs.model.instance import Instance, InstanceState

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import FilterTypeDef, InstanceTypeDef

__all__ = ["InstanceOrder", "Instances"]

_ENDING = frozenset({InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED})
_STOPPED = frozenset({InstanceState.STOPPING, InstanceState.STOPPED})
_UNKNOWN = "InvalidInstanceID.NotFound"
_USER_DATA_LIMIT = 16 * 1024


class Instances:
    """The pool's receivers in the client's region; an `InstancesApi`. Threads may share it."""

    def __init__(self, ec2: EC2Client, pool: str, patience: Patience = Patience()) -> None:  # noqa: B008 frozen
        self._ec2 = ec2
        self._pool = pool
        self._patience = patience

    def instances(self) -> list[Instance]:
        """The pool's receivers, the newest first; those being terminated too, as they may still hold volumes."""
        alive = [state.value for state in InstanceState if state is not InstanceState.TERMINATED]
        ours = tags.of_pool(self._pool, tags.ROLE_RECEIVER)
        found = [instance_of(each) for each in self._described([*ours, tags.filtered("instance-state-name", *alive)])]
        return sorted(found, key=lambda instance: (instance.launched, instance.id), reverse=True)

    def run(self, order: InstanceOrder) -> Instance:
        """Start a new one; it may still be `pending`.

        The same order again gives the same instance until that is terminated (fact 12, cloud/tokens.py); one of the
        same type and market that was ordered before with another image or user data is taken as it is. Raises
        `NoCapacity` when EC2 has no such (spot) machine now; `Refused` for more than 16 KiB of user data (fact 20);
        `CredentialsError`, `CloudError`.
        """
        if len(order.user_data.encode()) > _USER_DATA_LIMIT:
            raise Refused(f"The user data has {len(order.user_data.encode())} bytes; EC2 takes {_USER_DATA_LIMIT}.")
        for attempt in range(MOST_ATTEMPTS):
            if instance := self._asked(order, attempt):
                return instance
        raise CloudError(
            f"The receiver of pool {self._pool} was run and terminated {MOST_ATTEMPTS} times of late.",
            hint="EC2 forgets that after a day; run again then, or take another instance type.",
            action="ec2:RunInstances",
        )

    def start(self, instance_id: str) -> None:
        """Ask for the start of a stopped one; success when it runs already. Raises `NoCapacity`."""
        with aws_errors():
            self._ec2.start_instances(InstanceIds=[instance_id])

    def stop(self, instance_id: str) -> None:
        """Ask for a stop; success when it is stopped already. A one-time spot machine cannot be stopped (fact 15)."""

        @aws_errors()
        def ask() -> None:
            self._ec2.stop_instances(InstanceIds=[instance_id])

        self._patience.settled(ask, _UNKNOWN)

    def terminate(self, instance_id: str) -> None:
        """Ask for the end of it for good; success when EC2 knows it no more."""

        @aws_errors()
        def ask() -> None:
            self._ec2.terminate_instances(InstanceIds=[instance_id])

        try:
            self._patience.settled(ask, _UNKNOWN)
        except CloudError as error:
            if error.code != _UNKNOWN:
                raise

    def await_state(self, instance_id: str, state: InstanceState, limit_seconds: float) -> Instance:
        """Wait for a state, and never for the status checks, which take minutes (fact 19).

        Raises at once when the state cannot come any more, with EC2's reason: `NoCapacity` when it is one of capacity
        or an interruption of spot, else `CloudError`; and `CloudError` past the limit.
        """
        seen: list[InstanceState] = []

        def look() -> Instance | None:
            for described in self._described([tags.filtered("instance-id", instance_id)]):
                instance = instance_of(described)
                seen.append(instance.state)
                if instance.state is state:
                    return instance
                _require_possible(described, state, seen)
            return None

        found = self._patience.until(look, limit_seconds)
        if found is None:
            last = seen[-1] if seen else "unknown to EC2"
            raise CloudError(
                f"After {limit_seconds:g} s instance {instance_id} is {last}, not {state}.",
                hint="Look at it in the EC2 console, or run again.",
                action="ec2:DescribeInstances",
            )
        return found

    def console_output(self, instance_id: str) -> str:
        """What the console shows now, at most the last 64 KiB; empty while EC2 has nothing.

        `Latest` is live on Nitro; where it is not supported, what was last posted is returned (fact 21).
        """
        try:
            return self._console(instance_id, latest=True)
        except CloudError as error:
            if error.code != "UnsupportedOperation":
                raise
        return self._console(instance_id, latest=False)

    def remember_host_key(self, instance_id: str, key: str) -> None:
        """Put the host key (`ssh-ed25519 AAAA…`) on the instance as a tag, for controllers that did not see its boot.

        Raises `Refused` for a key longer than a tag's value (256 characters); ed25519 keys have 80.
        """
        if len(key) > tags.LONGEST_VALUE:
            raise Refused(f"The host key of {instance_id} has {len(key)} characters; a tag holds {tags.LONGEST_VALUE}.")

        @aws_errors()
        def ask() -> None:
            self._ec2.create_tags(Resources=[instance_id], Tags=tags.as_tags({tags.HOST_KEY: key}))

        self._patience.settled(ask, _UNKNOWN)

    @aws_errors()
    def _described(self, filters: list[FilterTypeDef]) -> list[InstanceTypeDef]:
        pages = self._ec2.get_paginator("describe_instances").paginate(
            Filters=filters, PaginationConfig={"PageSize": 100}
        )
        return [each for page in pages for reservation in page["Reservations"] for each in reservation["Instances"]]

    def _console(self, instance_id: str, *, latest: bool) -> str:
        @aws_errors()
        def ask() -> str:
            return self._ec2.get_console_output(InstanceId=instance_id, Latest=latest).get("Output", "")

        return self._patience.settled(ask, _UNKNOWN)

    def _asked(self, order: InstanceOrder, attempt: int) -> Instance | None:
        """The instance of this attempt; None when it was terminated since, so that the next attempt's is the one."""
        asked = time.monotonic()
        try:
            with aws_errors():
                answer = self._ec2.run_instances(**run_request(order, self._pool, attempt))
        except CloudError as error:
            if spent(error):
                return None
            if error.code != MISMATCH:
                raise
            return self._patience.until(lambda: self._standing(order), self._patience.settle_seconds)
        instance = instance_of(answer["Instances"][0])
        age = age_seconds(answer["ResponseMetadata"], instance.launched)
        if age > time.monotonic() - asked + DATE_STEP_SECONDS:
            return self._still_there(instance.id, self._patience.settle_seconds - age)
        return instance if instance.state not in _ENDING else None

    def _standing(self, order: InstanceOrder) -> Instance | None:
        wanted = (order.type, order.market)
        alive = [each for each in self.instances() if each.state not in _ENDING]
        return next((each for each in alive if (each.type, each.market) == wanted), None)

    def _still_there(self, instance_id: str, unknown_seconds: float) -> Instance | None:
        def look() -> Instance | None:
            found = self._described([tags.filtered("instance-id", instance_id)])
            return instance_of(found[0]) if found else None

        instance = self._patience.until(look, unknown_seconds)
        return instance if instance and instance.state not in _ENDING else None


def _require_possible(described: InstanceTypeDef, wanted: InstanceState, seen: list[InstanceState]) -> None:
    """Refuse to wait for what cannot come: an ending is final, and a start that falls back to stopped has failed."""
    state = seen[-1]
    fell_back = state in _STOPPED and wanted is InstanceState.RUNNING and InstanceState.PENDING in seen
    if state not in _ENDING and not fell_back:
        return
    if wanted is InstanceState.TERMINATED:
        return
    reason = described.get("StateReason", {})
    code = reason.get("Code", "").removeprefix("Server.").removeprefix("Client.")
    said = f"instance {described['InstanceId']} is {state}: {reason.get('Message') or 'nothing more'}"
    raise capacity_error(code or "no reason", said, "ec2:DescribeInstances")
