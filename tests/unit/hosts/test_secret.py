"""A secret shows itself to nobody who does not ask for it by `reveal()`."""

from __future__ import annotations

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import string
import traceback
from collections.abc import Callable
from functools import partial
from logging.handlers import BufferingHandler
from typing import Any

import pytest

from ec2zfs.hosts.host import Command
from ec2zfs.hosts.secret import Secret

VALUE = b"correct horse battery staple"
SECRET = Secret(VALUE)
COMMAND = Command(("cat",), stdin=SECRET)


def logged(secret: Secret) -> str:
    """What a log of everything holds, the record's own attributes included."""
    log, handler = logging.getLogger("test of secrets"), BufferingHandler(capacity=10)
    log.addHandler(handler)
    log.error("%s %r %5s", secret, secret, secret, extra={"found": secret})
    log.error({"found": secret})
    log.removeHandler(handler)
    return "".join(f"{logging.Formatter().format(record)} {vars(record)}" for record in handler.buffer)


def failure(secret: Secret) -> str:
    """A traceback with the values of all variables, as crash reporters make them."""
    try:
        json.dumps({"found": secret})
    except TypeError as error:
        return "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return ""


SHOWN: dict[str, Callable[[Any], object]] = {
    "repr": repr,
    "str": str,
    "ascii": ascii,
    "format": format,
    "format with a specification": lambda secret: format(secret, ">40"),
    "f-string": lambda secret: f"{secret} {secret!r} {secret!s} {secret:x} {secret=}",
    "str.format": "{0} {0!r} {0:>40}".format,
    "percent": lambda secret: "%s %r %-9s" % (secret, secret, secret),  # noqa: UP031 - what is tested
    "template": lambda secret: string.Template("$found").substitute(found=secret),
    "print": lambda secret: print(secret, file=(heard := io.StringIO())) or heard.getvalue(),
    "pprint": lambda secret: pprint.pformat({"found": [secret]}),
    "a list": lambda secret: str([secret]),
    "a command": lambda secret: f"{dataclasses.replace(COMMAND, stdin=secret)}",
    "a log": logged,
    "an exception": lambda secret: f"{ValueError(secret)} {ValueError(secret)!r}",
    "a traceback": failure,
}


@pytest.mark.parametrize("way", SHOWN)
def test_what_shows_a_secret_shows_nothing_of_it(way: str) -> None:
    shown = str(SHOWN[way](SECRET))
    assert shown
    for hint in (VALUE.decode(), VALUE.hex(), "correct", "staple", str(list(VALUE))[1:-1]):
        assert hint not in shown


REFUSED: dict[str, Callable[[Any], object]] = {
    **{f"pickle {number}": partial(pickle.dumps, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
    "a pickled command": lambda secret: pickle.dumps(dataclasses.replace(COMMAND, stdin=secret)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "asdict": lambda secret: dataclasses.asdict(dataclasses.replace(COMMAND, stdin=secret)),
    "json": json.dumps,
    "json in a document": lambda secret: json.dumps({"found": [secret]}),
    "a key of json": lambda secret: json.dumps({secret: 1}),
    "hash": hash,
    "a set": lambda secret: {secret},
    "a key": lambda secret: {secret: 1},
    "bytes": bytes,
    "bytearray": bytearray,
    "memoryview": memoryview,
    "list": list,
    "an index": lambda secret: secret[0],
    "a search": lambda secret: b"horse" in secret,
    "text and secret": lambda secret: "key: " + secret,
    "bytes and secret": lambda secret: b"key: " + secret,
    "percent of bytes": lambda secret: b"%s" % secret,
    "join": lambda secret: "".join((secret,)),  # noqa: FLY002 - what is tested
    "write": lambda secret: io.StringIO().write(secret),
    "write of bytes": lambda secret: io.BytesIO().write(secret),
    "an order": lambda secret: secret < Secret(b"d"),
    "vars": vars,
}


@pytest.mark.parametrize("way", REFUSED)
def test_what_would_make_a_copy_or_a_text_is_refused_without_a_hint(way: str) -> None:
    with pytest.raises(TypeError) as caught:
        REFUSED[way](SECRET)
    said = str(caught.value)
    assert said
    assert "horse" not in said
    assert VALUE.hex() not in said


def test_nothing_can_be_hung_on_a_secret() -> None:
    for name in ("value", "name", "__dict__"):
        with pytest.raises(AttributeError):
            setattr(SECRET, name, VALUE)
    assert not hasattr(SECRET, "__dict__")


EQUALITY = [
    (Secret(VALUE), True),
    (Secret(VALUE + b"\n"), False),
    (Secret(VALUE[:-1]), False),
    (Secret(b""), False),
    (VALUE, False),
    (VALUE.decode(), False),
    (repr(SECRET), False),
    (None, False),
]


@pytest.mark.parametrize(("other", "equal"), EQUALITY, ids=lambda each: type(each).__name__)
def test_equal_is_a_secret_of_the_same_bytes(other: object, equal: bool) -> None:
    assert (other == SECRET, SECRET.__eq__(other), other != SECRET) == (equal, equal, not equal)


def test_who_asks_is_given_the_bytes_and_their_number() -> None:
    assert SECRET.reveal() == VALUE
    assert len(SECRET) == len(VALUE)
    assert Secret(b"").reveal() == b""


def test_a_secret_does_not_follow_the_buffer_that_it_was_made_of() -> None:
    buffer = bytearray(VALUE)
    secret = Secret(buffer)  # type: ignore[arg-type]
    buffer[:] = bytes(len(buffer))
    assert secret == SECRET
