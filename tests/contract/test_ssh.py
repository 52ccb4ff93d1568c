"""What is ssh's alone: whom it trusts, how it notices a death, and how one connection is shared and ended."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contract.processes import descendants, mentioning, soon
from tests.contract.sshd import ALIAS, QUICK, Relay, Sshd, free_port

from ec2zfs.errors import CommandFailed, Ec2zfsError, ExitCode, HostError, HostKeyChanged, HostKeyUnknown
from ec2zfs.hosts import ssh
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.keypair import ensure_keypair
from ec2zfs.hosts.known_hosts import KnownHosts
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import Liveness, SshTarget

TRUE = Command.of("true")

Connected = Callable[..., SshHost]


@pytest.fixture
def connected() -> Iterator[Connected]:
    """Makes hosts, and closes them after the test."""
    made: list[SshHost] = []

    def host(target: SshTarget, liveness: Liveness = QUICK) -> SshHost:
        made.append(SshHost("receiver", target, liveness))
        return made[-1]

    yield host
    for one in made:
        one.close()


def socket_of(host: SshHost) -> Path:
    """The socket of the host's shared connection."""
    assert host._master is not None
    return host._master.socket


def users_of(socket: Path) -> list[int]:
    """The processes of that connection: its ssh, and those of commands that run over it."""
    return mentioning(str(socket).encode())


# Trust


def test_another_host_key_is_refused(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    KnownHosts(known).pin(ALIAS, [ensure_keypair(tmp_path / "other")])
    before = known.read_bytes()
    host = connected(replace(sshd.target(), known_hosts=known))
    for attempt in (lambda: host.run(TRUE), host.reachable):
        with pytest.raises(
            HostKeyChanged, match=f"receiver.*pinned for {ALIAS}.*ssh-keygen -f {known} -R {ALIAS}"
        ) as caught:
            attempt()
        assert caught.value.exit_code == ExitCode.HOST_KEY
    assert known.read_bytes() == before


def test_a_pin_of_another_type_is_another_key_too(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "other")], check=True)
    KnownHosts(tmp_path / "known_hosts").pin(ALIAS, [(tmp_path / "other.pub").read_text()])
    with pytest.raises(HostKeyChanged):
        connected(replace(sshd.target(), known_hosts=tmp_path / "known_hosts")).run(TRUE)


@pytest.mark.parametrize("content", [None, "", "i-0other ssh-ed25519 AAAA\n"], ids=["no file", "empty", "others"])
def test_an_unknown_host_key_is_never_learned(
    sshd: Sshd, connected: Connected, tmp_path: Path, content: str | None
) -> None:
    known = tmp_path / "known hosts"
    if content is not None:
        known.write_text(content)
    with pytest.raises(HostKeyUnknown, match=f"no key for {ALIAS}") as caught:
        connected(replace(sshd.target(), known_hosts=known)).run(TRUE)
    assert caught.value.exit_code == ExitCode.HOST_KEY
    assert (known.read_text() if known.exists() else None) == content


def test_the_alias_is_what_counts_and_not_the_address(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    with pytest.raises(HostKeyUnknown):
        connected(replace(sshd.target(), known_hosts=known)).run(TRUE)
    assert connected(replace(sshd.target(), known_hosts=known, alias="")).reachable()


def test_a_user_key_that_is_not_accepted(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    ensure_keypair(tmp_path / "stranger")
    host = connected(replace(sshd.target(), identity=tmp_path / "stranger", user=pwd.getpwuid(os.getuid()).pw_name))
    with pytest.raises(HostError, match=r"receiver.*does not accept the ssh key .*/stranger for user.*authorized_keys"):
        host.run(TRUE)
    assert not host.reachable()


def test_a_user_key_that_others_may_read(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    (tmp_path / "open").write_bytes((sshd.directory / "identity").read_bytes())
    (tmp_path / "open").chmod(0o644)
    with pytest.raises(HostError, match=r"others may read it.*chmod 600"):
        connected(replace(sshd.target(), identity=tmp_path / "open")).run(TRUE)


# Deaths


def test_by_default_a_death_is_noticed_within_fifteen_seconds() -> None:
    assert Liveness().silence < 15
    assert Liveness().connect < 15


def test_nobody_listens(sshd: Sshd, connected: Connected) -> None:
    with pytest.raises(HostError, match=r"receiver cannot be reached: nothing listens for ssh at 127.0.0.1 port"):
        connected(sshd.target(free_port())).run(TRUE)


def test_a_machine_that_accepts_and_never_speaks(doomed: Sshd, relay: Relay, connected: Connected) -> None:
    relay.silence()
    start = time.monotonic()
    host = connected(doomed.target(relay.port), Liveness(connect=1.5))
    with pytest.raises(HostError, match=r"does not answer"):
        host.run(TRUE)
    assert time.monotonic() - start < 4


def test_a_name_without_an_address(doomed: Sshd, connected: Connected) -> None:
    with pytest.raises(HostError, match=r"no address for the name nowhere.invalid"):
        connected(replace(doomed.target(), address="nowhere.invalid")).run(TRUE)


def test_a_network_that_falls_silent_while_a_command_runs(relayed: SshHost, relay: Relay) -> None:
    relayed.run(TRUE)
    threading.Timer(0.3, relay.silence).start()
    start = time.monotonic()
    with pytest.raises(HostError, match=r"receiver.*stopped answering"):
        relayed.run(Command.of("sleep", "61.25", timeout=60))
    assert time.monotonic() - start < 5


def test_a_machine_that_stops_while_a_command_runs(doomed: Sshd, relayed: SshHost) -> None:
    relayed.run(TRUE)
    threading.Timer(0.3, lambda: doomed.signal_sessions(signal.SIGSTOP)).start()
    start = time.monotonic()
    try:
        with pytest.raises(HostError, match=r"receiver.*stopped answering"):
            relayed.run(Command.of("sleep", "4", timeout=60))
        assert time.monotonic() - start < 5
    finally:
        doomed.signal_sessions(signal.SIGCONT)


def test_after_a_loss_the_next_command_connects_again(doomed: Sshd, relayed: SshHost) -> None:
    relayed.run(TRUE)
    threading.Timer(0.3, lambda: doomed.signal_sessions(signal.SIGKILL)).start()
    with pytest.raises(HostError, match=r"connection to receiver ended"):
        relayed.run(Command.of("sleep", "62.25"))
    assert relayed.run(TRUE).status == 0


def test_a_new_address_under_the_same_alias_never_meets_the_old_connection(
    doomed: Sshd, relayed: SshHost, relay: Relay, connected: Connected
) -> None:
    relayed.run(TRUE)
    relay.silence()
    start = time.monotonic()
    assert connected(doomed.target()).run(TRUE).status == 0
    assert time.monotonic() - start < 2


def test_a_connection_that_was_lost_while_nothing_ran(doomed: Sshd, relayed: SshHost) -> None:
    relayed.run(TRUE)
    before = doomed.logins
    doomed.signal_sessions(signal.SIGKILL)
    assert soon(lambda: not users_of(socket_of(relayed)))
    for _ in range(3):
        assert relayed.run(TRUE).status == 0
    assert doomed.logins == before + 1


def test_a_connection_that_hangs_does_not_hang_us(
    sshd: Sshd, connected: Connected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssh, "_END_SECONDS", 1.0)
    host = connected(sshd.target())
    host.run(TRUE)
    (master,) = users_of(socket_of(host))
    os.kill(master, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(HostError, match=r"stopped answering"):
        host.run(Command.of("true", timeout=0.5))
    assert host.run(TRUE).status == 0
    assert time.monotonic() - start < 8


# One connection


def test_all_commands_share_one_connection(sshd: Sshd, connected: Connected) -> None:
    before = sshd.logins
    host = connected(sshd.target())
    threads = [threading.Thread(target=host.run, args=(TRUE,)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sshd.logins == before + 1


def test_closing_leaves_nothing(sshd: Sshd, connected: Connected) -> None:
    host = connected(sshd.target())
    host.run(TRUE)
    socket = socket_of(host)
    assert users_of(socket)
    assert socket.stat().st_mode & 0o077 == 0
    host.close()
    assert not socket.exists()
    assert not users_of(socket)
    assert host.run(TRUE).status == 0


def test_a_deep_control_directory_is_no_obstacle(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    assert connected(replace(sshd.target(), control_directory=deep)).run(TRUE).status == 0


def test_a_path_with_blanks_and_percents_is_no_obstacle(sshd: Sshd, connected: Connected, tmp_path: Path) -> None:
    odd = tmp_path / "a b %h"
    odd.mkdir()
    KnownHosts(odd / "known hosts").pin(ALIAS, [sshd.host_key])
    (odd / "key").write_bytes((sshd.directory / "identity").read_bytes())
    (odd / "key").chmod(0o600)
    target = replace(sshd.target(), known_hosts=odd / "known hosts", identity=odd / "key", control_directory=odd)
    assert connected(target).run(TRUE).status == 0


KILLED_CONTROLLER = """
import os, pathlib, signal, sys
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.hosts.ssh_options import SshTarget
port, identity, known, control = sys.argv[1:]
path = pathlib.Path
target = SshTarget("127.0.0.1", int(port), None, path(identity), path(known), "{alias}", False, path(control))
host = SshHost("receiver", target)
host.run(Command.of("true"))
print(host._master.socket, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_connection_dies_with_the_controller(sshd: Sshd) -> None:
    target = sshd.target()
    words = (str(target.port), str(target.identity), str(target.known_hosts), str(target.control_directory))
    argv = [sys.executable, "-c", KILLED_CONTROLLER.format(alias=ALIAS), *words]
    ended = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True)
    assert ended.returncode == -signal.SIGKILL
    socket = Path(ended.stdout.strip())
    assert socket.name.startswith("ec2zfs-")
    assert soon(lambda: not users_of(socket) and not socket.exists())


def _press_ctrl_c() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_an_interrupt_ends_the_command_there(sshd: Sshd, connected: Connected) -> None:
    host = connected(sshd.target())
    host.run(TRUE)
    threading.Timer(0.3, _press_ctrl_c).start()
    with pytest.raises(KeyboardInterrupt):
        host.run(Command.of("sleep", "69.25"))
    assert ["sleep", "69.25"] not in descendants(sshd.process.pid).values()


# The far side


def test_a_shell_that_prints_when_it_starts_is_named(sshd: Sshd, connected: Connected) -> None:
    if not pwd.getpwuid(os.getuid()).pw_shell.endswith("/bash"):
        pytest.skip("the login shell of this user is not bash, which alone reads ~/.bashrc under sshd")
    start_up = sshd.directory / "home" / ".bashrc"
    start_up.write_text("echo welcome\n")
    try:
        with pytest.raises(HostError, match=r"receiver.*start-up files print text.*welcome"):
            connected(sshd.target()).run(TRUE)
    finally:
        start_up.unlink()


SUDOS = [
    ("it works", 'shift 2; exec "$@"', None),
    ("it asks", 'echo "sudo: a password is required" >&2; exit 1', CommandFailed),
]


@pytest.mark.parametrize(("script", "error"), [case[1:] for case in SUDOS], ids=[case[0] for case in SUDOS])
def test_sudo(sshd: Sshd, connected: Connected, script: str, error: type[Ec2zfsError] | None) -> None:
    sudo = sshd.directory / "home" / "sudo"
    sudo.write_text(f'#!/bin/sh\n[ "$1 $2" = "-n --" ] || exit 99\n{script}\n')
    sudo.chmod(0o755)
    (sshd.directory / "home" / ".bashrc").write_text('PATH="$HOME:$PATH"\n')
    host = connected(replace(sshd.target(), sudo=True))
    try:
        if error is None:
            assert host.run(Command.of("printf", "%s", "a b")).text == "a b"
        else:
            with pytest.raises(error, match=r"Allow the user on receiver to use sudo without a password"):
                host.run(TRUE)
    finally:
        (sshd.directory / "home" / ".bashrc").unlink()
