"""Our own known_hosts file: which ssh keys a machine has been vouched for, by its alias (the instance's id).

A pin is added or forgotten, never changed in passing. Other lines of the file are left as they are. The file is
replaced as a whole, so that a reader or a crash never meets half of it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ec2zfs.errors import HostError, HostKeyChanged

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_KEY = re.compile(r"((?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[A-Za-z0-9@.-]+) +([A-Za-z0-9+/]{40,}={0,2})(?: .*)?")


class KnownHosts:
    """A known_hosts file (mode 0600), shared by all processes that hold the same path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def keys(self, alias: str) -> tuple[str, ...]:
        """The keys that are pinned for an alias, as `type base64`."""
        return tuple(_key_of(line) for line in self._lines() if _is_of(line, alias))

    def pin(self, alias: str, keys: Iterable[str]) -> None:
        """Remember the public keys of a machine (`type base64 [comment]`, as ssh prints them).

        Pinning the same again changes nothing. Raises `HostKeyChanged`, changing nothing, when other keys are pinned.
        """
        offered = [_checked(key) for key in keys]
        if not _ALIAS.fullmatch(alias) or not offered:
            raise HostError(
                f"There is no ssh key, or no name, to remember a machine by: {alias!r}, {len(offered)} keys."
            )
        with self._alone():
            pinned = self.keys(alias)
            if pinned and not _agree(pinned, offered):
                raise HostKeyChanged(
                    f"{alias} is said to have other ssh keys than those that are pinned for it in {self._path}.",
                    hint=f"Only if you know that the machine was made anew: ssh-keygen -f {self._path} -R {alias}",
                )
            new = [f"{alias} {key}" for key in dict.fromkeys(offered) if key not in pinned]
            if new:
                self._write([*self._lines(), *new])

    def forget(self, alias: str) -> None:
        """Drop the keys of a machine that is no more."""
        with self._alone():
            lines = self._lines()
            kept = [line for line in lines if not _is_of(line, alias)]
            if kept != lines:
                self._write(kept)

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _write(self, lines: list[str]) -> None:
        new = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(line + "\n" for line in lines)
            file.flush()
            os.fsync(descriptor)
        new.replace(self._path)


def _is_of(line: str, alias: str) -> bool:
    names, _, key = line.strip().partition(" ")
    return alias in names.split(",") and bool(_KEY.fullmatch(key.strip()))


def _key_of(line: str) -> str:
    return " ".join(line.split()[1:3])


def _checked(key: str) -> str:
    match = _KEY.fullmatch(key.strip())
    if not match:
        raise HostError(f"This is not a public ssh key: {key[:80]!r}.")
    return f"{match[1]} {match[2]}"


def _agree(pinned: Iterable[str], offered: Iterable[str]) -> bool:
    """Whether two sets share a key and differ in no type that both have."""
    old, new = (dict(key.split(" ") for key in keys) for keys in (pinned, offered))
    common = old.keys() & new.keys()
    return bool(common) and all(old[kind] == new[kind] for kind in common)
