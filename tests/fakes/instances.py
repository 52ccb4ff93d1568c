"""EC2's instances and security group in memory, for tests of what uses them: no clock, no threads, no chance.

Time is the number of looks: each `instances()`, and each look of `await_state`, lets every pending state take one step.
What passes for EC2 is told by tests/contract/test_instances.py and test_security_group.py.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ec2zfs.cloud.protocols import Ingress, InstanceOrder
from ec2zfs.errors import CloudError, NoCapacity, Refused
from ec2zfs.model.instance import Instance, InstanceState, Market

NEXT = {
    InstanceState.PENDING: InstanceState.RUNNING,
    InstanceState.STOPPING: InstanceState.STOPPED,
    InstanceState.SHUTTING_DOWN: InstanceState.TERMINATED,
}
_States = frozenset[InstanceState]
_UP = frozenset({InstanceState.PENDING, InstanceState.RUNNING})
_RESTING = frozenset({InstanceState.STOPPING, InstanceState.STOPPED})
_ENDING = frozenset({InstanceState.SHUTTING_DOWN, InstanceState.TERMINATED})
FIRST_LAUNCH = datetime(2026, 11, 23, 2, 17, tzinfo=UTC)


def _same(instance: Instance, order: InstanceOrder) -> bool:
    """Whether the order is the one that made the instance: its client token would be the same (fact 12)."""
    return (instance.type, instance.market, instance.zone) == (order.type, order.market, order.zone)


def console_with(*keys: str) -> str:
    """A console after a first boot with cloud-init."""
    lines = [f"{key} root@ip-10-0-0-7" for key in keys]
    block = ["-----BEGIN SSH HOST KEY KEYS-----", *lines, "-----END SSH HOST KEY KEYS-----"]
    return "\r\n".join(["[    0.000000] Linux version 6.1.0", *block, "ip-10-0-0-7 login: "])


@dataclass
class FakeInstances:
    """An `InstancesApi` with EC2's refusals.

    `without_capacity`: markets in which RunInstances fails. `late_failures`: markets in which an instance is accepted
    and then ends for want of capacity. `consoles`: what a console shows at each look, the last for ever.
    `unseen_looks`: for how many looks a new instance is not listed yet (eventual consistency, fact 14).
    """

    pool: str = "cloud"
    without_capacity: set[Market] = field(default_factory=set)
    late_failures: set[Market] = field(default_factory=set)
    consoles: dict[str, list[str]] = field(default_factory=dict)
    unseen_looks: int = 0
    all: dict[str, Instance] = field(default_factory=dict)
    orders: list[InstanceOrder] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    _unseen: dict[str, int] = field(default_factory=dict)

    def add(self, instance: Instance) -> Instance:
        """Let there be an instance."""
        self.all[instance.id] = instance
        return instance

    def states(self) -> dict[str, str]:
        """Every instance's state, without letting time pass."""
        return {id_: instance.state.value for id_, instance in self.all.items()}

    def instances(self) -> list[Instance]:
        """As `InstancesApi.instances`."""
        seen = [each for each in self.all.values() if self._unseen.get(each.id, 0) <= 0]
        listed = [each for each in seen if each.state is not InstanceState.TERMINATED]
        self._step()
        return sorted(listed, key=lambda each: (each.launched, each.id), reverse=True)

    def run(self, order: InstanceOrder) -> Instance:
        """As `InstancesApi.run`."""
        self.calls.append(f"run {order.market}")
        self.orders.append(order)
        if (size := len(order.user_data.encode())) > 16 * 1024:
            raise Refused(f"The user data has {size} bytes.")
        if order.market in self.without_capacity:
            raise NoCapacity(f"no {order.market} capacity", code="InsufficientInstanceCapacity")
        for instance in self.all.values():
            if instance.id in self._unseen and instance.state not in _ENDING and _same(instance, order):
                return instance
        id_ = f"i-{len(self.all) + 1:017x}"
        self._unseen[id_] = self.unseen_looks
        launched = FIRST_LAUNCH + timedelta(hours=len(self.all))
        made = (id_, self.pool, order.type, order.zone, InstanceState.PENDING, order.market, "", "", launched)
        return self.add(Instance(*made, image=order.image.id, key_name=order.key_name))

    def start(self, instance_id: str) -> None:
        """As `InstancesApi.start`."""
        self._ask("start", instance_id, InstanceState.PENDING, frozenset({InstanceState.STOPPED}), _UP)

    def stop(self, instance_id: str) -> None:
        """As `InstancesApi.stop`."""
        if self._known(instance_id).market is Market.SPOT:
            raise CloudError("a one-time spot instance cannot be stopped", code="UnsupportedOperation")
        self._ask("stop", instance_id, InstanceState.STOPPING, frozenset({InstanceState.RUNNING}), _RESTING)

    def terminate(self, instance_id: str) -> None:
        """As `InstancesApi.terminate`."""
        if instance_id in self.all:
            self._ask("terminate", instance_id, InstanceState.SHUTTING_DOWN, _UP | _RESTING, _ENDING)

    def await_state(self, instance_id: str, state: InstanceState, limit_seconds: float) -> Instance:
        """As `InstancesApi.await_state`; a look takes a second of the limit."""
        last = "unknown to EC2"
        for _ in range(int(limit_seconds) + 1):
            if instance := self.all.get(instance_id):
                last = instance.state
                if instance.state is state:
                    return instance
                self._require_possible(instance, state)
            self._step()
        raise CloudError(f"After {limit_seconds:g} s instance {instance_id} is {last}, not {state}.")

    def console_output(self, instance_id: str) -> str:
        """As `InstancesApi.console_output`."""
        self.calls.append(f"console {instance_id}")
        shown = self.consoles.get(instance_id, [""])
        return shown.pop(0) if len(shown) > 1 else shown[0]

    def remember_host_key(self, instance_id: str, key: str) -> None:
        """As `InstancesApi.remember_host_key`."""
        if len(key) > 256:
            raise Refused(f"The host key of {instance_id} has {len(key)} characters; a tag holds 256.")
        self.all[instance_id] = replace(self._known(instance_id), host_key=key)

    def _ask(self, verb: str, id_: str, state: InstanceState, before: _States, already: _States) -> None:
        """Bring it from one of the states `before` into a state; success too in those to which that leads."""
        self.calls.append(f"{verb} {id_}")
        now = self._known(id_).state
        if now not in before | already:
            raise CloudError(f"{id_} is {now}", code="IncorrectInstanceState")
        if now in before:
            self._set(id_, state)

    def _known(self, id_: str) -> Instance:
        if id_ not in self.all:
            raise CloudError(f"The instance {id_} does not exist.", code="InvalidInstanceID.NotFound")
        return self.all[id_]

    def _require_possible(self, instance: Instance, wanted: InstanceState) -> None:
        if wanted is InstanceState.RUNNING and instance.market in self.late_failures:
            self._set(instance.id, InstanceState.TERMINATED)
            raise NoCapacity(f"{instance.id} ended: no capacity", code="InsufficientInstanceCapacity")
        if instance.state in _ENDING and wanted is not InstanceState.TERMINATED:
            raise CloudError(f"instance {instance.id} is {instance.state}")

    def _set(self, id_: str, state: InstanceState) -> None:
        address = "203.0.113.7" if state is InstanceState.RUNNING else ""
        self.all[id_] = replace(self.all[id_], state=state, address=address)

    def _step(self) -> None:
        for id_ in self._unseen:
            self._unseen[id_] = max(self._unseen[id_] - 1, 0)
        for id_, instance in self.all.items():
            if instance.state in NEXT:
                self._set(id_, NEXT[instance.state])


@dataclass
class FakeSecurityGroup:
    """A `SecurityGroupApi`; `history` tells each opening and closing."""

    rules: tuple[Ingress, ...] = ()
    history: list[str] = field(default_factory=list)
    refusal: Exception | None = None

    def ensure(self) -> str:
        """As `SecurityGroupApi.ensure`."""
        return "sg-1"

    def open(self, cidr: str, port: int) -> bool:
        """As `SecurityGroupApi.open`."""
        network = ipaddress.ip_network(cidr, strict=False)
        if network.prefixlen == 0:
            raise Refused(f"{cidr} is everybody.")
        wanted = Ingress(str(network), "tcp", port, port)
        before, self.rules = self.rules, (wanted,)
        self.history.append(f"open {cidr} {port}")
        return wanted not in before

    def close(self) -> None:
        """As `SecurityGroupApi.close`."""
        if self.refusal:
            raise self.refusal
        self.rules = ()
        self.history.append("close")

    def ingress(self) -> tuple[Ingress, ...]:
        """As `SecurityGroupApi.ingress`."""
        return self.rules
