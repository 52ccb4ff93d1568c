"""One suite over both formats: what one end encrypts the other decrypts, or names its fault; the stock programs too."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.contract.encryption_keys import PASSPHRASE, Gnupg, age_identity, age_recipient
from tests.contract.encryption_ways import SMALL, Way, age_way, decrypted, encrypted, gpg_way, through

from ec2zfs.encryption import formats
from ec2zfs.encryption.identities import OWN_GPG, Identity, recognised
from ec2zfs.encryption.interface import Format
from ec2zfs.encryption.openpgp import OpenPgpDecryptor
from ec2zfs.encryption.packets import encrypted_keys
from ec2zfs.encryption.recipients import judged
from ec2zfs.errors import Damaged, RecipientRefused, Refused, WrongIdentity
from ec2zfs.hosts.secret import Secret

# Around the threshold, around age's chunks of 64 KiB, and many pieces of a pipe.
SIZES = [0, 1, SMALL - 1, SMALL, SMALL + 1, (2 << 16) - 1, 3 << 20]
LARGE = SMALL + 70_000


@pytest.fixture(params=["openpgp", "age"])
def way(request: pytest.FixtureRequest) -> Way:
    """Each of the formats."""
    found: Way = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def openpgp(gnupg: Gnupg) -> Way:
    """OpenPGP, with keys as gpg makes them."""
    first, second, stranger = (recognised(gnupg.secret(name)) for name in ("alice", "bob", "locked"))
    stranger = stranger._replace(passphrase=Secret(PASSPHRASE.encode()))
    return Way(judged([gnupg.public("alice", "bob")]), first, second, stranger, *gpg_way(gnupg))


@pytest.fixture(scope="module")
def age() -> Way:
    """age, with keys as age-keygen makes them."""
    first, second, stranger = (age_identity() for _ in range(3))
    recipients = judged([age_recipient(first) + age_recipient(second)])
    identities = (recognised(first), recognised(second), recognised(stranger))
    return Way(recipients, *identities, *age_way(recipients, first))


def _content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_was_encrypted_is_decrypted(way: Way, size: int) -> None:
    content = _content(size)
    ciphertext = encrypted(way.recipients, content)
    assert content[:32] == b"" or content[:32] not in ciphertext or size < 8
    assert decrypted(way.first, ciphertext) == content
    assert way.stock_decrypt(ciphertext) == content


@pytest.mark.parametrize("size", [0, 1, LARGE])
def test_what_the_stock_program_encrypted_is_decrypted(way: Way, size: int) -> None:
    assert decrypted(way.first, way.stock_encrypt(_content(size))) == _content(size)


@pytest.mark.parametrize("size", [10, LARGE])
def test_each_recipient_can_decrypt_and_nobody_else(way: Way, size: int) -> None:
    ciphertext = encrypted(way.recipients, _content(size))
    assert decrypted(way.second, ciphertext) == _content(size)
    with pytest.raises(WrongIdentity, match="the file is not encrypted to the identity"):
        decrypted(way.stranger, ciphertext)


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_ciphertext_that_was_altered_anywhere_is_refused(way: Way, size: int) -> None:
    ciphertext = encrypted(way.recipients, _content(size))
    chance = random.Random(size)
    with closing(formats.decryptor(way.first, SMALL)) as decryptor:
        for at in [0, len(ciphertext) - 1, *(chance.randrange(len(ciphertext)) for _ in range(8))]:
            altered = bytearray(ciphertext)
            altered[at] ^= 1 << chance.randrange(8)
            # Not all of a head is under the content's seal: another recipient's part of it may be anything.
            with suppress(Damaged, WrongIdentity):
                assert through(decryptor.decrypt, bytes(altered)) == _content(size), at
                assert at < len(ciphertext) - size


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_ciphertext_that_was_cut_off_anywhere_is_refused(way: Way, size: int) -> None:
    ciphertext = encrypted(way.recipients, _content(size))
    chance = random.Random(size)
    ends = [0, 1, len(ciphertext) - 1, len(ciphertext) - 22, *(chance.randrange(len(ciphertext)) for _ in range(6))]
    with closing(formats.decryptor(way.first, SMALL)) as decryptor:
        for end in ends:
            with pytest.raises((Damaged, WrongIdentity)):
                through(decryptor.decrypt, ciphertext[:end])


@pytest.mark.parametrize("size", [10, LARGE])
@pytest.mark.parametrize("more", [b"\0", b"more", "again"])
def test_what_goes_on_after_its_end_is_refused(way: Way, size: int, more: bytes | str) -> None:
    ciphertext = encrypted(way.recipients, _content(size))
    with pytest.raises(Damaged):
        decrypted(way.first, ciphertext + (ciphertext if isinstance(more, str) else more))


def test_what_is_no_ciphertext_is_refused(way: Way) -> None:
    literal = b"\xcb\x09b\0\0\0\0\0abc"  # an OpenPGP message that was never encrypted, which gpg takes
    with closing(formats.decryptor(way.first, SMALL)) as decryptor:
        for data in (b"plain text", literal, bytes(2 * SMALL), literal * SMALL):
            with pytest.raises(Damaged):
                through(decryptor.decrypt, data)


def test_an_encrypted_key_before_a_plain_content_is_no_ciphertext(openpgp: Way) -> None:
    ciphertext = encrypted(openpgp.recipients, b"abc")
    head = ciphertext[: 2 + ciphertext[1]]
    assert len(encrypted_keys(head)) == 1
    with closing(formats.decryptor(openpgp.first, SMALL)) as decryptor:
        for content in (b"\xcb\x09b\0\0\0\0\0abc", b"\xcb\xff\0\2\0\0b\0\0\0\0\0" + bytes((2 << 16) - 6)):
            with pytest.raises((Damaged, WrongIdentity)):
                through(decryptor.decrypt, head + content)


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_message_says_to_whom_it_is_encrypted(openpgp: Way, size: int) -> None:
    said = {key.key_id for key in encrypted_keys(encrypted(openpgp.recipients, _content(size)))}
    assert said == frozenset[str]().union(*(key.addresses for key in openpgp.recipients.keys))


@pytest.mark.parametrize("size", [10, LARGE])
def test_an_identity_under_a_passphrase(gnupg: Gnupg, size: int) -> None:
    ciphertext = encrypted(judged([gnupg.public("locked")]), _content(size))
    locked = recognised(gnupg.secret("locked"), Secret(PASSPHRASE.encode()))
    assert decrypted(locked, ciphertext) == _content(size)
    for wrong in (None, Secret(b"another word")):
        with pytest.raises(Refused, match="identity cannot be used"):
            decrypted(locked._replace(passphrase=wrong), ciphertext)


@pytest.mark.parametrize("name", ["expired", "stale"])
@pytest.mark.parametrize("size", [10, LARGE])
def test_what_was_encrypted_before_a_key_expired_can_still_be_decrypted(gnupg: Gnupg, name: str, size: int) -> None:
    then = ("--faked-system-time", "20200101T120000", "--recipient", name, "--encrypt")
    ciphertext = gnupg.gpg(*then, stdin=_content(size))
    assert decrypted(recognised(gnupg.secret(name)), ciphertext) == _content(size)


def test_the_users_own_gpg_decrypts(openpgp: Way, gnupg: Gnupg, monkeypatch: pytest.MonkeyPatch) -> None:
    ciphertext = encrypted(openpgp.recipients, b"content")
    monkeypatch.setenv("GNUPGHOME", str(gnupg.home))
    assert decrypted(OWN_GPG, ciphertext) == b"content"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("expired", "has expired"),
        ("stale", "no part that encrypts and is valid now"),
        ("revoked", "was revoked"),
        ("signer", "no part that encrypts"),
    ],
)
def test_nothing_is_encrypted_to(gnupg: Gnupg, name: str, why: str) -> None:
    with pytest.raises(RecipientRefused, match=f"recipient {name}.*{why}"):
        judged([gnupg.public("alice"), gnupg.public(name)])


def test_a_subkey_that_has_expired_is_left_out(gnupg: Gnupg) -> None:
    """The library encrypts to any subkey, so a key with an old one and a new one is to have the new one alone."""
    (stale,) = judged([gnupg.public("renewed")]).keys
    assert len(stale.addresses) == 1
    ciphertext = encrypted(judged([gnupg.public("renewed")]), b"content")
    assert {key.key_id for key in encrypted_keys(ciphertext)} == stale.addresses
    assert gnupg.gpg("--decrypt", stdin=ciphertext) == b"content"


def test_an_identity_is_no_recipient_and_is_not_quoted(gnupg: Gnupg, age: Way) -> None:
    secret, age_secret = gnupg.secret("alice").reveal().decode(), (age.first.secret or Secret(b"")).reveal().decode()
    disguised = secret.replace("PRIVATE KEY BLOCK", "PUBLIC KEY BLOCK")
    for text in (secret, disguised, gnupg.public("bob") + secret, age_secret, age_secret.lower()):
        with pytest.raises(RecipientRefused, match=r"private key|age identity") as refused:
            judged([text])
        assert all(line.strip() not in str(refused.value) for line in text.splitlines() if len(line) > 20)


@pytest.mark.parametrize(
    ("texts", "why"),
    [
        ([], "No recipient is given"),
        (["# nobody\n"], "No recipient is given"),
        (["ssh-ed25519 AAAA"], "is no age recipient"),
        (["age1qqqq"], "is no age recipient"),
        (["-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nrubbish\n-----END PGP PUBLIC KEY BLOCK-----\n"], "cannot be read"),
    ],
)
def test_what_is_no_public_key_is_refused(texts: list[str], why: str) -> None:
    with pytest.raises(RecipientRefused, match=why):
        judged(texts)


def test_one_format_at_a_time_and_no_key_twice(gnupg: Gnupg, age: Way) -> None:
    with pytest.raises(RecipientRefused, match="OpenPGP and age keys together"):
        judged([gnupg.public("alice"), age.recipients.keys[0].key])
    assert len(judged([gnupg.public("alice"), gnupg.public("alice", "bob")]).keys) == 2


def test_a_key_that_gpg_cannot_read_is_refused() -> None:
    import pysequoia

    key = pysequoia.Tsk.generate(user_id="new", profile=pysequoia.Profile.RFC9580).extract_certificate()
    with pytest.raises(RecipientRefused, match="of version 6"):
        judged([str(key)])


def test_no_home_of_gpg_and_no_agent_is_left(openpgp: Way) -> None:
    decryptor = OpenPgpDecryptor(openpgp.first, SMALL)
    assert through(decryptor.decrypt, encrypted(openpgp.recipients, _content(LARGE)))
    assert decryptor._gpg is not None
    assert decryptor._gpg.home is not None
    home = Path(decryptor._gpg.home.path)
    assert home.parent == Path("/dev/shm")
    assert home.stat().st_mode & 0o777 == 0o700
    assert _processes_of(home)
    decryptor.close()
    assert not home.exists()
    assert not _processes_of(home)


_KILLED = """
import os, signal, sys
from tests.contract.encryption_ways import through
from ec2zfs.encryption.identities import recognised
from ec2zfs.encryption.interface import Format
from ec2zfs.encryption.openpgp import OpenPgpDecryptor
from ec2zfs.hosts.secret import Secret
given, _, ciphertext = sys.stdin.buffer.read().partition(b"\\0")
decryptor = OpenPgpDecryptor(recognised(Secret(given)), 10)
assert through(decryptor.decrypt, ciphertext)
print(decryptor._gpg.home.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_home_of_gpg_and_no_agent_is_left_by_one_that_is_killed(openpgp: Way) -> None:
    assert openpgp.first.secret is not None
    given = openpgp.first.secret.reveal() + b"\0" + encrypted(openpgp.recipients, _content(LARGE))
    ended = subprocess.run([sys.executable, "-c", _KILLED], input=given, stdout=subprocess.PIPE, check=False)
    assert ended.returncode == -signal.SIGKILL
    home = Path(ended.stdout.decode().strip())
    assert home.parent == Path("/dev/shm")
    deadline = time.monotonic() + 60
    while home.exists() or _processes_of(home):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _processes_of(home: Path) -> list[str]:
    return subprocess.run(["pgrep", "-f", str(home)], capture_output=True, text=True, check=False).stdout.split()


def test_what_is_no_identity_is_refused_and_not_quoted() -> None:
    for text in (b"", b"rubbish 1234", b"age1zzz", b"AGE-SECRET-KEY-1RUBBISH"):
        with pytest.raises(Refused) as refused:
            decrypted(recognised(Secret(text)), b"")
        assert b"1234" not in str(refused.value).encode()
        assert b"RUBBISH" not in str(refused.value).encode()


def test_an_identity_has_no_text() -> None:
    assert "rubbish" not in repr(Identity(Format.AGE, Secret(b"rubbish")))
