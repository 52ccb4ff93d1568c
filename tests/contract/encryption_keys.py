"""Keys for the tests of encryption, made by gpg and age-keygen themselves, once a session."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ec2zfs.hosts.secret import Secret

PASSPHRASE = "an old word"
_CARDS = {
    "locked": f"Expire-Date: 0\nPassphrase: {PASSPHRASE}",
    "alice": "%no-protection\nExpire-Date: 0",
    "bob": "Expire-Date: 0",
    "revoked": "Expire-Date: 0",
    "signer": "Expire-Date: 0",
}
_LONG_AGO = ("--faked-system-time", "20200101T000000")
_SUBKEY = "Subkey-Type: ECDH\nSubkey-Curve: cv25519\n"


@dataclass(frozen=True)
class Gnupg:
    """A home with the keys `alice`, `bob`, `locked` (under a passphrase), and keys that nothing may be encrypted to.

    `expired`, `revoked`, `signer` (it only signs) and `stale` (its encryption subkey has expired). `renewed` has such a
    subkey and a valid one.
    """

    home: Path

    @classmethod
    def made(cls, home: Path) -> Self:
        """Make it in a directory with a short name: gpg-agent's socket stands in it."""
        home.mkdir(mode=0o700)
        made = cls(home)
        # These keys protect nothing; the best randomness and slow passphrases would take seconds.
        (home / "gpg-agent.conf").write_text("s2k-count 65536\n")
        agent = ["gpg-agent", "--homedir", str(home), "--quiet", "--debug-quick-random", "--daemon"]
        subprocess.run(agent, check=True, stdout=subprocess.DEVNULL)
        made.gpg("--gen-key", stdin="\n".join(_card(name, expiry) for name, expiry in _CARDS.items()).encode())
        made.gpg(*_LONG_AGO, "--passphrase", "", "--quick-gen-key", "expired", "future-default", "default", "1y")
        for name in ("stale", "renewed"):
            made.gpg(*_LONG_AGO, "--passphrase", "", "--quick-gen-key", name, "ed25519", "default", "never")
            made._subkey(name, "1d", *_LONG_AGO)
        made._subkey("renewed", "never")
        revocation = (home / "openpgp-revocs.d" / f"{made.fingerprint('revoked')}.rev").read_text()
        made.gpg("--import", stdin=revocation.replace("\n:---", "\n---").encode())
        return made

    def gpg(self, *words: str, stdin: bytes = b"") -> bytes:
        """Run gpg in this home; what it prints."""
        argv = [
            "gpg",
            "--homedir",
            str(self.home),
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--trust-model",
            "always",
            *words,
        ]
        return subprocess.run(argv, input=stdin, capture_output=True, check=True).stdout

    def _subkey(self, name: str, expiry: str, *words: str) -> None:
        self.gpg(*words, "--passphrase", "", "--quick-add-key", self.fingerprint(name), "cv25519", "encr", expiry)

    def fingerprint(self, name: str) -> str:
        """The fingerprint of a key."""
        lines = self.gpg("--with-colons", "--list-keys", name).decode().splitlines()
        return next(line.split(":")[9] for line in lines if line.startswith("fpr:"))

    def public(self, *names: str) -> str:
        """Public keys in one armoured block."""
        return self.gpg("--armor", "--export", *names).decode()

    def secret(self, name: str) -> Secret:
        """A private key, armoured."""
        return Secret(self.gpg("--armor", "--passphrase", PASSPHRASE, "--export-secret-keys", name))

    def end(self) -> None:
        """End its agent and remove it; the agent removes its sockets meanwhile."""
        subprocess.run(["gpgconf", "--homedir", str(self.home), "--kill", "all"], check=True)
        shutil.rmtree(self.home, onerror=_unless_gone)


def _unless_gone(_: object, __: str, fault: tuple[type[BaseException], BaseException, object]) -> None:
    if not isinstance(fault[1], FileNotFoundError):
        raise fault[1]


def age_identity() -> Secret:
    """A new identity, as age-keygen writes it."""
    return Secret(subprocess.run(["age-keygen"], capture_output=True, check=True).stdout)


def age_recipient(identity: Secret) -> str:
    """The recipient of an identity."""
    argv = ["age-keygen", "-y"]
    return subprocess.run(argv, input=identity.reveal(), capture_output=True, check=True).stdout.decode()


def _card(name: str, expiry: str) -> str:
    subkey = "" if name == "signer" else _SUBKEY
    primary = "Key-Type: EDDSA\nKey-Curve: ed25519\nKey-Usage: sign\n"
    return f"{primary}{subkey}Name-Real: {name}\nName-Email: {name}@example.org\n{expiry}\n%commit\n"
