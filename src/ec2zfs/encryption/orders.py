"""What the controller and a worker say to each other: lines of JSON, in which names keep bytes that are no UTF-8.

The first line is the orders, and may hold an identity: it goes through a pipe and is a `Secret` on both sides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ec2zfs import errors
from ec2zfs.encryption.formats import SMALL
from ec2zfs.encryption.identities import Identity
from ec2zfs.encryption.interface import Content, Done, Failed, Format, Recipient, Recipients, Task
from ec2zfs.errors import Ec2zfsError
from ec2zfs.hosts.secret import Secret

NO_TASK = -1
"""The number under which a worker says that it cannot follow its orders at all."""


class Orders(NamedTuple):
    """What a worker is to do with every task: encrypt to recipients, or decrypt with an identity.

    `durable` and `holes` as in files.py, `small` as in formats.py.
    """

    key: Recipients | Identity
    durable: bool
    small: int = SMALL
    holes: bool = False


def written_orders(orders: Orders) -> Secret:
    """The orders as a line."""
    common: dict[str, Any] = {
        "format": orders.key.format,
        "small": orders.small,
        "durable": orders.durable,
        "holes": orders.holes,
    }
    if isinstance(orders.key, Recipients):
        common["keys"] = [recipient.key for recipient in orders.key.keys]
    else:
        common["secret"] = _revealed(orders.key.secret)
        common["passphrase"] = _revealed(orders.key.passphrase)
    return Secret(json.dumps(common).encode())


def read_orders(line: bytes) -> Orders:
    """The orders that a line is. Recipients have been judged, so their keys alone are told."""
    told = json.loads(line)
    form = Format(told["format"])
    key: Recipients | Identity
    if "keys" in told:
        key = Recipients(form, tuple(Recipient(each, "", "", frozenset(), None) for each in told["keys"]))
    else:
        key = Identity(form, _hidden(told["secret"]), _hidden(told["passphrase"]))
    return Orders(key, told["durable"], told["small"], told["holes"])


def written_tasks(numbered: list[tuple[int, Task]]) -> bytes:
    """Tasks with their numbers as a line."""
    return json.dumps([[number, task.source, task.target, task.replace] for number, task in numbered]).encode()


def read_tasks(line: bytes) -> list[tuple[int, Task]]:
    """The tasks that a line is."""
    return [(number, Task(source, target, replace)) for number, source, target, replace in json.loads(line)]


def written_outcomes(numbered: Sequence[tuple[int, Done | Failed]]) -> bytes:
    """What became of tasks as a line."""
    return json.dumps([[number, *_told(outcome)] for number, outcome in numbered]).encode()


def _told(outcome: Done | Failed) -> Iterable[object]:
    if isinstance(outcome, Failed):
        error = outcome.error
        return type(error).__name__, error.message, error.hint
    return [[content.size, content.digest.hex()] for content in (outcome.read, outcome.written)]


def outcome_numbers(line: bytes) -> list[tuple[int, list[Any]]]:
    """The numbers of the tasks that a line speaks of, each with what `read_outcome` reads."""
    return [(number, rest) for number, *rest in json.loads(line)]


def read_outcome(task: Task, rest: list[Any]) -> Done | Failed:
    """What became of the task."""
    if isinstance(rest[0], str):
        kind, message, hint = rest
        return Failed(task, _error(kind)(message, hint=hint))
    read, written = (Content(size, bytes.fromhex(digest)) for size, digest in rest)
    return Done(task, read, written)


def _error(name: str) -> type[Ec2zfsError]:
    return {kind.__name__: kind for kind in _TOLD}.get(name, Ec2zfsError)


_TOLD = (
    errors.AlreadyThere,
    errors.Damaged,
    errors.MissingTool,
    errors.NoSpace,
    errors.RecipientRefused,
    errors.Refused,
    errors.Unreadable,
    errors.Unwritable,
    errors.WrongIdentity,
)


def _revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal().decode("latin-1")


def _hidden(text: str | None) -> Secret | None:
    return None if text is None else Secret(text.encode("latin-1"))
