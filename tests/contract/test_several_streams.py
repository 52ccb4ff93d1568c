"""Several streams at once over one connection, interrupted or cut: each is ended on both sides."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.contract.processes import mentioning, soon
from tests.contract.sshd import ALIAS, Relay, Sshd

from ec2zfs.errors import HostError
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.model.replication import MOST_STREAMS

TRUE = Command.of("true")

CONTROLLER = """
import signal, sys
from pathlib import Path
from ec2zfs.cli.interrupts import interruptible
from ec2zfs.execute.crew import Crew
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget
from ec2zfs.transport.ssh import SshTransport

SENDER = 'while :; do echo data; sleep 0.05; done; : "$0"'
RECEIVER = 'trap "exit 1" TERM; cat >/dev/null; echo "took it for whole" >>"$0"'
count, told, port, identity, known_hosts, alias, control = sys.argv[1:]
target = SshTarget("127.0.0.1", int(port), None, Path(identity), Path(known_hosts), alias, False, Path(control))
here, there = LocalHost("site"), SshHost("receiver", target)
sender, receiver = Command.of("sh", "-c", SENDER, told), Command.of("sh", "-c", RECEIVER, told)
ends = []

def stream():
    SshTransport().carry(Stage(here, sender), Stage(there, receiver), meter)

signal.signal(signal.SIGINT, signal.default_int_handler)  # our parent may have had us ignore it
with interruptible():
    try:
        with Crew(int(count)) as crew:
            begun = []
            meter = crew.handing_over(begun.append)
            for _ in range(int(count)):
                crew.work(stream, lambda failure: ends.append(type(failure).__name__))
            while len(begun) < 40:
                crew.listen()
            print("under way", flush=True)
            while True:
                crew.listen()
    except KeyboardInterrupt:
        print(*ends, there.run(Command.of("echo", "in good order")).text.strip(), flush=True)
there.close()
"""


@pytest.mark.parametrize(("streams", "number"), [(2, signal.SIGTERM), (MOST_STREAMS, signal.SIGINT)])
def test_an_interrupt_ends_all_and_leaves_nothing(
    sshd: Sshd, tmp_path: Path, streams: int, number: signal.Signals
) -> None:
    """With the most streams also in one connection: the sessions that end them find room beside them."""
    target, told = sshd.target(), tmp_path / "told"
    words = (target.port, target.identity, target.known_hosts, ALIAS, target.control_directory)
    argv = [sys.executable, "-c", CONTROLLER, str(streams), str(told), *map(str, words)]
    before = sshd.logins
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, process_group=0) as controller:
        try:
            assert controller.stdout
            assert controller.stdout.readline() == "under way\n"
            assert len(mentioning(bytes(told))) > 2 * streams
            os.killpg(controller.pid, number)
            began = time.monotonic()
            assert controller.communicate(timeout=30)[0] == "Halted " * streams + "in good order\n"
            assert time.monotonic() - began < 10
        finally:
            controller.kill()
    assert soon(lambda: not mentioning(bytes(told)))
    assert not told.exists()
    assert sshd.logins == before + 1


def test_a_connection_that_was_lost_is_made_anew_once_for_all(doomed: Sshd, relayed: SshHost) -> None:
    relayed.run(TRUE)
    before = doomed.logins
    together = threading.Barrier(5)

    def lose_and_go_on() -> None:
        together.wait(10)
        with pytest.raises(HostError):
            relayed.run(Command.of("sleep", "68.25"))
        for _ in range(5):
            relayed.run(TRUE)

    with ThreadPoolExecutor(4) as threads:
        ways = [threads.submit(lose_and_go_on) for _ in range(4)]
        together.wait(10)
        time.sleep(1)
        doomed.signal_sessions(signal.SIGKILL)
        for way in ways:
            way.result(30)
    assert doomed.logins == before + 1


def test_one_failure_to_connect_is_that_of_all_who_wait(relayed: SshHost, relay: Relay) -> None:
    relay.silence()
    together = threading.Barrier(4)

    def connect() -> None:
        together.wait(10)
        with pytest.raises(HostError, match="does not answer"):
            relayed.run(TRUE)

    with ThreadPoolExecutor(4) as threads:
        began = time.monotonic()
        for way in [threads.submit(connect) for _ in range(4)]:
            way.result(60)
    assert time.monotonic() - began < 2 * relayed._liveness.connect


def test_a_session_that_alone_is_lost_leaves_the_connection_to_the_others(sshd: Sshd, ssh_host: SshHost) -> None:
    ssh_host.run(TRUE)
    before = sshd.logins
    killed = ssh_host.explain(TRUE, -signal.SIGKILL, b"")
    assert isinstance(killed, HostError)
    ssh_host.run(TRUE)
    assert sshd.logins == before
