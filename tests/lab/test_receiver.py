"""The receiver on real machines: known by its console, armed against a lost controller, kept or given back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ec2zfs.cli.connections import connection_to
from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.cloud.instances import Instances
from ec2zfs.config import parse
from ec2zfs.errors import HostKeyChanged, MissingTool
from ec2zfs.execute.dead_man import DeadMan
from ec2zfs.execute.progress import Silent
from ec2zfs.hosts.host import Command, Host
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.environment import sdk_environment
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.instance import Instance, InstanceState, Market

POOL = "receivers"
CAPACITY_TRIES = 10
"""So often the SDK tries a call that is refused for want of capacity: EC2 gives it status 500."""

Opened = Callable[..., Session]


@pytest.fixture
def opened(lab: LabDescription, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """Sessions of controllers, each with a state directory by name; what they leave is ended after the test."""
    for name, value in sdk_environment(lab.endpoint, lab.region).items():
        monkeypatch.setenv(name, value)
    text = configuration(lab).replace('name = "cloud"', f'name = "{POOL}"')
    with ExitStack() as connections:

        def open_session(market: Market = Market.ON_DEMAND, controller: str = "controller") -> Session:
            mine = text.replace('market = "on-demand"', f'market = "{market}"')
            mine = mine.replace(f'state = "{lab.directory}/state"', f'state = "{tmp_path / controller}"')
            return Session(parse(mine, "lab"), Words(Silent()), connections)

        yield open_session
        open_session(Market.SPOT).receiver.stop()


def only(session: Session) -> Instance:
    (instance,) = session.receiver.status().instances
    return instance


def said(host: Host, *argv: str) -> str:
    return host.run(Command(argv, accept=frozenset(range(10)))).text.strip()


def dead_men(host: Host) -> list[str]:
    """The timers that will power the machine off, as systemd lists them."""
    return said(host, "systemctl", "list-timers", "--no-legend", "--no-pager", "ec2zfs-dead-man*").splitlines()


def test_a_kept_receiver_from_its_first_boot_to_its_end(opened: Opened, lab: LabDescription) -> None:
    parts = opened()
    host = parts.receiver.start()
    first = only(parts)
    assert first.state is InstanceState.RUNNING
    assert parts.known_hosts.keys(first.id) == (first.host_key,)
    assert [(rule.source, rule.from_port) for rule in parts.receiver.status().ingress] == [
        ("127.0.0.1/32", lab.receiver_port)
    ]

    # armed, by the controller now and by the machine itself at each boot
    (armed,) = dead_men(host)
    assert "29min" in armed
    assert "ec2zfs-dead-man-" in armed
    assert said(host, "systemctl", "is-enabled", "ec2zfs-dead-man.timer") == "enabled"
    with parts.receiver.dead_man(host):
        assert len(dead_men(host)) == 1

    # memory stays off the disk, and ZFS leaves some of it free
    assert said(host, "cat", "/proc/sys/kernel/core_pattern") == "|/bin/false"
    assert said(host, "systemctl", "is-enabled", "swap.target", "hibernate.target").split() == ["masked", "masked"]
    assert int(said(host, "cat", "/sys/module/zfs/parameters/zfs_arc_max")) > 0

    # another key under its name, or in its tag, and nobody speaks to it
    stranger = opened(controller="stranger")
    stranger.known_hosts.pin(first.id, [first.host_key.replace("AAAAI", "AAAAI", 1)[:-4] + "AAAA"])
    with pytest.raises(HostKeyChanged):
        connection_to(stranger.configuration, first).run(Command.of("true"))
    with pytest.raises(HostKeyChanged, match="tag of"):
        stranger.receiver.reach()

    parts.receiver.stop()
    assert (only(parts).state, parts.receiver.status().ingress) == (InstanceState.STOPPED, ())

    # the next day, with the state directory lost: the tag tells the key, which its boot does not show again
    tomorrow = opened(controller="new")
    again = tomorrow.receiver.start()
    second = only(tomorrow)
    assert (second.id, second.host_key) == (first.id, first.host_key)
    assert second.address != first.address
    assert len(dead_men(again)) == 1
    said(again, "systemctl", "start", "ec2zfs-dead-man.timer")

    # kept up beyond its time while the controller works, powered off within it when the controller is gone
    with DeadMan(again, 0.5):
        assert len(dead_men(again)) == 1
        time.sleep(45)
        assert said(again, "echo", "still here") == "still here"
    stopped = Instances(tomorrow.ec2, POOL).await_state(first.id, InstanceState.STOPPED, 120)
    assert stopped.state is InstanceState.STOPPED

    opened(Market.SPOT, controller="new").receiver.stop()
    assert parts.receiver.status().instances == ()


@pytest.mark.parametrize("capacity", [True, False], ids=["spot", "no spot capacity"])
def test_a_receiver_for_one_day(capacity: bool, opened: Opened, lab: LabDescription) -> None:
    if not capacity:
        fault = Fault(FaultKind.FAIL, "RunInstances", code="InsufficientInstanceCapacity", times=CAPACITY_TRIES)
        LabClient(lab.endpoint).add(fault)
    parts = opened(Market.SPOT)
    parts.receiver.start()
    assert only(parts).market is (Market.SPOT if capacity else Market.ON_DEMAND)
    parts.receiver.stop()
    assert parts.receiver.status().instances == ()
    assert parts.receiver.status().ingress == ()


def test_a_machine_without_zfs_is_told_apart(opened: Opened) -> None:
    parts = opened()
    host = parts.receiver.start()
    said(host, "rm", "/usr/sbin/zpool")
    with pytest.raises(MissingTool, match="could not install ZFS"):
        parts.receiver.start()
