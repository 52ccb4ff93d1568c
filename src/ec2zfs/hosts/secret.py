"""A secret in memory. It has no text form, is never pickled and reaches a process by stdin or a descriptor only."""

from __future__ import annotations

from typing import NoReturn


class Secret:
    """Bytes that must not be printed, logged, compared in variable time, or put into argv, environment or files."""

    __slots__ = ("__value",)

    def __init__(self, value: bytes) -> None:
        self.__value = bytes(value)

    def reveal(self) -> bytes:
        """Return the bytes, for the one place that hands them to a process's stdin or to a key derivation."""
        return self.__value

    def __len__(self) -> int:
        return len(self.__value)

    def __eq__(self, other: object) -> bool:
        from hmac import compare_digest

        return isinstance(other, Secret) and compare_digest(self.__value, other.__value)

    def __hash__(self) -> NoReturn:
        raise TypeError("a secret is not hashable: it has no place in a key or a cache")

    def __repr__(self) -> str:
        return "Secret(…)"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return repr(self)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")
