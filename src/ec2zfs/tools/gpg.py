"""gpg as a filter: its argv, and what its status lines say. Starts nothing, and never takes `gpg`'s exit code alone for
the truth: it decrypts what was never encrypted with exit code 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto

_STATUS = re.compile(r"^\[GNUPG:\] (\w+)", re.MULTILINE)
# Not --quiet: then it keeps to itself that it has no key (seen in 2.2.40).
_ALWAYS = ("gpg", "--batch", "--no-tty", "--status-fd", "2", "--no-options")
_VALIDITY, _KEY_ID, _EXPIRES, _TEXT, _CAPABILITIES = 1, 4, 6, 9, 11
_FAULTS = {"e": "has expired", "r": "was revoked", "d": "is disabled", "i": "is invalid", "n": "is not valid"}
_REFUSED = {"INV_RECP", "FAILURE"}


def show_argv(home: str) -> tuple[str, ...]:
    """Tell of the public keys on standard input what gpg thinks of them, for `listed_keys`."""
    return ("gpg", "--batch", "--no-tty", "--quiet", "--no-options", "--homedir", home, "--with-colons", "--show-keys")


def encrypt_argv(home: str, keys: Sequence[str]) -> tuple[str, ...]:
    """Encrypt standard input to the public keys in these files; nothing is compressed, and no keyring is asked."""
    files = tuple(word for key in keys for word in ("--recipient-file", key))
    trust = ("--trust-model", "always", "--compress-algo", "none", "--no-keyring")
    return (*_ALWAYS, "--homedir", home, *trust, *files, "--encrypt")


def import_argv(home: str) -> tuple[str, ...]:
    """Take the identity on standard input into a home of ours; one with a passphrase stays under it."""
    return (*_ALWAYS, "--homedir", home, "--import")


def decrypt_argv(home: str | None, passphrase: int | None = None) -> tuple[str, ...]:
    """Decrypt standard input with the identities of a home, or (None) of the user's own, with agent and card.

    `passphrase` is the descriptor from which it comes; without one the user's agent asks.
    """
    where = () if home is None else ("--homedir", home, "--trust-model", "always")
    asks = () if passphrase is None else ("--pinentry-mode", "loopback", "--passphrase-fd", str(passphrase))
    return (*_ALWAYS, *where, *asks, "--decrypt")


@dataclass(frozen=True)
class ListedKey:
    """A public key as gpg judges it: `fault` in words if nothing may be done with it at all, else "".

    `encrypting` are the ids of those of its parts that encrypt and are valid now; `expires` is when the last of
    them, or the key itself, does, in UTC.
    """

    fingerprint: str
    name: str
    fault: str
    encrypting: frozenset[str]
    expires: datetime | None


def listed_keys(shown: str) -> list[ListedKey]:
    """The keys in a listing `--with-colons`; see doc/DETAILS of GnuPG."""
    keys: list[list[list[str]]] = []
    for fields in (line.split(":") for line in shown.splitlines()):
        if fields[0] == "pub":
            keys.append([])
        if keys:
            keys[-1].append(fields)
    return [_listed(key) for key in keys]


def _listed(lines: Sequence[Sequence[str]]) -> ListedKey:
    primary = lines[0]
    parts = [line for line in lines if line[0] in ("pub", "sub")]
    usable = [part for part in parts if part[_VALIDITY] not in _FAULTS and "e" in part[_CAPABILITIES]]
    ends = [_moment(part[_EXPIRES]) for part in usable]
    last = None if None in ends else max((end for end in ends if end), default=None)
    limits = [end for end in (last, _moment(primary[_EXPIRES])) if end]
    return ListedKey(
        next(line[_TEXT] for line in lines if line[0] == "fpr"),
        next((_plain(line[_TEXT]) for line in lines if line[0] == "uid"), "without a name"),
        _FAULTS.get(primary[_VALIDITY], ""),
        frozenset(part[_KEY_ID] for part in usable),
        min(limits, default=None),
    )


def _moment(seconds: str) -> datetime | None:
    return datetime.fromtimestamp(int(seconds), UTC) if seconds else None


def _plain(escaped: str) -> str:
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), escaped)


class Verdict(Enum):
    """What came of a decryption."""

    WHOLE = auto()
    NO_IDENTITY = auto()
    PASSPHRASE = auto()
    DAMAGED = auto()


def decrypted(status: int, stderr: str) -> Verdict:
    """Judge a decryption by its exit code and status lines: it is whole only if gpg checked it to its end."""
    lines = set(_STATUS.findall(stderr))
    if status == 0 and {"DECRYPTION_OKAY", "GOODMDC"} <= lines:
        return Verdict.WHOLE
    if "BAD_PASSPHRASE" in lines or "MISSING_PASSPHRASE" in lines or "Bad passphrase" in stderr:
        return Verdict.PASSPHRASE
    if "NO_SECKEY" in lines and "DECRYPTION_KEY" not in lines:
        return Verdict.NO_IDENTITY
    return Verdict.DAMAGED


def unusable_recipient(stderr: str) -> bool:
    """Whether an encryption failed for a key that gpg does not encrypt to."""
    return bool(_REFUSED & set(_STATUS.findall(stderr))) or "nusable public key" in stderr


def last_words(stderr: str) -> str:
    """The last line that is meant for people."""
    return next((line for line in reversed(stderr.splitlines()) if line and not line.startswith("[GNUPG:]")), "")
