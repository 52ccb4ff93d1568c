"""The receiver as one thing: up and fit to hold the pool, or down and closed. Carries out plan/receiver.py.

Nothing is remembered between runs: what EC2 shows is planned on again, so a start or stop that was killed is carried on
by the next. It never connects to a machine whose host key EC2's console or our own pin does not vouch for, never leaves
a machine up without its dead-man, and never touches a volume.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ec2zfs.cloud.images import NO_IMAGE
from ec2zfs.cloud.protocols import InstanceOrder, Ports
from ec2zfs.errors import (
    CloudError,
    CommandTimeout,
    CredentialsError,
    Ec2zfsError,
    HostError,
    HostKeyChanged,
    HostKeyUnknown,
    NoCapacity,
)
from ec2zfs.execute.dead_man import DeadMan
from ec2zfs.execute.host_keys import HostKeys
from ec2zfs.execute.progress import Progress
from ec2zfs.execute.receiver_terms import Access, Connection, Limits, ReceiverCloud, ReceiverStatus, ReceiverTerms
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.plan.receiver import (
    UP,
    AwaitRunning,
    AwaitStopped,
    AwaitTerminated,
    ReceiverAction,
    RunInstance,
    StartInstance,
    StopInstance,
    TerminateInstance,
    UseRunning,
    WantedReceiver,
    check_subnet,
    check_type,
    plan_start,
    plan_stop,
)
from ec2zfs.tools.receiver_setup import check, set_up, user_data

__all__ = ["Access", "Connection", "Limits", "Receiver", "ReceiverCloud", "ReceiverStatus", "ReceiverTerms"]

_ANSWER_SECONDS = 15.0
_USUAL_BOOT_SECONDS = 20.0


class Receiver:
    """The receiver of one pool."""

    def __init__(
        self,
        terms: ReceiverTerms,
        cloud: ReceiverCloud,
        access: Access,
        progress: Progress,
        limits: Limits | None = None,
    ) -> None:
        self._terms = terms
        self._cloud = cloud
        self._access = access
        self._progress = progress
        self._limits = limits or Limits()
        self._latest: tuple[Instance, float] | None = None
        self._unanswered = False
        self._opened = False
        self._allowed = ""

    def status(self) -> ReceiverStatus:
        """What there is now. Asks EC2 only, never the machine."""
        instances = tuple(self._cloud.instances.instances())
        known = self._access.known_hosts
        pinned = frozenset(each.id for each in instances if known and known.keys(each.id))
        return ReceiverStatus(instances, self._cloud.security_group.ingress(), pinned)

    def starting(self, *, on_demand: bool = False) -> tuple[ReceiverAction, ...]:
        """What `start` would do now. Raises `Refused` as it would.

        `on_demand`: a new one is no spot instance, whatever is configured, since it must not be taken away meanwhile.
        """
        actions = plan_start(self._observed(), self._wanted())
        if on_demand and isinstance(actions[-1], RunInstance):
            actions = (*actions[:-1], replace(actions[-1], market=Market.ON_DEMAND))
        if any(isinstance(action, RunInstance) for action in actions):
            check_type(self._cloud.instance_type(), self._cloud.image().architecture)
            check_subnet(self._cloud.subnet_zone(), self._terms.wanted.zone)
        return actions

    def stopping(self) -> tuple[ReceiverAction, ...]:
        """What `stop` would do now, beside closing the security group."""
        return plan_stop(self._observed(), self._terms.wanted.market)

    def start(self, *, on_demand: bool = False) -> Connection:
        """Bring the receiver up, and return it ready: answering under its pinned key, dead-man armed, tools checked.

        `on_demand` as in `starting`. The caller keeps it alive (`dead_man`) and ends it (`stop`), or only its own work
        on it (`leave`). When this fails the group is closed again, and what is up powers itself off in time. Raises
        `Refused`, `NoCapacity`, `CloudError`, `HostError`, `HostKeyChanged`, `MissingTool`.
        """
        actions = self.starting(on_demand=on_demand)
        try:
            self._open_group()
            for action in actions[:-1]:
                self._carry_out(action)
            return self._ready(self._brought_up(actions[-1]))
        except BaseException:
            self._close_group()
            raise

    def stop(self) -> None:
        """Stop the receiver if it is kept, terminate it if it is not, close the security group, and wait for the end.

        Whatever is up of the pool's instances is ended. With nothing up, only the group is closed. The pool must be
        exported and locked before; the machine's own shutdown does neither in order.
        """
        try:
            actions = list(plan_stop(self._ordered(), self._terms.wanted.market))
            while actions and not isinstance(actions[0], AwaitStopped | AwaitTerminated):
                self._carry_out(actions.pop(0))
        finally:
            self._cloud.security_group.close()
            self._opened = False
        for action in actions:
            self._carry_out(action)
        self._latest = None

    def dead_man(self, host: Host) -> DeadMan:
        """Keeps the started receiver alive for the time of a `with` block."""
        return DeadMan(host, self._terms.dead_man_minutes, self._progress)

    def reach(self) -> Connection:
        """A connection to the receiver that is up already; the group is opened to this controller until `leave`.

        Raises `HostError` when none is up, `HostKeyChanged`.
        """
        up = [each for each in self._observed() if each.state is InstanceState.RUNNING]
        if not up:
            raise HostError(
                f"No receiver of pool {self._terms.wanted.pool} is running.", hint="Start it: `ec2zfs instance start`."
            )
        self._open_group(streams=self._terms.stream_ports)
        return self._connected(up[0])

    @contextmanager
    def admitting(self) -> Iterator[None]:
        """For the time of the block the ports of streams are open to this controller as well.

        What goes wrong with closing them is said, and then `stop` or `leave` closes all.
        """
        ports, group = self._terms.stream_ports, self._cloud.security_group
        try:
            group.admit(self._allowed_range(), ports)
            yield
        finally:
            try:
                group.expel(ports)
            except Ec2zfsError as error:
                self._opened = True
                self._progress.say(f"The ports of streams are still open to this controller: {error}")

    def leave(self) -> None:
        """End of a command that leaves the receiver up: close the group again if this controller opened it.

        A group that was open before, by a run that is under way or was killed, is left to that run and to `stop`.
        """
        if self._opened:
            self._close_group()

    def _open_group(self, streams: Ports | None = None) -> None:
        """Open it for ssh; `streams`: ports that another command of this controller may have streams on."""
        group, allowed = self._cloud.security_group, self._allowed_range()
        self._opened = group.open(allowed, self._terms.ssh_port, streams=streams) or self._opened

    def _allowed_range(self) -> str:
        self._allowed = self._allowed or self._access.allowed_range()
        return self._allowed

    def _close_group(self) -> None:
        """Close the group after a failure, or at the end, without hiding what failed first."""
        try:
            self._cloud.security_group.close()
            self._opened = False
        except Ec2zfsError as error:
            self._progress.say(f"The security group is still open to this controller: {error}")

    def _wanted(self) -> WantedReceiver:
        """As configured, with what image and key mean now; without the image when EC2 does not have it any more."""
        try:
            image = self._cloud.image().id
        except CloudError as error:
            if error.code != NO_IMAGE:
                raise
            image = ""
        return replace(self._terms.wanted, image=image, key_name=self._cloud.key_name())

    def _observed(self) -> list[Instance]:
        """Every instance, also the one that we ran a moment ago and that EC2 does not list yet (fact 14)."""
        listed = self._cloud.instances.instances()
        if self._latest is None:
            return listed
        latest, since = self._latest
        young = time.monotonic() - since < self._limits.patience.settle_seconds
        unlisted = young and latest.id not in {each.id for each in listed}
        return [latest, *listed] if unlisted else listed

    def _ordered(self) -> list[Instance]:
        """As observed; with an order that EC2 never answered, after the time in which what came of it shows."""
        patience = self._limits.patience

        def look() -> list[Instance] | None:
            observed = self._observed()
            return observed if any(each.state in UP for each in observed) else None

        shown = patience.until(look, patience.settle_seconds) if self._unanswered else None
        return shown or self._observed()

    def _brought_up(self, action: ReceiverAction) -> Instance:
        match action:
            case RunInstance():
                return self._run(action)
            case StartInstance(id_):
                self._progress.say(f"Starting {id_}")
                self._cloud.instances.start(id_)
                return self._running(id_)
            case UseRunning(id_):
                self._progress.say(f"Using {id_}, which is up already")
                return self._running(id_)
        raise TypeError(f"{action} brings nothing up")

    def _run(self, action: RunInstance) -> Instance:
        try:
            return self._run_in(action.market)
        except NoCapacity as error:
            if action.market is not Market.SPOT:
                raise
            self._progress.say(f"No spot capacity, so on demand this time: {error}")
            return self._run_in(Market.ON_DEMAND)

    def _run_in(self, market: Market) -> Instance:
        wanted, image = self._terms.wanted, self._cloud.image()
        self._progress.say(f"Running a new {wanted.type} in {wanted.zone}, {market}")
        order = InstanceOrder(
            image=image,
            type=wanted.type,
            market=market,
            zone=wanted.zone,
            key_name=self._cloud.key_pair(),
            security_group_id=self._cloud.security_group.ensure(),
            subnet_id=self._terms.subnet_id,
            user_data=user_data(self._terms.dead_man_minutes),
        )
        self._unanswered = True
        try:
            instance = self._cloud.instances.run(order)
        except CredentialsError:
            self._unanswered = False
            raise
        except CloudError as error:
            self._unanswered = not error.code
            raise
        self._latest, self._unanswered = (instance, time.monotonic()), False
        return self._running(instance.id)

    def _running(self, id_: str) -> Instance:
        return self._cloud.instances.await_state(id_, InstanceState.RUNNING, self._limits.running)

    def _carry_out(self, action: ReceiverAction) -> None:
        instances, limits = self._cloud.instances, self._limits
        self._progress.say(f"Receiver: {action}")
        match action:
            case AwaitRunning(id_):
                instances.await_state(id_, InstanceState.RUNNING, limits.running)
            case StopInstance(id_):
                instances.stop(id_)
            case AwaitStopped(id_):
                instances.await_state(id_, InstanceState.STOPPED, limits.stopped)
            case TerminateInstance(id_):
                instances.terminate(id_)
            case AwaitTerminated(id_):
                instances.await_state(id_, InstanceState.TERMINATED, limits.stopped)
                if self._access.known_hosts:
                    self._access.known_hosts.forget(id_)
            case _:
                raise TypeError(f"{action} is the last of a plan")

    def _ready(self, instance: Instance) -> Connection:
        """Learn the key, connect, arm the dead-man before anything else, then make the machine fit."""
        host = self._connected(instance)
        try:
            self._await_answer(host)
            with self.dead_man(host):
                self._progress.say(f"Setting {host.name} up")
                check(host.name, set_up(host, self._terms.dead_man_minutes))
        except BaseException:
            host.close()
            raise
        return host

    def _await_answer(self, host: Connection) -> None:
        """Wait for a shell, as long as what fails may be the boot; what still fails after a while is told."""
        self._progress.say(f"Waiting for {host.name} to answer")
        usual = time.monotonic() + _USUAL_BOOT_SECONDS
        reasons: list[Ec2zfsError] = []
        told: set[str] = set()

        def look() -> Result | None:
            try:
                return host.run(Command.of("true", timeout=_ANSWER_SECONDS))
            except (HostKeyChanged, HostKeyUnknown):
                raise
            except (HostError, CommandTimeout) as error:
                reasons.append(error)
                if time.monotonic() > usual and str(error) not in told:
                    told.add(str(error))
                    self._progress.say(f"Not yet: {error}")
                return None

        if self._limits.patience.until(look, self._limits.ssh) is None:
            raise reasons[-1]

    def _connected(self, instance: Instance) -> Connection:
        if known_hosts := self._access.known_hosts:
            limits = self._limits
            keys = HostKeys(self._cloud.instances, known_hosts, limits.patience, limits.console)
            keys.learn(instance, self._progress)
        return self._access.connect(instance)
