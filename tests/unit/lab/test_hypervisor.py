from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import attach, available, describe, running, state, until
from tests.unit.lab.conftest import Serve
from tests.unit.lab.fake_machine import FakeMachine

from ec2zfs.lab.api.room import Order
from ec2zfs.lab.hypervisor import GIB, Hardware, Hypervisor, serial
from ec2zfs.lab.machines.machine import MachineSpec
from ec2zfs.lab.machines.qmp import MachineError
from ec2zfs.lab.metadata import TTL, InstanceFacts

INSTANCE, VOLUME = "i-0123456789abcdef0", "vol-0123456789abcdef0"
FACTS = InstanceFacts(INSTANCE, "m7a.medium", "ami-1", "us-east-1", "us-east-1a")
ORDER = Order(INSTANCE, "127.1.2.3", lambda: FACTS)


class Room:
    """A hypervisor with its fake machines by name, and the names of those that ended by themselves."""

    def __init__(self, directory: Path) -> None:
        self.machines: dict[str, FakeMachine] = {}
        self.ended: list[str] = []
        self.hypervisor = Hypervisor(directory, Hardware(shutdown_seconds=0.2, look_seconds=0.01), self._make)
        self.hypervisor.watch(self.ended.append)

    def _make(self, spec: MachineSpec) -> FakeMachine:
        machine = self.machines[spec.name] = FakeMachine(spec)
        return machine


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    yield room
    room.hypervisor.close()


@pytest.fixture
def machine(room: Room) -> FakeMachine:
    room.hypervisor.start(ORDER, fresh=True)
    return room.machines[INSTANCE]


def test_a_machine_starts_at_its_address(machine: FakeMachine, tmp_path: Path) -> None:
    spec = machine.spec
    assert machine.told == ["start fresh"]
    assert (spec.name, spec.address, spec.ssh_port) == (INSTANCE, "127.1.2.3", 2222)
    assert spec.ports == (28300, 28307)
    assert spec.directory == tmp_path / "machines" / INSTANCE


def test_its_metadata_answers_where_it_is_told(machine: FakeMachine) -> None:
    base = f"http://127.0.0.1:{machine.spec.metadata_port}/latest"
    request = urllib.request.Request(f"{base}/api/token", method="PUT", headers={TTL: "60"})  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        assert answer.status == 200


def test_it_is_asked_to_stop(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.stop(INSTANCE)
    assert machine.told[1] == "power off"
    assert not machine.running()


def test_a_guest_that_does_not_stop_is_killed(room: Room, machine: FakeMachine) -> None:
    machine.stubborn = True
    room.hypervisor.stop(INSTANCE)
    assert not machine.running()


def test_it_starts_again_with_a_new_address(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.stop(INSTANCE)
    room.hypervisor.start(Order(INSTANCE, "127.1.2.4", lambda: FACTS), fresh=False)
    again = room.machines[INSTANCE]
    assert (again.told, again.spec.address) == (["start again"], "127.1.2.4")


@pytest.mark.parametrize("end", ["power_off", "kill"])
def test_a_machine_that_ends_by_itself_is_noticed_once(room: Room, machine: FakeMachine, end: str) -> None:
    getattr(machine, end)()
    until(lambda: room.ended == [INSTANCE])


def test_one_that_was_stopped_is_not(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.stop(INSTANCE)
    room.hypervisor.start(Order("i-1", "127.1.2.4", lambda: FACTS), fresh=True)
    room.machines["i-1"].kill()
    until(lambda: room.ended)
    assert room.ended == ["i-1"]


def test_the_watcher_outlives_what_goes_wrong_in_it(room: Room, machine: FakeMachine) -> None:
    told = threading.Event()

    def broken(_name: str) -> None:
        told.set()
        raise OSError("nobody knows it")

    room.hypervisor.watch(broken)
    machine.kill()
    assert told.wait(5.0)
    room.hypervisor.watch(room.ended.append)
    room.hypervisor.start(Order("i-1", "127.1.2.4", lambda: FACTS), fresh=True)
    room.machines["i-1"].kill()
    until(lambda: room.ended == ["i-1"])


def test_the_end_of_the_site_is_no_instances_end(
    room: Room, serving: Serve, ec2: EC2Client, caplog: pytest.LogCaptureFixture
) -> None:
    serving(room=room.hypervisor)
    instance = running(ec2)
    room.hypervisor.boot("site", "127.1.2.5", lambda: FACTS, fresh=True)
    room.machines["site"].kill()
    until(lambda: not room.hypervisor._places["site"].wanted)
    room.machines[instance].power_off()
    until(lambda: state(ec2, instance) == "stopped")
    assert "look at the machine" not in caplog.text


def test_what_starts_while_the_room_closes_is_ended(tmp_path: Path) -> None:
    room = Room(tmp_path)
    begun, go_on = threading.Event(), threading.Event()

    class Slow(FakeMachine):
        def start(self, *, fresh: bool) -> None:
            begun.set()
            go_on.wait()
            super().start(fresh=fresh)

    room.hypervisor._make = lambda spec: room.machines.setdefault(spec.name, Slow(spec))
    with ThreadPoolExecutor() as crew:
        starting = crew.submit(room.hypervisor.start, ORDER, fresh=True)
        begun.wait()
        room.hypervisor.close()
        go_on.set()
        with pytest.raises(MachineError, match="discarded while it started"):
            starting.result()
    assert not room.machines[INSTANCE].running()


def test_nothing_starts_in_a_room_that_is_closed(room: Room) -> None:
    room.hypervisor.close()
    with pytest.raises(MachineError, match="goes down"):
        room.hypervisor.start(ORDER, fresh=True)
    assert not room.machines[INSTANCE].running()


def test_a_volume_is_a_sparse_file_of_its_size(room: Room, tmp_path: Path) -> None:
    room.hypervisor.create_volume(VOLUME, 500)
    file = (tmp_path / "volumes" / f"{VOLUME}.raw").stat()
    assert (file.st_size, file.st_blocks, file.st_mode & 0o777) == (500 * GIB, 0, 0o600)


def test_it_is_attached_under_its_serial(room: Room, machine: FakeMachine, tmp_path: Path) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.attach(INSTANCE, VOLUME)
    assert machine.plugged["vol0123456789abcdef0"].path == tmp_path / "volumes" / f"{VOLUME}.raw"
    room.hypervisor.detach(INSTANCE, VOLUME)
    assert machine.plugged == {}


def test_a_serial_has_twenty_characters() -> None:
    assert len(serial(VOLUME)) == 20


def test_it_grows_in_the_machine_that_has_it(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.attach(INSTANCE, VOLUME)
    room.hypervisor.resize_volume(VOLUME, 2)
    assert machine.sizes == {serial(VOLUME): 2 * GIB}


def test_it_grows_by_itself_otherwise(room: Room, tmp_path: Path) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.resize_volume(VOLUME, 2)
    assert (tmp_path / "volumes" / f"{VOLUME}.raw").stat().st_size == 2 * GIB


def test_one_that_is_not_attached_is_detached_already(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.detach(INSTANCE, VOLUME)


def test_a_guest_that_holds_on_is_told(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.attach(INSTANCE, VOLUME)
    machine.clinging = True
    with pytest.raises(TimeoutError):
        room.hypervisor.detach(INSTANCE, VOLUME)


def test_a_guest_that_holds_on_loses_it_by_force(
    room: Room, machine: FakeMachine, caplog: pytest.LogCaptureFixture
) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.attach(INSTANCE, VOLUME)
    machine.clinging = True
    room.hypervisor.detach(INSTANCE, VOLUME, force=True)
    assert f"{VOLUME} was detached by force: it does not let go" in caplog.text
    room.hypervisor.detach(INSTANCE, VOLUME)


def test_volumes_outlive_a_discarded_machine(room: Room, machine: FakeMachine, tmp_path: Path) -> None:
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.attach(INSTANCE, VOLUME)
    room.hypervisor.discard(INSTANCE)
    assert machine.told[-1] == "discard"
    assert (tmp_path / "volumes" / f"{VOLUME}.raw").exists()
    room.hypervisor.delete_volume(VOLUME)
    assert list((tmp_path / "volumes").iterdir()) == []


def test_what_is_attached_while_a_machine_is_discarded_stays_known(room: Room, machine: FakeMachine) -> None:
    room.hypervisor.start(Order("i-1", "127.1.2.4", lambda: FACTS), fresh=True)
    room.hypervisor.create_volume(VOLUME, 1)
    room.hypervisor.create_volume("vol-1", 1)
    room.hypervisor.attach(INSTANCE, VOLUME)

    class Meanwhile(str):
        """An id: while it is looked for among the attached volumes (not the machines), another thread attaches one."""

        compared = 0

        def __eq__(self, other: object) -> bool:
            self.compared += 1
            if self.compared == 2:
                attaching.start()
                attaching.join(0.2)
            return super().__eq__(other)

        def __ne__(self, other: object) -> bool:
            return not self == other

        __hash__ = str.__hash__

    attaching = threading.Thread(target=room.hypervisor.attach, args=("i-1", "vol-1"))
    room.hypervisor.discard(Meanwhile(INSTANCE))
    attaching.join()
    room.hypervisor.detach("i-1", "vol-1")
    assert room.machines["i-1"].plugged == {}


def test_a_machine_that_does_not_start_leaves_no_server(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_machine: FakeMachine, *, fresh: bool) -> None:
        raise OSError("no memory")

    monkeypatch.setattr(FakeMachine, "start", broken)
    with pytest.raises(OSError, match="no memory"):
        room.hypervisor.start(ORDER, fresh=True)
    port = room.machines[INSTANCE].spec.metadata_port
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/latest")


def test_the_room_follows_the_api(room: Room, serving: Serve, ec2: EC2Client) -> None:
    serving(room=room.hypervisor)
    instance, data = running(ec2), available(ec2)
    attach(ec2, data, instance)
    machine = room.machines[instance]
    assert machine.spec.address == describe(ec2, instance)["PublicIpAddress"]
    assert list(machine.plugged) == [serial(data)]
    assert ec2.get_console_output(InstanceId=instance)["Output"] == f"console of {instance}\n"
    machine.power_off()
    until(lambda: state(ec2, instance) == "stopped")
    ec2.start_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "running")
    assert room.machines[instance].told == ["start again"]
    ec2.terminate_instances(InstanceIds=[instance])
    until(lambda: state(ec2, instance) == "terminated")
    assert room.machines[instance].told[-1] == "discard"
