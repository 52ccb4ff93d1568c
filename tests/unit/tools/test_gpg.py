"""What gpg says, read; its argv holds no secret and asks nobody."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from ec2zfs.tools import gpg
from ec2zfs.tools.gpg import ListedKey, Verdict

_WHOLE = "[GNUPG:] BEGIN_DECRYPTION\n[GNUPG:] DECRYPTION_OKAY\n[GNUPG:] GOODMDC\n[GNUPG:] END_DECRYPTION\n"


@pytest.mark.parametrize(
    ("status", "said", "verdict"),
    [
        (0, _WHOLE, Verdict.WHOLE),
        (2, _WHOLE, Verdict.DAMAGED),
        (0, _WHOLE.replace("GOODMDC", "BADMDC"), Verdict.DAMAGED),
        (0, "[GNUPG:] PLAINTEXT 62 0 \n[GNUPG:] PLAINTEXT_LENGTH 3\n", Verdict.DAMAGED),  # it was never encrypted
        (0, "", Verdict.DAMAGED),
        (2, "[GNUPG:] NO_SECKEY CE65CE11C86C145A\n[GNUPG:] DECRYPTION_FAILED\n", Verdict.NO_IDENTITY),
        (2, "[GNUPG:] NO_SECKEY 1\n[GNUPG:] DECRYPTION_KEY 2 3 u\n[GNUPG:] DECRYPTION_FAILED\n", Verdict.DAMAGED),
        (2, "gpg: public key decryption failed: Bad passphrase\n[GNUPG:] NO_SECKEY 1\n", Verdict.PASSPHRASE),
        (-9, "", Verdict.DAMAGED),
    ],
)
def test_decrypted(status: int, said: str, verdict: Verdict) -> None:
    assert gpg.decrypted(status, said) is verdict


_PRIMARY = (
    "pub:-:255:22:F108F73C82262E13:1577836800:::u:::scSC:::::ed25519:::0:\n"
    "fpr:::::::::FC2F:\nuid:-::::1::AB::A\\x3aB::::::::::0:\n"
)


@pytest.mark.parametrize(
    ("shown", "listed"),
    [
        ("", []),
        (_PRIMARY, [ListedKey("FC2F", "A:B", "", frozenset(), None)]),
        (
            _PRIMARY + "sub:-:255:18:FD63:1577836800::::::e:::::cv25519::\nfpr:::::::::356D:\n",
            [ListedKey("FC2F", "A:B", "", frozenset({"FD63"}), None)],
        ),
        (
            _PRIMARY
            + "sub:e:255:18:01:1:2:::::e:::::::\nsub:r:255:18:02:1:::::::e::::::\nsub:-:1:1:03:1:::::::s::::::\n"
            "sub:-:255:18:04:1:1893456000:::::e:::::::\n",
            [ListedKey("FC2F", "A:B", "", frozenset({"04"}), datetime(2030, 1, 1, tzinfo=UTC))],
        ),
        (
            _PRIMARY.replace("pub:-", "pub:e").replace("1577836800:::", "1577836800:1577923200::"),
            [ListedKey("FC2F", "A:B", "has expired", frozenset(), datetime(2020, 1, 2, tzinfo=UTC))],
        ),
        (
            "pub:r:3072:1:AA:1::::::escESC:\nfpr:::::::::AA:\npub:-:3072:1:BB:1::::::escESC:\nfpr:::::::::BB:\n",
            [
                ListedKey("AA", "without a name", "was revoked", frozenset(), None),
                ListedKey("BB", "without a name", "", frozenset({"BB"}), None),
            ],
        ),
    ],
)
def test_listed_keys(shown: str, listed: list[ListedKey]) -> None:
    assert gpg.listed_keys(shown) == listed


def test_what_is_run() -> None:
    common = "gpg --batch --no-tty --status-fd 2 --no-options"
    trust = "--trust-model always"
    assert " ".join(gpg.encrypt_argv("/h", ["/h/a", "/h/b"])) == (
        f"{common} --homedir /h {trust} --compress-algo none --no-keyring"
        " --recipient-file /h/a --recipient-file /h/b --encrypt"
    )
    assert " ".join(gpg.decrypt_argv(None)) == f"{common} --decrypt"
    assert " ".join(gpg.decrypt_argv("/h", 7)) == (
        f"{common} --homedir /h {trust} --pinentry-mode loopback --passphrase-fd 7 --decrypt"
    )
    assert " ".join(gpg.import_argv("/h")) == f"{common} --homedir /h --import"
