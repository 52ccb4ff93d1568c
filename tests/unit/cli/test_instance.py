"""`ec2zfs instance` against the local EC2 without machines: what it shows, asks and refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.fakes.local_ec2 import HASTY, IMAGE, REGION, ZONE, Served, served

from ec2zfs.cli import main
from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instances import InstanceOrder, Instances
from ec2zfs.cloud.key_pairs import ensure_key_pair
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.errors import ExitCode
from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.model.instance import Instance, InstanceState, Market

CONFIGURATION = """
[aws]
region = "{region}"
zone = "{zone}"
endpoint_url = "{endpoint}"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 1
volumes_per_vdev = 3
[volumes]
type = "gp3"
size_gib = 1
[receiver]
image = "{image}"
instance_type = "{type}"
market = "{market}"
allow_from = "203.0.113.9/32"
[site]
[[source]]
dataset = "tank"
[pool_key]
[paths]
state = "{state}"
"""


class Command:
    """Runs `ec2zfs --json instance …` on a configuration, and keeps what it printed."""

    def __init__(self, cloud: Served, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.cloud = cloud
        self.file = directory / "ec2zfs.toml"
        self.state = directory / "state"
        self.capsys = capsys
        self.configure()

    def configure(self, type_: str = "m7a.medium", market: str = "on-demand") -> None:
        endpoint = self.cloud.local.endpoint
        values = {"region": REGION, "zone": ZONE, "endpoint": endpoint, "image": IMAGE, "state": self.state}
        self.file.write_text(CONFIGURATION.format(**values, type=type_, market=market))

    def __call__(self, *words: str) -> int:
        status = main(["--config", str(self.file), "--json", "instance", *words])
        printed = self.capsys.readouterr()
        self.events = [json.loads(line) for line in printed.out.splitlines()]
        self.error = json.loads(printed.err.splitlines()[-1]) if printed.err else {}
        return status

    def rows(self, event: str) -> list[dict[str, object]]:
        return [row for each in self.events if each["event"] == event for row in each["rows"]]

    @property
    def changes(self) -> list[str]:
        return [call for call in self.cloud.local.calls.counts() if not call.startswith("Describe")]

    def running(self) -> Instance:
        instances = Instances(self.cloud.ec2, "cloud", HASTY)
        group = SecurityGroup(self.cloud.ec2, "cloud", None, HASTY)
        group.open("203.0.113.9/32", 22)
        key = ensure_key_pair(self.cloud.ec2, "cloud", ensure_keypair(self.state / "receiver_ed25519"))
        image = find_image(self.cloud.ec2, IMAGE)
        order = InstanceOrder(image, "m7a.medium", Market.ON_DEMAND, ZONE, key, group.ensure())
        made = instances.run(order)
        instances.remember_host_key(made.id, "ssh-ed25519 AAAA")
        return instances.await_state(made.id, InstanceState.RUNNING, 5)


@pytest.fixture
def instance(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Command]:
    with served() as cloud:
        monkeypatch.setattr("ec2zfs.cli.session.Session.ec2", cloud.ec2)  # a client takes a second to make
        yield Command(cloud, tmp_path, capsys)


@pytest.mark.parametrize(("market", "verb"), [("on-demand", "create"), ("spot", "create"), ("spot", "start")])
def test_a_plan_is_shown_with_its_price_and_nothing_is_changed(instance: Command, market: str, verb: str) -> None:
    instance.configure(market=market)
    assert instance(verb, "--dry-run") == ExitCode.OK
    assert instance.rows("actions") == [{"action": f"run a new m7a.medium in {ZONE}, {market}"}]
    price = instance.events[-1]
    assert (price["type"], price["on_demand_an_hour"]) == ("m7a.medium", "$0.063")
    assert instance.changes == []


def test_start_makes_no_instance_on_demand(instance: Command) -> None:
    assert instance("start") == ExitCode.REFUSED
    assert "ec2zfs instance create" in instance.error["hint"]
    assert instance.changes == []


def test_a_type_under_4_gib_is_refused_with_the_reason(instance: Command) -> None:
    instance.configure("t3.small")
    assert instance("create") == ExitCode.REFUSED
    assert "A t3.small has 2 GiB of memory; a receiver needs at least 4 GiB" in instance.error["message"]
    assert instance.changes == []


def test_a_type_for_another_architecture_is_refused(instance: Command) -> None:
    instance.configure("m7g.medium")
    assert instance("create", "--dry-run") == ExitCode.REFUSED
    assert "receiver.image is made for x86_64" in instance.error["message"]


def test_status_of_nothing(instance: Command) -> None:
    assert instance("status") == ExitCode.OK
    assert (instance.rows("receivers"), instance.rows("open_doors")) == ([], [])


def test_a_running_receiver_is_shown_and_stopped(instance: Command) -> None:
    running = instance.running()
    assert instance("status") == ExitCode.OK
    (row,) = instance.rows("receivers")
    assert (row["instance"], row["state"], row["host_key_pinned"]) == (running.id, "running", False)
    assert instance.rows("open_doors") == [{"who": "203.0.113.9/32", "ports": "tcp 22"}]

    assert instance("stop", "--dry-run") == ExitCode.OK
    assert instance.rows("actions")[0] == {"action": f"stop {running.id}"}

    assert instance("stop") == ExitCode.OK
    (row,) = instance.rows("receivers")
    assert (row["state"], instance.rows("open_doors")) == ("stopped", [])
    assert instance("start", "--dry-run") == ExitCode.OK
    assert instance.rows("actions") == [{"action": f"start {running.id}"}]


def test_nobody_logs_in_to_a_receiver_that_is_not_up(instance: Command) -> None:
    assert instance("ssh") == ExitCode.HOST
    assert "No receiver of pool cloud is running" in instance.error["message"]
