"""Pins of host keys: added, forgotten, never changed in passing."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from ec2zfs.errors import ExitCode, HostError, HostKeyChanged
from ec2zfs.hosts.known_hosts import KnownHosts

ED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIczNarTkarBq305YoQqDzyFpkpmwPMQfGv/vTORir35"
ED_OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJJJJJrTkarBq305YoQqDzyFpkpmwPMQfGv/vTORir99"
RSA = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDrWq7N2xvVvVvVvVvVvVvVvVvVvVvV=="
ECDSA = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBC"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "known_hosts"


@pytest.mark.parametrize(
    ("pinned", "offered", "outcome"),
    [
        ([], [ED], (ED,)),
        ([], [ED + " root@ip-10-0-0-1"], (ED,)),
        ([], [ED, RSA, ED], (ED, RSA)),
        ([ED], [ED], (ED,)),
        ([ED, RSA], [ED], (ED, RSA)),
        ([ED], [ED, RSA], (ED, RSA)),
        ([ED], [ED_OTHER], None),
        ([ED], [RSA], None),
        ([ED, RSA], [ED_OTHER, RSA], None),
    ],
)
def test_pinning(path: Path, pinned: list[str], offered: list[str], outcome: tuple[str, ...] | None) -> None:
    known = KnownHosts(path)
    if pinned:
        known.pin("i-0abc", pinned)
    if outcome is None:
        before = path.read_bytes()
        with pytest.raises(HostKeyChanged, match=rf"i-0abc.*{path}.*ssh-keygen -f") as caught:
            known.pin("i-0abc", offered)
        assert caught.value.exit_code == ExitCode.HOST_KEY
        assert path.read_bytes() == before
    else:
        known.pin("i-0abc", offered)
        assert known.keys("i-0abc") == outcome


def test_the_file_is_ours_alone(path: Path) -> None:
    KnownHosts(path).pin("i-0abc", [ED])
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["known_hosts"]


def test_other_lines_stay_as_they_are(path: Path) -> None:
    others = f"# a comment\n|1|hash=|hash= {RSA}\n@revoked i-0abc {ED_OTHER}\nnas,10.0.0.1 {ECDSA}\n\nbroken line\n"
    path.parent.mkdir()
    path.write_text(others)
    known = KnownHosts(path)
    known.pin("i-0abc", [ED])
    assert path.read_text() == others + f"i-0abc {ED}\n"
    assert known.keys("nas") == (ECDSA,)
    known.forget("i-0abc")
    assert path.read_text() == others


def test_a_forgotten_machine_can_be_pinned_anew(path: Path) -> None:
    known = KnownHosts(path)
    known.pin("i-0abc", [ED])
    known.pin("i-0abcd", [ED_OTHER])
    known.forget("i-0abc")
    assert (known.keys("i-0abc"), known.keys("i-0abcd")) == ((), (ED_OTHER,))
    known.pin("i-0abc", [ED_OTHER])
    assert known.keys("i-0abc") == (ED_OTHER,)


def test_nothing_is_known_without_a_file(path: Path) -> None:
    assert KnownHosts(path).keys("i-0abc") == ()
    KnownHosts(path).forget("i-0abc")
    assert not path.exists()


@pytest.mark.parametrize(
    ("alias", "keys"),
    [
        ("i-0abc", []),
        ("i-0abc", [""]),
        ("i-0abc", ["ssh-ed25519"]),
        ("i-0abc", ["ssh-ed25519 short"]),
        ("i-0abc", [f"{ED}\n* {ED_OTHER}"]),
        ("i-0abc", [f"nas {ED}"]),
        ("i-0abc", [f"@cert-authority {ED}"]),
        ("*", [ED]),
        ("", [ED]),
        ("a,b", [ED]),
        ("a b", [ED]),
        ("@revoked", [ED]),
    ],
)
def test_what_is_no_key_or_no_name_is_refused(path: Path, alias: str, keys: list[str]) -> None:
    with pytest.raises(HostError):
        KnownHosts(path).pin(alias, keys)
    assert not path.exists()


def test_pins_of_several_at_a_time_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=KnownHosts(path).pin, args=(f"i-{n}", [ED])) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(KnownHosts(path).keys(f"i-{n}") == (ED,) for n in range(16))
