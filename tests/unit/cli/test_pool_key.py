"""Where a pool key may come from, what belongs to it, and what is refused."""

from __future__ import annotations

import os

import pytest

from ec2zfs.cli.pool_key import read_new_pool_key, read_pool_key
from ec2zfs.config import NewPoolKeySection, PoolKeySection
from ec2zfs.errors import CommandFailed, ConfigurationError, Ec2zfsError, Refused
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.secret import Secret

KEY = b"k" * 32


def section(**values: object) -> PoolKeySection:
    return PoolKeySection.model_validate(values)


def read(source: str, given: bytes, monkeypatch: pytest.MonkeyPatch) -> Secret:
    """The key that comes of these bytes at a source."""
    match source:
        case "command":
            octal = "".join(f"\\{byte:03o}" for byte in given)
            return read_pool_key(
                section(**{"from": source, "command": ["printf", octal or "%s"]}), LocalHost(), "cloud"
            )
        case "descriptor":
            reading, writing = os.pipe()
            os.write(writing, given)
            os.close(writing)
            return read_pool_key(section(**{"from": source, "descriptor": reading}), LocalHost(), "cloud")
        case _:
            monkeypatch.setattr("getpass.getpass", lambda _prompt: given.decode().removesuffix("\n"))
            return read_pool_key(section(), LocalHost(), "cloud")


GIVEN = [
    (KEY, KEY),
    (KEY + b"\n", KEY),
    (KEY + b"\r\n", KEY),
    (KEY + b"\n\n", KEY + b"\n"),
    (b" " + KEY + b" ", b" " + KEY + b" "),
    (b"\x00\xff\r" * 11 + b"\r", b"\x00\xff\r" * 11 + b"\r"),
    (b"k" * 4096, b"k" * 4096),
]


@pytest.mark.parametrize("source", ["command", "descriptor"])
@pytest.mark.parametrize(("given", "key"), GIVEN)
def test_one_line_break_at_the_end_does_not_belong_to_the_key(
    source: str, given: bytes, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read(source, given, monkeypatch).reveal() == key


@pytest.mark.parametrize("source", ["command", "descriptor", "prompt"])
def test_every_source_gives_the_same_key(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(source, KEY + b"\n", monkeypatch) == Secret(KEY)


@pytest.mark.parametrize("source", ["command", "descriptor", "prompt"])
@pytest.mark.parametrize("given", [b"", b"\n", b"k" * 31, b"k" * 31 + b"\n", b"k" * 4097, b"k" * 9000])
def test_a_key_that_is_too_short_or_no_key_is_refused(
    source: str, given: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match="A pool key has 32 to 4096 bytes; this one has") as caught:
        read(source, given, monkeypatch)
    assert "kkk" not in str(caught.value)


def test_the_command_runs_as_it_is_written_without_a_shell() -> None:
    asked = section(**{"from": "command", "command": ["printf", "%s", "$HOME 'and' 32 bytes of `echo` more"]})
    assert read_pool_key(asked, LocalHost(), "cloud").reveal() == b"$HOME 'and' 32 bytes of `echo` more"


def test_a_command_that_fails_is_told_without_what_it_printed() -> None:
    asked = section(**{"from": "command", "command": ["sh", "-c", "echo kkk; echo no secret key >&2; exit 2"]})
    with pytest.raises(CommandFailed, match="no secret key") as caught:
        read_pool_key(asked, LocalHost(), "cloud")
    assert caught.value.stderr == "no secret key\n"


def test_a_descriptor_that_is_not_open_is_told() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read from descriptor 987: Bad file descriptor"):
        read_pool_key(section(**{"from": "descriptor", "descriptor": 987}), LocalHost(), "cloud")


def test_without_a_terminal_a_prompt_is_refused_and_not_shown_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_back(_prompt: str) -> str:
        import getpass
        import warnings

        warnings.warn("Can not control echo on the terminal.", getpass.GetPassWarning, stacklevel=2)
        return "k" * 32

    monkeypatch.setattr("getpass.getpass", fall_back)
    with pytest.raises(Refused, match=r"no terminal to ask on.*from = .command. or .descriptor."):
        read_pool_key(section(), LocalHost(), "cloud")


@pytest.mark.parametrize(("second", "error"), [("k" * 32, None), ("j" * 32, "The two pool keys differ")])
def test_a_new_key_is_asked_for_twice(second: str, error: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = iter(["k" * 32, second])
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(typed))
    if error is None:
        assert read_pool_key(section(), LocalHost(), "cloud", new=True) == Secret(KEY)
    else:
        with pytest.raises(Ec2zfsError, match=error):
            read_pool_key(section(), LocalHost(), "cloud", new=True)


def test_at_a_prompt_the_next_key_is_told_from_the_one_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(prompt: str) -> str:
        asked.append(prompt)
        return "k" * 32

    monkeypatch.setattr("getpass.getpass", answer)
    read_pool_key(section(), LocalHost(), "cloud")
    read_new_pool_key(NewPoolKeySection(), LocalHost(), "cloud")
    assert asked == ["Pool key of cloud: ", "New pool key of cloud: ", "New pool key of cloud (again): "]


def test_without_a_terminal_the_next_key_is_refused_by_its_own_section(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_prompt: str) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", end)
    with pytest.raises(Refused, match=r"set new_pool_key\.from = .command. or .descriptor."):
        read_new_pool_key(NewPoolKeySection(), LocalHost(), "cloud")
