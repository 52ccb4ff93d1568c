"""EC2's instances and security group in memory, for tests of what uses them: no clock, no threads, no chance.

Time is the number of looks: each `instances()`, and each look of `await_state`, lets every pending state take one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ec2zfs.cloud.protocols import Ingress, InstanceOrder
from ec2zfs.errors import CloudError, NoCapacity
from ec2zfs.model.instance import Instance, InstanceState, Market

NEXT = {
    InstanceState.PENDING: InstanceState.RUNNING,
    InstanceState.STOPPING: InstanceState.STOPPED,
    InstanceState.SHUTTING_DOWN: InstanceState.TERMINATED,
}
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
        return sorted(listed, key=lambda each: each.launched, reverse=True)

    def run(self, order: InstanceOrder) -> Instance:
        """As `InstancesApi.run`."""
        self.calls.append(f"run {order.market}")
        self.orders.append(order)
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
        self._ask("start", instance_id, InstanceState.PENDING, {InstanceState.STOPPED})

    def stop(self, instance_id: str) -> None:
        """As `InstancesApi.stop`."""
        if self.all[instance_id].market is Market.SPOT:
            raise CloudError("a one-time spot instance cannot be stopped", code="UnsupportedOperation")
        self._ask("stop", instance_id, InstanceState.STOPPING, {InstanceState.RUNNING, InstanceState.STOPPING})

    def terminate(self, instance_id: str) -> None:
        """As `InstancesApi.terminate`."""
        self._ask("terminate", instance_id, InstanceState.SHUTTING_DOWN, set(InstanceState))

    def await_state(self, instance_id: str, state: InstanceState, limit_seconds: float) -> Instance:
        """As `InstancesApi.await_state`; a look takes a second of the limit."""
        for _ in range(int(limit_seconds) + 1):
            instance = self.all[instance_id]
            if instance.state is state:
                return instance
            if state is InstanceState.RUNNING and instance.market in self.late_failures:
                self._set(instance_id, InstanceState.TERMINATED)
                raise NoCapacity(f"{instance_id} ended: no capacity", code="InsufficientInstanceCapacity")
            self._step()
        raise CloudError(f"{instance_id} is not {state} after {limit_seconds:g} s", action="ec2:DescribeInstances")

    def console_output(self, instance_id: str) -> str:
        """As `InstancesApi.console_output`."""
        self.calls.append(f"console {instance_id}")
        shown = self.consoles.get(instance_id, [""])
        return shown.pop(0) if len(shown) > 1 else shown[0]

    def remember_host_key(self, instance_id: str, key: str) -> None:
        """As `InstancesApi.remember_host_key`."""
        self.all[instance_id] = replace(self.all[instance_id], host_key=key)

    def _ask(self, verb: str, id_: str, state: InstanceState, allowed: set[InstanceState]) -> None:
        self.calls.append(f"{verb} {id_}")
        if self.all[id_].state not in allowed:
            raise CloudError(f"{id_} is {self.all[id_].state}", code="IncorrectInstanceState")
        self._set(id_, state)

    def _set(self, id_: str, state: InstanceState) -> None:
        address = "203.0.113.7" if state is InstanceState.RUNNING else ""
        self.all[id_] = replace(self.all[id_], state=state, address=address)

    def _step(self) -> None:
        for id_ in self._unseen:
            self._unseen[id_] -= 1
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
        before, self.rules = self.rules, (Ingress(cidr, "tcp", port, port),)
        self.history.append(f"open {cidr} {port}")
        return before != self.rules

    def close(self) -> None:
        """As `SecurityGroupApi.close`."""
        if self.refusal:
            raise self.refusal
        self.rules = ()
        self.history.append("close")

    def ingress(self) -> tuple[Ingress, ...]:
        """As `SecurityGroupApi.ingress`."""
        return self.rules
