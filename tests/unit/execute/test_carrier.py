"""Which way streams take, why, and what is open meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from tests.fakes.zfs_world import WorldTransport, ZfsHost

from ec2zfs.errors import CloudError, Ec2zfsError, HostError
from ec2zfs.execute.carrier import SMALL, Carriage, Chosen
from ec2zfs.hosts.host import Host
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.transport.probe import Barrier

DIRECT, STRIPED, SSH = WorldTransport(), WorldTransport(), WorldTransport()
HOST = ZfsHost("receiver i-1")
NO_PORT = Barrier("port 28300 of receiver i-1 cannot be reached from here (timed out after 4 s)")
NO_PYTHON = Barrier("receiver i-1 has no program `python3`", serves=False)
REFUSED = CloudError("IAM does not allow ec2:AuthorizeSecurityGroupIngress.")
UNOPENED = "its ports could not be opened (IAM does not allow ec2:AuthorizeSecurityGroupIngress)"


@dataclass
class Line:
    """The ports of the receiver, and what stands in the way."""

    barred: Barrier = field(default_factory=Barrier)
    refusal: Ec2zfsError | None = None
    history: list[str] = field(default_factory=list)

    @contextmanager
    def admitted(self) -> Iterator[None]:
        if self.refusal:
            raise self.refusal
        self.history.append("open")
        try:
            yield
        finally:
            self.history.append("closed")

    def barrier(self, _host: Host) -> Barrier:
        self.history.append("probe")
        return self.barred

    def carrier(self, mode: StreamMode) -> Chosen:
        return Chosen(mode, DIRECT, STRIPED, SSH, self.admitted, self.barrier)

    def carriage(self, mode: StreamMode, *sizes: int | None) -> Carriage:
        with self.carrier(mode).ready(HOST, sizes or (None,)) as carriage:
            self.history.append("streams")
        return carriage


# the mode, what stands in the way; what carries, the words, and what happened
TABLE = {
    "auto, and the port is reached": (
        StreamMode.AUTO,
        Line(),
        Carriage(DIRECT, "The stream goes directly to receiver i-1, over several connections."),
        ["open", "probe", "streams", "closed"],
    ),
    "auto, and it is not": (
        StreamMode.AUTO,
        Line(NO_PORT),
        Carriage(STRIPED, f"The stream goes through several ssh connections: {NO_PORT.words}."),
        ["open", "probe", "closed", "streams"],
    ),
    "auto, and no end can run there": (
        StreamMode.AUTO,
        Line(NO_PYTHON),
        Carriage(SSH, f"The stream goes through ssh: {NO_PYTHON.words}."),
        ["open", "probe", "closed", "streams"],
    ),
    "auto, and EC2 does not open the ports": (
        StreamMode.AUTO,
        Line(refusal=REFUSED),
        Carriage(STRIPED, f"The stream goes through several ssh connections: {UNOPENED}."),
        ["probe", "streams"],
    ),
    "auto, and neither": (
        StreamMode.AUTO,
        Line(NO_PYTHON, REFUSED),
        Carriage(SSH, f"The stream goes through ssh: {UNOPENED}."),
        ["probe", "streams"],
    ),
    "direct": (
        StreamMode.DIRECT,
        Line(),
        Carriage(DIRECT, "The stream goes directly to receiver i-1, over several connections."),
        ["open", "probe", "streams", "closed"],
    ),
    "ssh": (
        StreamMode.SSH,
        Line(NO_PORT),
        Carriage(SSH, "The stream goes through ssh, as transport.mode says."),
        ["streams"],
    ),
    "ssh-striped": (
        StreamMode.SSH_STRIPED,
        Line(NO_PORT),
        Carriage(STRIPED, "The stream goes through several ssh connections, as transport.mode says."),
        ["streams"],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_the_way_and_its_reason(case: str) -> None:
    mode, line, expected, history = TABLE[case]
    line.history.clear()
    carriage = line.carriage(mode)
    assert carriage.words == expected.words
    assert carriage.transport is expected.transport
    assert line.history == history


def test_where_all_streams_are_small_nothing_is_opened() -> None:
    line = Line()
    carriage = line.carriage(StreamMode.AUTO, 0, SMALL - 1)
    assert carriage == Carriage(SSH, "The streams go through ssh: each is smaller than 8 MiB.")
    assert line.history == ["streams"]


def test_small_ones_among_others_go_through_ssh() -> None:
    carriage = Line().carriage(StreamMode.AUTO, SMALL - 1, SMALL)
    assert [carriage.of(size) for size in (0, SMALL - 1, SMALL, None)] == [SSH, SSH, DIRECT, DIRECT]
    carriage = Line(NO_PORT).carriage(StreamMode.AUTO, SMALL - 1, SMALL)
    assert [carriage.of(size) for size in (SMALL - 1, SMALL)] == [SSH, STRIPED]


def test_where_direct_is_ordered_all_go_directly() -> None:
    assert Line().carriage(StreamMode.DIRECT, 0).of(0) is DIRECT


def test_direct_is_not_replaced_by_another_way() -> None:
    line = Line(NO_PORT)
    with pytest.raises(HostError) as caught:
        line.carriage(StreamMode.DIRECT)
    assert caught.value.message == f"The stream cannot go directly: {NO_PORT.words}."
    assert 'transport.mode = "auto"' in caught.value.hint
    assert line.history == ["open", "probe", "closed"]
    with pytest.raises(CloudError) as refused:
        Line(refusal=REFUSED).carriage(StreamMode.DIRECT)
    assert refused.value is REFUSED


def test_a_failure_of_the_streams_closes_the_ports_and_is_what_is_raised() -> None:
    line = Line()
    with pytest.raises(CloudError, match="in the middle"), line.carrier(StreamMode.AUTO).ready(HOST, ()):
        raise CloudError("in the middle")
    assert line.history == ["open", "probe", "closed"]
