"""Ctrl-C as a terminal sends it: to the whole foreground process group, so not to the controller alone.

What the controller runs must not hear of it, here or behind ssh: it is ended in order, and then what cleans up runs.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.contract.processes import running, soon
from tests.contract.sshd import ALIAS, Sshd

CONTROLLER = """
import signal, sys
from pathlib import Path
from ec2zfs.cli.interrupts import interruptible
from ec2zfs.hosts.host import Command, Stage
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.pipeline import run_pipeline
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget

LONG = '''
trap 'echo interrupted >>"$0"' INT
trap 'echo ended >>"$0"; exit 0' TERM
sleep 67.25 &
echo began >>"$0"
wait
'''
CLEANUP = '''
trap 'echo interrupted >>"$0"' INT
echo cleaning >>"$0"
sleep 0.5
echo cleaned >>"$0"
'''
kind, told, port, identity, known_hosts, alias, control = sys.argv[1:]
target = SshTarget("127.0.0.1", int(port), None, Path(identity), Path(known_hosts), alias, False, Path(control))
here, there = LocalHost(), SshHost("receiver", target)
long, cleanup = (Command.of("sh", "-c", script, told) for script in (LONG, CLEANUP))

signal.signal(signal.SIGINT, signal.default_int_handler)  # our parent may have had us ignore it
there.run(Command.of("true"))
with interruptible():
    try:
        if kind == "stream":
            run_pipeline([Stage(here, long), Stage(there, Command.of("cat"))])
        else:
            (here if kind == "local" else there).run(long)
    except KeyboardInterrupt:
        (here if kind == "local" else there).run(cleanup)
        print("in good order", flush=True)
there.close()
"""

KINDS = ["local", "ssh", "stream"]


@dataclass(frozen=True)
class Terminal:
    """A terminal in whose foreground the controller runs; `told` is where its commands write what happens to them."""

    controller: subprocess.Popen[str]
    told: Path

    def press_ctrl_c(self) -> None:
        os.killpg(self.controller.pid, signal.SIGINT)

    def lines(self) -> list[str]:
        return self.told.read_text().splitlines() if self.told.exists() else []

    def await_line(self, line: str) -> None:
        assert soon(lambda: line in self.lines(), 20), self.lines()


@pytest.fixture
def terminal(sshd: Sshd, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    target, told = sshd.target(), tmp_path / "told"
    words = (target.port, target.identity, target.known_hosts, ALIAS, target.control_directory)
    argv = [sys.executable, "-c", CONTROLLER, request.param, str(told), *map(str, words)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=0
    ) as controller:
        yield Terminal(controller, told)
        controller.kill()


@pytest.mark.parametrize("terminal", KINDS, indirect=True)
def test_ctrl_c_ends_the_command_in_order_and_the_cleanup_runs(terminal: Terminal, sshd: Sshd) -> None:
    terminal.await_line("began")
    logins = sshd.logins
    terminal.press_ctrl_c()
    assert terminal.controller.communicate(timeout=30) == ("in good order\n", "")
    assert terminal.controller.returncode == 0
    assert terminal.lines() == ["began", "ended", "cleaning", "cleaned"]
    assert soon(lambda: not running("sleep", "67.25"))
    assert sshd.logins == logins, "the connection was lost, and made anew"


@pytest.mark.parametrize("terminal", KINDS, indirect=True)
def test_a_second_ctrl_c_does_not_reach_the_cleanup(terminal: Terminal) -> None:
    terminal.await_line("began")
    terminal.press_ctrl_c()
    terminal.await_line("cleaning")
    terminal.press_ctrl_c()
    out, err = terminal.controller.communicate(timeout=30)
    assert (out, terminal.controller.returncode) == ("in good order\n", 0)
    assert err.startswith("ec2zfs: ending in good order")
    assert terminal.lines() == ["began", "ended", "cleaning", "cleaned"]
