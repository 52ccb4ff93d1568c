"""How a command is marked on a host on which we cannot send it a signal, and how it is ended there all the same.

A killed ssh leaves the far command running, and a user cannot kill what sudo started. So such a command carries a
random mark in its environment, which all of its children inherit, whatever sessions they make; to end it, a script
sends SIGTERM, then SIGKILL, to every process with that mark. The mark is no secret.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

_MARK = re.compile(r"EC2ZFS_JOB=([0-9a-f]{16})")

# A command that is just being started bears its mark a moment later. After SIGTERM nothing new is signalled, so that a
# script's own tidying up is left in peace, until time is up. The oldest is signalled first: a script whose program ends
# before it has been told to end itself would go on to its next line. The 20th word behind the name tells the age.
_END = """
job=$1
marked() { grep -zslF "EC2ZFS_JOB=$job" /proc/[0-9]*/environ; }
by_age() {
    for f in $1; do
        pid=${f#/proc/} pid=${pid%/environ}
        read -r line 2>/dev/null <"/proc/$pid/stat" && set -- ${line##*) } && echo "${20:-0} $pid"
    done | sort -n -k 1,1 -k 2,2 | cut -d ' ' -f 2
}
signal() { for pid in $(by_age "$2"); do kill "-$1" "$pid" 2>/dev/null; done; }
for i in 1 2 3; do
    found=$(marked)
    [ -z "$found" ] || break
    sleep 0.1
done
signal TERM "$found"
for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
    [ -n "$(marked)" ] || exit 0
    sleep 0.1
done
signal KILL "$(marked)"
"""


def new_mark() -> str:
    """A variable for the environment of one command."""
    return f"EC2ZFS_JOB={secrets.token_hex(8)}"


def as_root(argv: Sequence[str], mark: str) -> tuple[str, ...]:
    """The command through sudo, in the C locale; the mark stands behind sudo, which clears the environment."""
    return ("sudo", "-n", "--", "env", "LC_ALL=C", mark, *argv)


def ending(argv: Sequence[str]) -> tuple[str, ...] | None:
    """The command that ends what `argv` started; None if that bears no mark."""
    found = _MARK.search(" ".join(argv))
    return ("sh", "-c", _END, "ec2zfs", found[1]) if found else None
