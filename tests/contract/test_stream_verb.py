"""`ec2zfs stream` over a real ssh server: bytes come whole, failures come back, and nothing is left behind."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.contract.processes import running, soon
from tests.contract.sshd import Sshd

from ec2zfs.cli import main
from ec2zfs.errors import ExitCode

MODES = ("ssh-striped", "ssh", "direct")


@pytest.fixture
def options(sshd: Sshd, tmp_path: Path) -> list[str]:
    """What an operator would have in the ssh configuration, and the far Python of the tests."""
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    words = ["--ssh-port", str(sshd.port), "--identity", str(sshd.directory / "identity")]
    return [*words, "--known-hosts", str(known), "--far-python", sys.executable]


@contextmanager
def standard_input(descriptor: int) -> Iterator[None]:
    """Another standard input for a `with` block."""
    before = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


def send(path: Path, *words: str) -> int:
    """`ec2zfs stream send WORDS <path`."""
    with path.open("rb") as file, standard_input(file.fileno()):
        return main(["stream", "send", "--to", "127.0.0.1", *words])


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_goes_there_and_comes_back(
    mode: str, options: list[str], tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    data, there = os.urandom(3_000_001), tmp_path / "there"
    (tmp_path / "here").write_bytes(data)
    small = ["--mode", mode, "--buffer", "8", "--flows", "2", *options]
    assert send(tmp_path / "here", *small, "--", "sh", "-c", 'cat >"$0"', str(there)) == 0
    assert there.read_bytes() == data
    assert main(["stream", "receive", "--from", "127.0.0.1", *small, "--", "cat", str(there)]) == 0
    assert capfdbinary.readouterr() == (data, b"")


def test_the_commands_failure_is_ours(options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "here").write_bytes(b"all")
    assert send(tmp_path / "here", *options, "--", "sh", "-c", "cat >&2; exit 3") == ExitCode.COMMAND
    assert "On 127.0.0.1, `sh -c …` exited with 3: all" in capfd.readouterr().err


def test_a_host_whose_key_is_not_known_is_refused(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "known_hosts").write_text("")
    (tmp_path / "here").write_bytes(b"all")
    assert send(tmp_path / "here", *options, "--", "cat") == ExitCode.HOST_KEY


def test_with_json_standard_output_is_the_stream_alone(options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["--json", "stream", "receive", "--from", "127.0.0.1", "--mode", "ssh", *options, "--", "echo", "x"]) == 0
    )
    out, err = capfd.readouterr()
    assert out == "x\n"
    events = [json.loads(line) for line in err.splitlines()]
    assert [event["event"] for event in events] == ["progress", "progress", "message"]
    assert (events[1]["state"], events[1]["done"]) == ("end", 2)


ROOT = Path(__file__).parents[2]
SAMPLES = re.findall(
    r"(?m)^(?:    )?(.*ec2zfs stream (?:send|receive) --.*)$", (ROOT / "docs/reference.md").read_text()
)


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_samples_do_what_they_say(sample: str, options: list[str], tmp_path: Path) -> None:
    """As they stand in both pages, but for hosts, paths and a database."""
    assert sample in (ROOT / "README.md").read_text()
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv" / "file").write_text("all")
    (tmp_path / "there").mkdir()
    python = f"{sys.executable} -c 'import sys; from ec2zfs.cli import main; sys.exit(main())'"
    script = sample.replace("ec2zfs stream", f"{python} stream").replace(
        "user@host", f"127.0.0.1 {shlex.join(options)}"
    )
    script = script.replace("tar c /srv", f"tar c -C {tmp_path} srv").replace("-C /srv", f"-C {tmp_path / 'there'}")
    script = script.replace("pg_dump shop", "echo shop").replace("| zstd >shop.zst", f">{tmp_path / 'shop'}")
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    came = [path.read_text() for path in (tmp_path / "there" / "srv" / "file", tmp_path / "shop") if path.exists()]
    assert came == (["all"] if "send" in sample else ["shop\n"])


WORDS = [sys.executable, "-c", "import sys; from ec2zfs.cli import main; sys.exit(main())", "stream"]


@pytest.mark.parametrize("mode", MODES)
def test_a_reader_that_goes_away_is_worth_no_word(mode: str, options: list[str]) -> None:
    words = [*WORDS, "receive", "--from", "127.0.0.1", "--mode", mode, *options, "--", "cat", "/dev/zero"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stream:
        assert stream.stdout is not None
        assert stream.stderr is not None
        assert stream.stdout.read(10) == bytes(10)
        stream.stdout.close()
        assert stream.wait(60) == ExitCode.FAILURE
        assert stream.stderr.read() == b""


def test_an_interrupt_ends_both_sides(options: list[str]) -> None:
    words = [*WORDS, "receive", "--from", "127.0.0.1", *options, "--", "sh", "-c", "echo up; sleep 87.25"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as stream:
        assert stream.stdout is not None
        assert stream.stderr is not None
        assert stream.stdout.read(3) == b"up\n"
        stream.send_signal(signal.SIGINT)
        assert stream.wait(60) == ExitCode.INTERRUPTED
        assert stream.stderr.read() == b"ec2zfs: Interrupted: the stream was cut off.\n"
    assert soon(lambda: not running("sleep", "87.25"))


def test_a_terminal_has_nothing_to_send(options: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    outer, inner = pty.openpty()
    with standard_input(inner):
        assert main(["stream", "send", "--to", "127.0.0.1", *options, "--", "cat"]) == ExitCode.REFUSED
    os.close(outer)
    os.close(inner)
    assert "Standard input is a terminal" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--rate", "fast"), '--rate must be a rate, such as "20 MB/s"'),
        (("--flows", "0"), "--flows must be a whole number from 1 to 65535"),
        (("--buffer", "1G"), "--buffer must be a whole number"),
        (("--mode", "direct", "--ports", "9100-9000"), "--ports must be FIRST-LAST"),
        (("--to", "root@"), "'root@' is no host"),
        (("--to", "-oProxyCommand=x"), "expected one argument"),
    ],
)
def test_what_cannot_be_done_is_refused(
    words: tuple[str, ...], told: str, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").touch()
    with pytest.raises(SystemExit) if "=" in words[-1] else nothing():
        assert send(tmp_path / "here", *options, *words, "--", "cat") == ExitCode.REFUSED
    assert told in capfd.readouterr().err


@contextmanager
def nothing() -> Iterator[None]:
    """Nothing is raised."""
    yield
