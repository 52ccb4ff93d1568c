"""How the library that does OpenPGP fails: with errors of no class of its own, and with panics."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Answer = TypeVar("_Answer")


class LibraryFault(Exception):
    """The library did not do it; the text is what it says, without the backtrace that it may add."""


def asked(call: Callable[[], _Answer]) -> _Answer:
    """What a call of the library gives. Raises `LibraryFault` for whatever goes wrong in it.

    A ciphertext that is cut off where its content begins makes sequoia-openpgp 2.4.1 panic; that reaches Python as a
    BaseException, with which nothing is broken but the call.
    """
    try:
        return call()
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise LibraryFault(str(error).split("\n", 1)[0].strip()) from None
        raise
