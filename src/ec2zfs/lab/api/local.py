"""What the corrections share: settings, faults, machine room, changes under way, and what moto's objects cannot hold.

The border to moto: its answers and parameters get their types here. Decides nothing about EC2's rules; those are in
`corrections/`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import ActionResult
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models import EC2Backend, ec2_backends
from moto.ec2.models.instances import Instance
from moto.ec2.responses import EC2Response

from ec2zfs.lab.api.calls import Calls
from ec2zfs.lab.api.patches import Patches
from ec2zfs.lab.api.room import MachineRoom
from ec2zfs.lab.api.settings import Settings
from ec2zfs.lab.api.transitions import Transitions
from ec2zfs.lab.environment import sdk_environment
from ec2zfs.lab.faults import Faults


class ActionCall:
    """One call of an EC2 action: its parameters as in the API reference, and the backend that it is for."""

    def __init__(self, response: EC2Response) -> None:
        self._response = response

    @property
    def backend(self) -> EC2Backend:
        """moto's EC2 backend of the call's region."""
        return cast(EC2Backend, self._response.ec2_backend)

    @property
    def form(self) -> dict[str, str]:
        """The parameters as they were sent, flat: `{"TagSpecification.1.Tag.1.Key": "Name", …}`."""
        return {name: values[0] for name, values in self._response.querystring.items()}

    def text(self, name: str, default: str = "") -> str:
        """A parameter, nested ones by path (`InstanceMarketOptions.MarketType`)."""
        return str(self._response._get_param(name) or default)  # noqa: SLF001

    def number(self, name: str) -> int | None:
        """A whole number, None when it was not given."""
        value = self._response._get_param(name)  # noqa: SLF001
        return None if value is None else int(value)

    def texts(self, name: str) -> list[str]:
        """A list of texts, such as ids."""
        return list(self._response._get_param(name) or [])  # noqa: SLF001

    def structures(self, name: str) -> list[dict[str, Any]]:
        """A list of structures, such as filters."""
        return list(self._response._get_param(name) or [])  # noqa: SLF001

    def set_parameter(self, name: str, value: object) -> None:
        """Let moto see another value; None removes the parameter."""
        self._response.params.pop(name, None)
        if value is not None:
            self._response.params[name] = value

    def tags(self, resource: str) -> dict[str, str]:
        """The tags that the call gives to new resources of a type (`volume`)."""
        return self._response._parse_tag_specification().get(resource, {})  # noqa: SLF001

    def stop_if_dry_run(self) -> None:
        """Answer DryRunOperation when that is all that was asked."""
        self._response.error_on_dryrun()


Proceed = Callable[[], ActionResult]
ActionRule = Callable[[Proceed, ActionCall], ActionResult]


@dataclass(frozen=True)
class SpotTerms:
    """The spot request of an instance: `kind` is one-time or persistent."""

    request_id: str
    kind: str


@dataclass
class Marks:
    """What EC2 knows of a resource and moto's objects have no place for, by the resource's id.

    `volume_status`: states other than those that follow from an attachment. `interruption`, `rebalance`: what the
    instance metadata announces (fact 16).
    """

    volume_status: dict[str, str] = field(default_factory=dict)
    spot: dict[str, SpotTerms] = field(default_factory=dict)
    interruption: dict[str, Mapping[str, str]] = field(default_factory=dict)
    rebalance: dict[str, str] = field(default_factory=dict)


class LocalEc2:
    """A local EC2 while it serves. `lock` guards moto's EC2 objects: every EC2 call and change of state holds it."""

    def __init__(self, settings: Settings, room: MachineRoom) -> None:
        self.settings = settings
        self.room = room
        self.faults = Faults()
        self.calls = Calls()
        self.transitions = Transitions()
        self.patches = Patches()
        self.marks = Marks()
        self.lock = threading.RLock()
        self.endpoint = ""

    @property
    def backend(self) -> EC2Backend:
        """moto's EC2 backend of our region."""
        return ec2_backends[DEFAULT_ACCOUNT_ID][self.settings.region]

    def on_action(self, action: str, rule: ActionRule) -> None:
        """Let a rule stand around an EC2 action (`create_volume`); a later rule stands around the earlier ones."""

        def wrapper(proceed: Proceed, response: EC2Response) -> ActionResult:
            return rule(proceed, ActionCall(response))

        self.patches.around(EC2Response, action, wrapper)

    def instance(self, instance_id: str) -> Instance:
        """moto's object of an instance. Raises InvalidInstanceID.NotFound."""
        return self.backend.get_instance(instance_id)

    def can_stop(self, instance: Instance) -> bool:
        """Whether an instance can be stopped at all: a one-time spot instance cannot (fact 15)."""
        spot = self.marks.spot.get(instance.id)
        return spot is None or spot.kind != "one-time"

    def environment(self) -> dict[str, str]:
        """What an AWS SDK must find in its environment to speak to this EC2 and to no other."""
        return sdk_environment(self.endpoint, self.settings.region)


def refuse(code: str, message: str) -> NoReturn:
    """Answer a call with an EC2 client error."""
    raise EC2ClientError(code, message)
