"""The operator's own programs around the taking of snapshots: freeze before, thaw after, each with a time limit.

Thaw runs whatever happened, also when freeze failed half-way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Host


@dataclass(frozen=True)
class Hooks:
    """Programs with their arguments, None for none, and the seconds that each may take."""

    before: tuple[str, ...] | None = None
    after: tuple[str, ...] | None = None
    seconds: float = 60.0


@contextmanager
def hooked(host: Host, hooks: Hooks) -> Iterator[None]:
    """Run the hooks on the host around a `with` block. Raises `CommandFailed` where one failed."""
    try:
        _run(
            host,
            hooks.before,
            hooks,
            "No snapshot was taken. Mend what `before` in [snapshots] names, or leave it out.",
        )
        yield
    except BaseException as failure:
        try:
            _thaw(host, hooks)
        except CommandFailed as second:
            failure.add_note(f"After that, `after` of [snapshots] failed too: {second}")
        raise
    _thaw(host, hooks)


def _thaw(host: Host, hooks: Hooks) -> None:
    _run(host, hooks.after, hooks, "Look whether what `before` has frozen still is.")


def _run(host: Host, words: tuple[str, ...] | None, hooks: Hooks, hint: str) -> None:
    if words is None:
        return
    try:
        host.run(Command(words, timeout=hooks.seconds))
    except CommandFailed as error:
        raise CommandFailed(error.host, error.argv, error.status, error.stderr, hint=hint) from error
