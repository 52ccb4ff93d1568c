"""What is said between controller and worker comes out as it went in, whatever bytes are in names and secrets."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import sweep

from ec2zfs import errors
from ec2zfs.encryption import orders
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Content, Done, Failed, Format, Recipient, Recipients, Task
from ec2zfs.hosts.secret import Secret

_NAMES = st.binary(min_size=1, max_size=40).map(os.fsdecode)


@settings(max_examples=sweep.examples(25), deadline=None)
@given(st.lists(st.tuples(st.integers(0), st.builds(Task, _NAMES, _NAMES, st.booleans()))))
def test_tasks(numbered: list[tuple[int, Task]]) -> None:
    line = orders.written_tasks(numbered)
    assert b"\n" not in line
    assert orders.read_tasks(line) == numbered


@settings(max_examples=sweep.examples(25), deadline=None)
@given(_NAMES, st.integers(0), st.binary(min_size=32, max_size=32))
def test_a_task_that_is_done(name: str, size: int, digest: bytes) -> None:
    done = Done(Task(name, name), Content(size, digest), Content(size + 1, digest[::-1]))
    line = orders.written_outcomes([(7, done), (8, done)])
    assert b"\n" not in line
    numbers, rests = zip(*orders.outcome_numbers(line), strict=True)
    assert numbers == (7, 8)
    assert [orders.read_outcome(done.task, rest) for rest in rests] == [done, done]


@pytest.mark.parametrize(
    "kind", [errors.Damaged, errors.NoSpace, errors.WrongIdentity, errors.RecipientRefused, errors.Ec2zfsError]
)
def test_a_task_that_failed(kind: type[errors.Ec2zfsError]) -> None:
    failed = Failed(Task("a", "b"), kind("why", hint="what to do"))
    ((_, rest),) = orders.outcome_numbers(orders.written_outcomes([(0, failed)]))
    read = orders.read_outcome(failed.task, rest)
    assert isinstance(read, Failed)
    assert type(read.error) is kind
    assert (read.error.message, read.error.hint) == ("why", "what to do")


@settings(max_examples=sweep.examples(25), deadline=None)
@given(st.binary(), st.none() | st.binary())
def test_an_identity(secret: bytes, passphrase: bytes | None) -> None:
    identity = Identity(Format.OPENPGP, Secret(secret), None if passphrase is None else Secret(passphrase))
    written = orders.written_orders(orders.Orders(identity, durable=True, small=5))
    assert b"\n" not in written.reveal()
    read = orders.read_orders(written.reveal())
    assert read == orders.Orders(identity, durable=True, small=5)


def test_recipients_are_told_by_their_keys() -> None:
    key = Recipient("age1", "alice", "ab", frozenset({"cd"}), datetime(2030, 1, 1, tzinfo=UTC))
    line = orders.written_orders(orders.Orders(Recipients(Format.AGE, (key,)), durable=False))
    told = orders.read_orders(line.reveal())
    assert isinstance(told.key, Recipients)
    assert [each.key for each in told.key.keys] == ["age1"]
