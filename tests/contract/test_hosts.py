"""What every host must do: this machine, one behind a real sshd, and the one that other tests imagine."""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.processes import mentioning, running, soon
from tests.fakes.host import FakeHost, bytes_of

from ec2zfs.errors import CommandFailed, CommandTimeout, MissingTool
from ec2zfs.hosts import process
from ec2zfs.hosts.host import Command, Host, Result
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.secret import Secret

FAIL = ("sh", "-c", 'printf %s "$2" >&2; exit "$1"', "fail")
PRINT = ("printf", r"%s\0")
ZEROS = ("head", "-c", str(10 << 20), "/dev/zero")
BINARY = bytes(range(256)) * 17
MISSING = "no-such-program"
SECRET = b"correct horse battery staple \xf0\x9f\x90\xb4"


def imagined() -> FakeHost:
    """The fake, told about the few programs that the contract runs."""
    host = FakeHost("imagined")
    host.simulates(*FAIL, by=lambda command: Result(int(command.argv[4]), b"", command.argv[5].encode()))
    host.simulates(*PRINT, by=lambda command: Result(0, b"".join(w.encode() + b"\0" for w in command.argv[2:]), b""))
    host.simulates("cat", by=lambda command: Result(0, bytes_of(command), b""))
    host.simulates("wc", by=lambda command: Result(0, b"%d\n" % len(bytes_of(command)), b""))
    host.answers(*ZEROS, stdout=bytes(10 << 20))
    host.answers("true")
    host.hangs("sleep")
    host.lacks(MISSING)
    return host


@pytest.fixture(params=["local", "ssh", "fake"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "ssh":
        found: Host = request.getfixturevalue("ssh_host")
        return found
    return LocalHost() if request.param == "local" else imagined()


@pytest.fixture(params=["local", "ssh"])
def real_host(request: pytest.FixtureRequest) -> Host:
    return LocalHost() if request.param == "local" else request.getfixturevalue("ssh_host")


def fails(host: Host, command: Command) -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        host.run(command)
    return caught.value


@pytest.mark.parametrize("status", [1, 2, 42, 124, 126, 127, 128, 254, 255])
def test_an_exit_code_arrives_with_what_was_said(host: Host, status: int) -> None:
    error = fails(host, Command((*FAIL, str(status), "the disk is on fire")))
    assert (error.status, error.stderr, error.host) == (status, "the disk is on fire", host.name)
    assert host.name in str(error)
    assert "the disk is on fire" in str(error)


@pytest.mark.parametrize("status", [0, 3, 255])
def test_an_accepted_exit_code_is_a_result(host: Host, status: int) -> None:
    result = host.run(Command((*FAIL, str(status), "so be it"), accept=frozenset({0, 3, 255})))
    assert (result.status, result.stdout, result.stderr) == (status, b"", b"so be it")


def test_zero_that_is_not_accepted_is_a_failure(host: Host) -> None:
    assert fails(host, Command((*FAIL, "0", ""), accept=frozenset({1}))).status == 0


@pytest.mark.parametrize(
    "words",
    [
        ("a b", "  two  ", "\ttab"),
        ("",),
        ("", "", "x"),
        ("'", '"', 'it\'s "so"', "`id`", "$HOME", "$(id)", "\\", "\\n", "!!", "*", "~", "#", ";", "&", "|", ">x"),
        ("one\ntwo", "\n", "\r\n"),
        ("ä", "日本", "🐴", "e\u0301"),
        ("--", "-n", "-e", "--help", "-"),
        ("a=b", "%s", "{}", "[!a]"),
        ("x" * 50_000,),
    ],
    ids=["blanks", "empty", "empties", "shell", "newlines", "unicode", "dashes", "signs", "long"],
)
def test_words_arrive_as_they_are(host: Host, words: tuple[str, ...]) -> None:
    assert host.run(Command((*PRINT, *words))).text == "".join(word + "\0" for word in words)


@pytest.mark.parametrize("given", [b"", BINARY, Secret(BINARY)], ids=["nothing", "bytes", "secret"])
def test_standard_input_and_output_carry_any_bytes(host: Host, given: bytes | Secret) -> None:
    expected = given.reveal() if isinstance(given, Secret) else given
    assert host.run(Command(("cat",), stdin=given)).stdout == expected


def test_without_input_a_command_reads_the_end_at_once(host: Host) -> None:
    assert host.run(Command.of("cat")).stdout == b""


def test_input_may_be_larger_than_a_pipe(host: Host) -> None:
    assert host.run(Command(("wc", "-c"), stdin=bytes(3 << 20))).lines() == [str(3 << 20)]


def test_input_that_nobody_reads_does_no_harm(host: Host) -> None:
    assert host.run(Command(("true",), stdin=bytes(3 << 20))).status == 0


def test_ten_mebibytes_of_output(host: Host) -> None:
    assert host.run(Command(ZEROS)).stdout == bytes(10 << 20)


def test_a_missing_program_is_named_with_its_host(host: Host) -> None:
    with pytest.raises(MissingTool, match=f"{host.name} has no program `{MISSING}`.*[Ii]nstall"):
        host.run(Command.of(MISSING, "--version"))


def test_a_time_limit_is_kept_and_named(host: Host) -> None:
    start = time.monotonic()
    with pytest.raises(CommandTimeout, match=f"{host.name}.*within 0.5 s"):
        host.run(Command.of("sleep", "40.25", timeout=0.5))
    assert time.monotonic() - start < 5


def test_a_failure_is_explained_as_run_does(host: Host) -> None:
    explained = host.explain(Command.of("zfs", "list"), 3, b"no pool")
    assert isinstance(explained, CommandFailed)
    assert (explained.status, explained.stderr, explained.host) == (3, "no pool", host.name)


# What follows is about real processes.

BOTH_SLEEP = "sleep $0 & sleep $0; true"


@pytest.mark.parametrize("program", ["zfs", "zpool", "cryptsetup"])
def test_a_missing_program_of_a_script_is_named_with_its_package(real_host: Host, program: str) -> None:
    with pytest.raises(MissingTool, match=f"`{program}`.*apt install (zfsutils-linux|cryptsetup-bin)"):
        real_host.run(Command.of("sh", "-c", f"PATH=/nowhere; {program} status"))


def test_a_time_limit_ends_the_children_too(real_host: Host) -> None:
    with pytest.raises(CommandTimeout):
        real_host.run(Command.of("sh", "-c", BOTH_SLEEP, "41.25", timeout=0.5))
    assert soon(lambda: not running("sleep", "41.25"))


def test_over_ssh_a_time_limit_reaches_other_sessions(ssh_host: Host) -> None:
    with pytest.raises(CommandTimeout):
        ssh_host.run(Command.of("sh", "-c", "setsid sleep 42.25 & wait", timeout=0.5))
    assert soon(lambda: not running("sleep", "42.25"))


def test_a_stubborn_command_is_ended_all_the_same(real_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.5)
    with pytest.raises(CommandTimeout):
        real_host.run(Command.of("sh", "-c", "trap '' TERM; sleep 43.25; sleep 43.25; true", timeout=0.5))
    assert soon(lambda: not running("sleep", "43.25"))


def test_a_command_that_a_signal_ends_has_failed(real_host: Host) -> None:
    assert fails(real_host, Command.of("sh", "-c", "kill -KILL $$")).status in {-9, 137}


def test_commands_run_in_the_c_locale_with_sbin_in_path(real_host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.setenv(name, "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    result = real_host.run(Command.of("sh", "-c", 'ls /nowhere; echo "$LC_ALL:$PATH:"', timeout=5))
    assert b"No such file or directory" in result.stderr
    assert result.text.startswith("C:")
    assert ":/usr/sbin:" in result.text


def test_a_secret_is_in_no_words_and_no_environment(real_host: Host, tmp_path: Path) -> None:
    gate, marker = tmp_path / "gate", "not-secret-4f1c"
    os.mkfifo(gate)
    command = Command(("sh", "-c", 'cat >/dev/null; cat "$0"', str(gate), marker), stdin=Secret(SECRET))
    thread = threading.Thread(target=real_host.run, args=(command,))
    thread.start()
    try:
        assert soon(lambda: bool(running("cat", str(gate))))
        assert mentioning(marker.encode())
        assert not mentioning(SECRET)
    finally:
        gate.write_bytes(b"")
        thread.join()


def test_a_command_is_a_program_and_never_a_shells_own(real_host: Host) -> None:
    assert "coreutils" in real_host.run(Command.of("printf", "--version")).text


def test_commands_run_beside_each_other(real_host: Host) -> None:
    commands = [Command.of("sh", "-c", "cat; echo $0", str(number)) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        answers = [result.text.strip() for result in pool.map(real_host.run, commands)]
    assert answers == [str(number) for number in range(12)]
