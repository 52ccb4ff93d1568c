"""The cases of every transport, over each way; and what holds for the accelerated stream as its controller uses it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests import sweep
from tests.contract.line import Line
from tests.contract.processes import descendants, mentioning, running, soon
from tests.contract.sshd import ALIAS, Sshd
from tests.contract.transport_suite import CASES, ENDLESS, FEW, MIB, RELAYED, Case, Sides, arrives

from ec2zfs.errors import CommandFailed, HostError, MissingTool, Refused
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.model import line as measured
from ec2zfs.transport import direct
from ec2zfs.transport.direct import DirectTransport
from ec2zfs.transport.far.keys import TransferKeys
from ec2zfs.transport.ssh import SshTransport

BUFFER = 16 * MIB
DIRECT = DirectTransport(buffer=BUFFER, python=sys.executable)
STRIPED = replace(DIRECT, stripes=True, flows=(1, 1))
FRAME = direct._frame(BUFFER)

Limitable = SshTransport | DirectTransport
Way = tuple[Limitable, str, str]

WAYS: dict[str, tuple[Way, tuple[Case, ...]]] = {
    "ssh": ((SshTransport(), "local", "ssh"), CASES),
    "direct": ((DIRECT, "local", "ssh"), CASES),
    "direct, back": ((DIRECT, "ssh", "local"), FEW),
    "direct, here": ((DIRECT, "local", "local"), FEW),
    "ssh-striped": ((STRIPED, "local", "ssh"), CASES),
    "ssh-striped, back": ((STRIPED, "ssh", "local"), FEW),
    "direct, relayed": ((DIRECT, "relayed", "ssh"), (*FEW, *RELAYED)),
    "direct, relayed back": ((DIRECT, "ssh", "relayed"), (*FEW, *RELAYED)),
    "ssh-striped, relayed": ((STRIPED, "relayed", "ssh"), FEW),
}
EVERYTHING = [(name, case) for name, (_, cases) in WAYS.items() for case in cases]
PLACES = {place for kinds in zip(*EVERYTHING, strict=True) for place in sweep.places(kinds, most=len(EVERYTHING))}
TABLE = [
    pytest.param(WAYS[name][0], case, id=f"{name}: {case.__name__}")
    for name, case in (EVERYTHING[place] for place in sorted(PLACES))
]
"""Each case over one of its ways and each way with one of its cases; with `--every` all of all."""

Found = Callable[[Way], Sides]


def sides_of(transport: Limitable, sender: Host, receiver: Host, folder: Path) -> Sides:
    """The two sides of a transport."""
    return Sides(transport, sender, receiver, folder, FRAME, lambda limit: replace(transport, limit=limit))


@pytest.fixture(scope="module")
def site(sshd: Sshd) -> Iterator[SshHost]:
    """The same machine with a connection of its own."""
    with SshHost("site", sshd.target()) as host:
        yield host


@pytest.fixture
def sides(ssh_host: SshHost, site: SshHost, tmp_path: Path) -> Found:
    """The two sides of a way."""

    def host(kind: str, name: str) -> Host:
        hosts: dict[str, Host] = {"local": LocalHost(name), "ssh": ssh_host, "relayed": site}
        return hosts[kind]

    def found(way: Way) -> Sides:
        transport, sender, receiver = way
        if isinstance(transport, DirectTransport) and "relayed" in way:
            transport = replace(transport, relayed=site)
        return sides_of(transport, host(sender, "site"), host(receiver, "here"), tmp_path)

    return found


@pytest.mark.parametrize(("way", "case"), TABLE)
def test_case(sides: Found, way: Way, case: Case) -> None:
    case(sides(way))


OLD_PYTHON = "/usr/bin/python3"


def test_the_distributions_own_python_serves_at_the_far_end(sides: Found) -> None:
    probe = subprocess.run([OLD_PYTHON, "-Ic", "import cryptography"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("the distribution's Python has no cryptography (Debian: apt install python3-cryptography)")
    arrives(sides((DirectTransport(buffer=BUFFER, python=OLD_PYTHON), "local", "ssh")), 3 * MIB)


def peaks(parent: int) -> Iterator[int]:
    """How much memory each end below a process has used at the most, in bytes."""
    for pid, words in descendants(parent).items():
        with contextlib.suppress(OSError):
            if words[1:3] == ["-I", "-c"]:
                (line,) = [one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if "VmHWM" in one]
                yield int(line.split()[1]) << 10


LARGE = """
import hashlib, os
block = os.urandom(1 << 20)
digest = hashlib.sha256()
for n in range(256):
    piece = block[n:] + block[:n]
    digest.update(piece)
    while piece: piece = piece[os.write(1, piece):]
open({!r}, "w").write(digest.hexdigest() + "  -\\n")
"""


def test_256_mebibytes_in_bounded_memory(tmp_path: Path) -> None:
    used: list[int] = []
    transport = DirectTransport(buffer=32 * MIB, python=sys.executable)
    transport.carry(
        Stage(LocalHost("site"), Command.of(sys.executable, "-c", LARGE.format(str(tmp_path / "sent")))),
        Stage(LocalHost("here"), Command.of("sh", "-c", 'sha256sum >"$0"', str(tmp_path / "came"))),
        lambda _: used.extend(peaks(os.getpid())),
    )
    assert (tmp_path / "came").read_text() == (tmp_path / "sent").read_text()
    assert 0 < max(used) < (32 + 64) * MIB


class Seen(Exception):
    """What was waited for was seen."""


@pytest.mark.parametrize(
    ("sending", "receiving", "bottleneck"),
    [(ENDLESS, "sleep 30", measured.Bottleneck.RECEIVER), ("echo some; sleep 30", "cat", measured.Bottleneck.SOURCE)],
)
def test_it_is_told_which_side_holds_the_stream_up(
    sending: str, receiving: str, bottleneck: measured.Bottleneck
) -> None:
    def watch(line: measured.Line) -> None:
        if line.flows and line.bottleneck is bottleneck:
            assert line.flows <= 32
            assert line.retransmitted >= 0
            raise Seen

    here = [Stage(LocalHost("here"), Command.of("sh", "-c", script)) for script in (sending, receiving)]
    with pytest.raises(Seen):
        DIRECT.carry(here[0], here[1], lambda _: None, watch)


def test_several_threads_carry_at_a_time(sides: Found, tmp_path: Path) -> None:
    way = sides((DIRECT, "local", "ssh"))

    def one(name: str) -> None:
        folder = tmp_path / name
        folder.mkdir()
        arrives(sides_of(DIRECT, way.sender, way.receiver, folder), 3 * MIB)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(one, ("a", "b", "c")))


def test_a_line_that_is_cut_twice_harms_no_relayed_stream(sides: Found) -> None:
    told: list[str] = []
    with contextlib.closing(Line(2, MIB, told.append)) as line:
        cut = replace(DIRECT, reached=line.reached)
        arrives(sides((cut, "relayed", "ssh")), 6 * MIB)
    assert told == ["cut", "cut"]


def test_the_secret_is_nowhere_to_be_seen(sides: Found, sshd: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = os.urandom(32)
    monkeypatch.setattr(direct, "secrets", SimpleNamespace(token_bytes=lambda _: secret))
    needles = [part for key in (secret, TransferKeys(secret).data) for part in (key, key.hex().encode())]
    looked: list[Path] = []

    def look(_: int) -> None:
        for needle in needles:
            assert mentioning(needle) == []
        for pid in (*descendants(os.getpid()), *descendants(sshd.process.pid)):
            looked.extend(path for path in open_files(pid) if path not in looked)
        looked.extend(path for path in sshd.directory.rglob("*") if path.is_file() and path not in looked)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sides((DIRECT, "local", "ssh")).carry("echo some; sleep 60", "cat", look)
    assert looked
    assert not [path for path in looked for needle in needles if needle in path.read_bytes()]


def open_files(pid: int) -> Iterator[Path]:
    """The files of a process that it has open."""
    with contextlib.suppress(OSError):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                path = link.resolve(strict=True)
                if path.is_file() and not str(path).startswith("/proc"):
                    yield path


CONTROLLER = """
import sys
from pathlib import Path
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget
from ec2zfs.transport.direct import DirectTransport

folder, port, alias, control = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
target = SshTarget("127.0.0.1", port, None, folder / "identity", folder / "known_hosts", alias, False, control)
DirectTransport(python=sys.executable).carry(
    Stage(LocalHost("site"), Command.of("sh", "-c", "echo some; sleep 63.25")),
    Stage(SshHost("receiver", target), Command.of("sh", "-c", "sleep 64.25 & cat; touch $0; wait", sys.argv[5])),
    lambda size: print("moved", flush=True),
)
"""


def test_a_controller_that_is_killed_leaves_nothing(sshd: Sshd, tmp_path: Path) -> None:
    mark = f"EC2ZFS_TEST={os.urandom(8).hex()}"
    words = [sys.executable, "-c", CONTROLLER, str(sshd.directory), str(sshd.port), ALIAS, str(tmp_path / "c")]
    name, _, value = mark.partition("=")
    environment = {**os.environ, name: value, "PYTHONPATH": os.pathsep.join(sys.path)}
    controller = subprocess.Popen([*words, str(tmp_path / "whole")], stdout=subprocess.PIPE, env=environment)
    with controller:
        assert controller.stdout is not None
        assert controller.stdout.readline() == b"moved\n"
        ends = [pid for pid, argv in descendants(sshd.process.pid).items() if argv[1:3] == ["-I", "-c"]]
        assert ends
        controller.send_signal(signal.SIGKILL)
    assert soon(lambda: not running("sleep", "63.25") and not running("sleep", "64.25"), 15)
    left = [pid for pid in mentioning(mark.encode()) if not is_master(pid)]
    assert soon(lambda: not [pid for pid in left if Path(f"/proc/{pid}").exists()], 15)
    assert soon(lambda: not [pid for pid in ends if Path(f"/proc/{pid}").exists()], 15)
    assert not (tmp_path / "whole").exists()


def is_master(pid: int) -> bool:
    """Whether a process is the ssh that holds the shared connection, which is not the stream's."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ssh")
    return False


def test_an_end_that_is_killed_is_named(sides: Found) -> None:
    def kill(_: int) -> None:
        for pid, words in descendants(os.getpid()).items():
            if words[1:3] == ["-I", "-c"] and not dead:
                dead.append(pid)
                os.kill(pid, signal.SIGKILL)

    dead: list[int] = []
    with pytest.raises((CommandFailed, HostError)):
        sides((DIRECT, "local", "ssh")).carry("echo some; exec sleep 65.25", "sleep 66.25 & cat; wait", kill)
    assert soon(lambda: not running("sleep", "65.25") and not running("sleep", "66.25"))


def test_stripes_are_connections_of_their_own_and_need_no_cryptography(
    sides: Found, sshd: Sshd, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')  # without site-packages, so without cryptography
    python.chmod(0o700)
    before = sshd.logins
    arrives(sides((replace(STRIPED, python=str(python), flows=(2, 2)), "local", "ssh")), 3 * MIB)
    assert sshd.logins - before >= 2


def test_stripes_that_are_cut_are_replaced(sides: Found) -> None:
    cut: list[int] = []

    def cuts(_: int) -> None:
        words_of = descendants(os.getpid())
        stripes = [pid for pid, words in words_of.items() if words[0] == "ssh" and "ControlPath=none" in words]
        if stripes and len(cut) < 3:
            cut.append(stripes[0])
            os.kill(stripes[0], signal.SIGKILL)

    way = sides((replace(STRIPED, flows=(2, 2)), "local", "ssh"))
    data = os.urandom(4 * MIB)
    (way.folder / "in").write_bytes(data)
    by_and_by = 'for n in 0 1 2 3; do dd if="$0/in" bs=1M count=1 skip=$n status=none; sleep 0.8; done'
    way.carry(by_and_by, 'cat >"$0/out"', cuts)
    assert (way.folder / "out").read_bytes() == data
    assert len(cut) == 3


def test_a_stripe_that_ssh_refuses_is_told(sides: Found, ssh_host: SshHost, monkeypatch: pytest.MonkeyPatch) -> None:
    way = sides((replace(STRIPED, patience=2.5), "local", "ssh"))
    closed = replace(ssh_host.target, port=1)
    monkeypatch.setattr(ssh_host, "apart_argv", SshHost("other", closed).apart_argv)
    with pytest.raises(HostError, match=r"a connection by ssh failed: .*Connection refused"):
        way.carry(ENDLESS, "cat")


def test_stripes_between_two_far_hosts_are_refused(sides: Found) -> None:
    with pytest.raises(Refused, match="are both far"):
        sides((STRIPED, "ssh", "ssh")).carry(ENDLESS, "cat")


def test_a_far_end_that_is_killed_is_named_and_not_the_one_that_goes_on(sides: Found, sshd: Sshd) -> None:
    def kill(_: int) -> None:
        for pid, words in descendants(sshd.process.pid).items():
            if words[1:3] == ["-I", "-c"]:
                os.kill(pid, signal.SIGKILL)

    way = sides((DIRECT, "local", "ssh"))
    with pytest.raises(CommandFailed) as caught:
        way.carry("echo some; exec sleep 67.25", "cat", kill)
    assert (caught.value.host, caught.value.status) == (way.receiver.name, 137)
    assert soon(lambda: not running("sleep", "67.25"))


def test_a_port_that_nobody_can_reach_is_told(sides: Found) -> None:
    closed = DirectTransport(python=sys.executable, patience=1.0, reached=lambda _host, _port: ("127.0.0.1", 1))
    with pytest.raises(HostError, match=r"127\.0\.0\.1 port 1 cannot be reached"):
        sides((closed, "local", "ssh")).carry(ENDLESS, "cat")


def test_a_host_without_a_python_that_serves(sides: Found) -> None:
    lacking = DirectTransport(python="no-such-python")
    with pytest.raises(MissingTool, match="no program `no-such-python`"):
        sides((lacking, "local", "ssh")).carry(ENDLESS, "cat")
