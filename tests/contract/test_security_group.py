"""Who may reach a receiver, whoever keeps its group: EC2 (here the local one, through boto3) or the tests' memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest
from tests.fakes.fuse import Fuse, Killed, Moment
from tests.fakes.instances import FakeSecurityGroup
from tests.fakes.local_ec2 import HASTY, Served, served

from ec2zfs.cloud.protocols import Ingress, SecurityGroupApi
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.errors import Refused

OURS, THEIRS = "198.51.100.7/32", "203.0.113.9/32"
RULE = Ingress(OURS, "tcp", 22, 22)
STREAMS = (28300, 28315)
FOR_STREAMS = Ingress(OURS, "tcp", *STREAMS)


@dataclass(frozen=True)
class World:
    """The pool's group under test, and another's hand that lets somebody else in to port 22 as well."""

    group: SecurityGroupApi
    let_in: Callable[[str], None]


@pytest.fixture(scope="module")
def begin_world() -> Iterator[Callable[[str], World]]:
    """A group for each test: in the local EC2, that of a pool of its own."""
    with served() as cloud:
        pools = count(1)

        def begin(backend: str) -> World:
            return _in_memory() if backend == "memory" else _at_the_local_ec2(cloud, f"cloud-{next(pools)}")

        yield begin


@pytest.fixture(params=["memory", "local EC2"])
def world(request: pytest.FixtureRequest, begin_world: Callable[[str], World]) -> World:
    return begin_world(request.param)


def _in_memory() -> World:
    group = FakeSecurityGroup()

    def let_in(cidr: str) -> None:
        group.rules += (Ingress(cidr, "tcp", 22, 22),)

    return World(group, let_in)


def _at_the_local_ec2(cloud: Served, pool: str) -> World:
    group = SecurityGroup(cloud.ec2, pool, patience=HASTY)

    def let_in(cidr: str) -> None:
        cloud.ec2.authorize_security_group_ingress(
            GroupId=group.ensure(), IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp=cidr
        )

    return World(group, let_in)


def test_nobody_gets_in_at_first(world: World) -> None:
    assert world.group.ingress() == ()


def test_the_group_is_one_and_made_open_to_nobody(world: World) -> None:
    made = world.group.ensure()
    assert made.startswith("sg-")
    assert world.group.ensure() == made
    assert world.group.ingress() == ()


def test_opening_tells_whether_it_was_closed_before(world: World) -> None:
    assert world.group.open(OURS, 22)
    assert not world.group.open(OURS, 22)
    world.group.close()
    assert world.group.open(OURS, 22)
    assert world.group.ingress() == (RULE,)


def test_opening_makes_the_group_and_leaves_the_one_there_is(world: World) -> None:
    world.group.open(OURS, 22)
    made = world.group.ensure()
    world.group.open(THEIRS, 22)
    assert world.group.ensure() == made


@pytest.mark.parametrize(("cidr", "port"), [(THEIRS, 22), (OURS, 2222)])
def test_a_controller_that_moved_is_let_in_and_nobody_at_the_old_place(world: World, cidr: str, port: int) -> None:
    world.group.open(OURS, 22)
    assert world.group.open(cidr, port)
    assert world.group.ingress() == (Ingress(cidr, "tcp", port, port),)


def test_opening_closes_for_everybody_else(world: World) -> None:
    world.let_in("0.0.0.0/0")
    world.let_in(THEIRS)
    assert world.group.open(OURS, 22)
    assert world.group.ingress() == (RULE,)


def test_what_was_open_already_was_open_even_if_others_were_let_in_too(world: World) -> None:
    world.group.open(OURS, 22)
    world.let_in(THEIRS)
    assert not world.group.open(OURS, 22)
    assert world.group.ingress() == (RULE,)


@pytest.mark.parametrize(
    ("cidr", "source"),
    [
        ("198.51.100.7", "198.51.100.7/32"),
        ("198.51.100.7/24", "198.51.100.0/24"),
        ("2001:db8::7", "2001:db8::7/128"),
        ("2001:0db8:0::/32", "2001:db8::/32"),
    ],
)
def test_a_range_is_the_same_however_it_is_written(world: World, cidr: str, source: str) -> None:
    assert world.group.open(cidr, 22)
    assert world.group.ingress() == (Ingress(source, "tcp", 22, 22),)
    assert not world.group.open(source, 22)


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0", "198.51.100.7/0"])
def test_nothing_is_opened_for_everybody(world: World, cidr: str) -> None:
    world.group.open(OURS, 22)
    with pytest.raises(Refused, match="is everybody"):
        world.group.open(cidr, 22)
    assert world.group.ingress() == (RULE,)


def test_closing_closes_for_all_and_twice_is_once(world: World) -> None:
    world.group.open(OURS, 22)
    world.let_in(THEIRS)
    for _ in range(2):
        world.group.close()
        assert world.group.ingress() == ()


def test_closing_what_was_never_made_is_success(world: World) -> None:
    world.group.close()
    assert world.group.ingress() == ()


def test_a_group_that_was_opened_by_one_who_died_is_known_to_be_open(world: World) -> None:
    dying = Fuse(call=1, moment=Moment.AFTER).wrap(world.group)
    with pytest.raises(Killed):
        dying.open(OURS, 22)
    assert world.group.ingress() == (RULE,)
    assert not world.group.open(OURS, 22)


def test_streams_get_in_beside_ssh_and_are_closed_out_again(world: World) -> None:
    world.group.open(OURS, 22)
    for _ in range(2):
        world.group.admit(OURS, STREAMS)
        assert set(world.group.ingress()) == {RULE, FOR_STREAMS}
    for _ in range(2):
        world.group.expel(STREAMS)
        assert world.group.ingress() == (RULE,)


def test_streams_alone_are_closed_out_from_wherever_they_came(world: World) -> None:
    world.group.admit(OURS, STREAMS)
    world.group.admit(THEIRS, STREAMS)
    world.group.expel(STREAMS)
    assert world.group.ingress() == ()


@pytest.mark.parametrize("cidr", ["0.0.0.0/0", "::/0"])
def test_streams_are_not_admitted_from_everywhere(world: World, cidr: str) -> None:
    with pytest.raises(Refused, match="is everybody"):
        world.group.admit(cidr, STREAMS)
    assert world.group.ingress() == ()


def test_closing_out_streams_where_there_is_no_group_is_success(world: World) -> None:
    world.group.expel(STREAMS)
    assert world.group.ingress() == ()


def test_opening_and_closing_end_what_was_left_of_streams(world: World) -> None:
    for end in (lambda: world.group.open(OURS, 22), world.group.close):
        world.group.admit(OURS, STREAMS)
        end()
        assert FOR_STREAMS not in world.group.ingress()


def test_a_second_command_does_not_cut_the_streams_of_the_first_off(world: World) -> None:
    world.group.open(OURS, 22)
    world.group.admit(OURS, STREAMS)
    world.group.admit(THEIRS, STREAMS)
    assert not world.group.open(OURS, 22, streams=STREAMS)
    assert set(world.group.ingress()) == {RULE, FOR_STREAMS}
