"""Streams through commands here and behind a real sshd: who is named when one fails, and what is left after."""

from __future__ import annotations

import hashlib
import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.processes import running, soon
from tests.contract.sshd import Relay
from tests.fakes.host import FakeHost

from ec2zfs.errors import CommandFailed, HostError, MissingTool
from ec2zfs.hosts import pipeline
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.pipeline import IdleLimits, run_pipeline
from ec2zfs.hosts.running import Running, end_all
from ec2zfs.hosts.secret import Secret
from ec2zfs.hosts.ssh import SshHost

ENDLESS = "cat /dev/zero"
MIB = 1 << 20

Kinds = tuple[str, ...]

WAYS: list[Kinds] = [("local", "local"), ("local", "ssh"), ("ssh", "local"), ("ssh", "ssh")]
THREE: list[Kinds] = [("local", "local", "local"), ("ssh", "local", "ssh"), ("local", "ssh", "ssh")]

Hosts = Callable[["Kinds"], list[Host]]


@pytest.fixture
def hosts(ssh_host: SshHost) -> Hosts:
    """Hosts by their kinds, named by their place."""

    def found(kinds: Kinds) -> list[Host]:
        return [LocalHost(f"site {n}") if kind == "local" else ssh_host for n, kind in enumerate(kinds)]

    return found


def script(host: Host, text: str, *words: str, stdin: bytes | Secret | None = None) -> Stage:
    return Stage(host, Command(("sh", "-c", text, *words), stdin=stdin))


def scripts(hosts: list[Host], *texts: str) -> list[Stage]:
    return [script(host, text, f"stage-{n}") for n, (host, text) in enumerate(zip(hosts, texts, strict=True))]


def named(kinds: Kinds) -> str:
    return " to ".join(kinds)


@pytest.mark.parametrize("kinds", WAYS + THREE, ids=named)
def test_every_byte_arrives_and_is_metered(hosts: Hosts, kinds: Kinds, tmp_path: Path) -> None:
    data = os.urandom(3 * MIB + 17)
    (tmp_path / "in").write_bytes(data)
    first, *between, last = hosts(kinds)
    stages = [
        Stage(first, Command.of("cat", str(tmp_path / "in"))),
        *(Stage(host, Command.of("cat")) for host in between),
        script(last, 'cat > "$0"', str(tmp_path / "out")),
    ]
    heard: list[int] = []
    run_pipeline(stages, heard.append)
    assert (tmp_path / "out").read_bytes() == data
    assert sum(heard) == len(data)


@pytest.mark.parametrize("kinds", WAYS, ids=named)
def test_the_first_stage_can_be_given_a_secret(hosts: Hosts, kinds: Kinds, tmp_path: Path) -> None:
    sender, receiver = hosts(kinds)
    given = os.urandom(MIB)
    run_pipeline(
        [Stage(sender, Command(("cat",), stdin=Secret(given))), script(receiver, 'cat >"$0"', f"{tmp_path}/out")]
    )
    assert (tmp_path / "out").read_bytes() == given


def test_an_empty_stream_is_a_stream(hosts: Hosts) -> None:
    run_pipeline(scripts(hosts(("local", "ssh")), "true", "cat"))


CULPRITS = [
    ("the first", ("echo some; sleep 0.2; echo gone >&2; exit 3", "cat"), 0, 3, "gone"),
    ("the first, at once", ("exit 3", "cat"), 0, 3, ""),
    ("the last, early", (ENDLESS, "head -c 100000 >/dev/null; echo full >&2; exit 5"), 1, 5, "full"),
    ("the last, at the end", ("echo all", "cat >/dev/null; echo spoilt >&2; exit 6"), 1, 6, "spoilt"),
    ("the last, with 255", ("echo all", "cat >/dev/null; exit 255"), 1, 255, ""),
    ("the middle, early", (ENDLESS, "head -c 100000; exit 4", "cat"), 1, 4, ""),
    ("the middle, at the end", ("echo all", "cat; exit 4", "cat"), 1, 4, ""),
    ("the first of three", ("echo some; exit 9", "cat", "cat"), 0, 9, ""),
    ("the last of three", (ENDLESS, "cat", "head -c 99999 >/dev/null; exit 7"), 2, 7, ""),
    (
        "a reader that was content too soon",
        (ENDLESS, "head -c 9 >/dev/null"),
        1,
        0,
        "before it had read the whole stream",
    ),
]


CASES = [
    pytest.param(kinds, texts, (place, status, said), id=f"{title} ({named(kinds)})")
    for title, texts, place, status, said in CULPRITS
    for kinds in (WAYS[1:3] if len(texts) == 2 else THREE[1:2])
]


@pytest.mark.parametrize(("kinds", "texts", "expected"), CASES)
def test_the_culprit_is_named(
    hosts: Hosts, kinds: Kinds, texts: tuple[str, ...], expected: tuple[int, int, str]
) -> None:
    place, status, said = expected
    standing = hosts(kinds)
    with pytest.raises(CommandFailed) as caught:
        run_pipeline(scripts(standing, *texts))
    assert said in caught.value.stderr
    assert caught.value.argv[3] == f"stage-{place}"
    assert (caught.value.host, caught.value.status) == (standing[place].name, status)


@pytest.mark.parametrize("kinds", WAYS, ids=named)
def test_a_killed_sender_is_a_failure(hosts: Hosts, kinds: Kinds) -> None:
    with pytest.raises(CommandFailed) as caught:
        run_pipeline(scripts(hosts(kinds), "echo some; kill -KILL $$", "cat"))
    assert caught.value.argv[3] == "stage-0"
    assert caught.value.status in {-9, 137}


@pytest.mark.parametrize("kinds", WAYS, ids=named)
def test_a_reader_never_takes_a_broken_stream_for_a_whole_one(hosts: Hosts, kinds: Kinds, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    reader = f"cat >/dev/null; touch {whole}"
    with pytest.raises(CommandFailed):
        run_pipeline(scripts(hosts(kinds), "echo some; exit 1", reader))
    time.sleep(0.2)
    assert not whole.exists()
    run_pipeline(scripts(hosts(kinds), "echo some; exit 0", reader))
    assert whole.exists()


@pytest.mark.parametrize("kinds", WAYS, ids=named)
def test_an_interrupt_ends_all_stages_on_all_hosts(hosts: Hosts, kinds: Kinds) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    stages = scripts(hosts(kinds), "echo some; sleep 51.25", "sleep 52.25 & cat; wait")
    with pytest.raises(KeyboardInterrupt):
        run_pipeline(stages, interrupted)
    assert soon(lambda: not running("sleep", "51.25") and not running("sleep", "52.25"))


def test_what_a_stage_leaves_behind_is_ended_with_it() -> None:
    stage = script(LocalHost("site"), "trap 'exit 0' TERM; (trap '' TERM; echo up; exec sleep 91.25) & wait")
    begun = Running(stage, stage.host.exec_argv(stage.command), fed=False, heard=True)
    assert os.read(begun.output, 9) == b"up\n"
    end_all([begun])
    begun.close()
    assert soon(lambda: not running("sleep", "91.25"))


@pytest.mark.parametrize(
    ("texts", "culprit", "fault"),
    [
        (("echo some; sleep 53.25", "cat"), 0, "gave no data"),
        ((ENDLESS, "sleep 53.25"), 1, "took no data"),
        (("echo all", "cat; exec >/dev/null; sleep 53.25"), 1, "gave no data"),
    ],
    ids=["sender", "receiver", "end"],
)
def test_a_standstill_is_ended_and_its_side_named(
    hosts: Hosts, texts: tuple[str, str], culprit: int, fault: str
) -> None:
    standing = hosts(("local", "ssh") if culprit else ("ssh", "local"))
    with pytest.raises(HostError, match=f"{standing[culprit].name} {fault} for 0.5 s"):
        run_pipeline(scripts(standing, *texts), limits=IdleLimits(*((0.5, 60) if "took" in fault else (60, 0.5))))
    assert soon(lambda: not running("sleep", "53.25"))


def test_a_stage_that_fails_between_two_looks_has_failed(monkeypatch: pytest.MonkeyPatch, hosts: Hosts) -> None:
    passing_on = pipeline._Pipeline._pass_ends_on

    def slowly(self: pipeline._Pipeline) -> None:
        passing_on(self)
        time.sleep(0.5)

    monkeypatch.setattr(pipeline._Pipeline, "_pass_ends_on", slowly)
    with pytest.raises(CommandFailed, match="exited with 3"):
        run_pipeline(scripts(hosts(("local", "local")), "echo all", "cat >/dev/null; exit 3"))


def test_a_slow_stream_is_no_standstill(hosts: Hosts) -> None:
    sender = "for i in 1 2 3 4 5; do echo $i; sleep 0.15; done"
    run_pipeline(scripts(hosts(("ssh", "local")), sender, "cat"), limits=IdleLimits(taking=0.05, giving=0.5))


@pytest.mark.parametrize("kinds", [("local", "local"), ("local", "ssh"), ("ssh", "local")], ids=named)
def test_two_hundred_mebibytes_in_bounded_memory(hosts: Hosts, kinds: Kinds) -> None:
    size = 200 * MIB
    expected = hashlib.md5(bytes(MIB), usedforsecurity=False).hexdigest()
    check = f'[ "$(tail -c {MIB} | md5sum)" = "{expected}  -" ]'
    heard: list[int] = []
    tracemalloc.start()
    try:
        run_pipeline(scripts(hosts(kinds), f"head -c {size} /dev/zero", check), heard.append)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(heard) == size
    assert peak < 8 * MIB


def test_much_said_on_stderr_does_not_stop_the_stream(hosts: Hosts) -> None:
    noisy = f"head -c {5 * MIB} /dev/zero >&2; echo data; echo last words >&2; exit 1"
    with pytest.raises(CommandFailed, match=r"last words") as caught:
        run_pipeline(scripts(hosts(("ssh", "local")), noisy, "cat"))
    assert len(caught.value.stderr) <= 64 << 10


@pytest.mark.parametrize("kinds", WAYS, ids=named)
@pytest.mark.parametrize("place", [0, 1])
def test_a_missing_program_is_named(hosts: Hosts, kinds: Kinds, place: int) -> None:
    standing = hosts(kinds)
    stages = scripts(standing, "echo all", "cat")
    stages[place] = Stage(standing[place], Command.of("no-such-program"))
    with pytest.raises(MissingTool, match=f"{standing[place].name} has no program `no-such-program`"):
        run_pipeline(stages)


@pytest.mark.parametrize("place", [0, 1])
def test_a_host_that_falls_silent_is_named(relayed: SshHost, relay: Relay, place: int) -> None:
    stages = scripts([LocalHost("site"), LocalHost("site")], ENDLESS, "cat")
    stages[place] = Stage(relayed, stages[place].command)
    threading.Timer(0.5, relay.silence).start()
    start = time.monotonic()
    with pytest.raises(HostError, match=r"receiver.*stopped answering"):
        run_pipeline(stages)
    assert time.monotonic() - start < 12


@pytest.mark.parametrize(("status", "outcome"), [(0, None), (4, CommandFailed)])
def test_an_imagined_host_can_stand_in_a_pipeline(status: int, outcome: type[Exception] | None, tmp_path: Path) -> None:
    fake = FakeHost("imagined")
    fake.answers("zfs", "send", stdout=b"stream", stderr="why", status=status)
    stages = [Stage(fake, Command.of("zfs", "send", "tank@a")), script(LocalHost(), 'cat >"$0"', f"{tmp_path}/out")]
    if outcome is None:
        run_pipeline(stages)
        assert (tmp_path / "out").read_bytes() == b"stream"
    else:
        with pytest.raises(outcome, match=r"why"):
            run_pipeline(stages)
    assert fake.argvs == [("zfs", "send", "tank@a")]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_stages_are_no_pipeline(count: int) -> None:
    with pytest.raises(ValueError, match=r"two stages"):
        run_pipeline(scripts([LocalHost()] * count, *["true"] * count))


def test_only_the_first_stage_is_given_an_input() -> None:
    stages = [script(LocalHost(), "true"), script(LocalHost(), "cat", stdin=b"x")]
    with pytest.raises(ValueError, match=r"only the first"):
        run_pipeline(stages)
