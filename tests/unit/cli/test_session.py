"""What the composition root makes of a configuration."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ec2zfs.cli.connections import connection_to, site
from ec2zfs.cli.ending import run_to_its_end
from ec2zfs.cli.output import Json, chosen_output
from ec2zfs.cli.session import Session, session
from ec2zfs.cli.this_machine import ThisMachine
from ec2zfs.config import Configuration, parse
from ec2zfs.config.sample import sample
from ec2zfs.errors import AlreadyRunning, ConfigurationError, CredentialsError, HostError, Refused
from ec2zfs.execute.carrier import Chosen, Fixed
from ec2zfs.hosts.host import Command
from ec2zfs.hosts.local import LocalHost
from ec2zfs.hosts.ssh import SshHost
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.model.source import Source
from ec2zfs.model.stream_mode import StreamMode
from ec2zfs.transport.direct import MIB, DirectTransport

INSTANCE = Instance(
    id="i-0123456789abcdef0",
    pool="cloud",
    type="m7g.medium",
    zone="eu-central-1a",
    state=InstanceState.RUNNING,
    market=Market.SPOT,
    address="127.0.0.9",
    host_key="",
    launched=datetime(2026, 11, 23, tzinfo=UTC),
)


def configured(tmp_path: Path, **sections: str) -> Configuration:
    """The sample with more keys in its sections (by their names, `source` and others alike)."""
    text = sample()
    for name, keys in {"paths": f'state = "{tmp_path}/state"', **sections}.items():
        text = text.replace(f"[{name}]\n", f"[{name}]\n{keys}\n")
    return parse(text)


def made(configuration: Configuration) -> Session:
    return Session(configuration, chosen_output(argparse.Namespace(json=True)), ExitStack())


def test_a_session_comes_of_the_file_that_the_command_line_names(tmp_path: Path) -> None:
    path = tmp_path / "ec2zfs.toml"
    path.write_text(sample())
    with session(argparse.Namespace(config=str(path), json=True)) as opened:
        assert opened.pool == "cloud"
        assert str(opened.design.layout) == "5 x raidz1 of 8 x 500 GiB"
        assert opened.sources == (Source("tank/home", recursive=True),)
        assert isinstance(opened.output, Json)


def test_without_a_file_there_is_no_session(tmp_path: Path) -> None:
    named = argparse.Namespace(config=str(tmp_path / "none.toml"), json=False)
    with pytest.raises(ConfigurationError, match="There is no configuration at"), session(named):
        pytest.fail("there is no configuration")


def test_a_local_site_is_this_machine(tmp_path: Path) -> None:
    with site(configured(tmp_path)) as host:
        assert isinstance(host, LocalHost)
        assert (host.name, host.run(Command.of("echo", "here")).text) == ("site", "here\n")


def test_a_site_behind_ssh_is_reached_as_configured_and_otherwise_as_ssh_is(tmp_path: Path) -> None:
    keys = 'connection = "ssh"\naddress = "files.example.org"\nsudo = true\nknown_hosts = "/etc/hosts-known"'
    with site(configured(tmp_path, site=keys)) as host:
        assert isinstance(host, SshHost)
        target = host.target
    assert (target.address, target.port, target.user, target.identity) == ("files.example.org", None, None, None)
    assert (target.alias, target.known_hosts, target.sudo) == ("", Path("/etc/hosts-known"), True)


@pytest.mark.parametrize(("user", "sudo"), [("ubuntu", True), ("root", False)])
def test_a_receiver_is_reached_under_the_key_that_is_pinned_for_its_id(tmp_path: Path, user: str, sudo: bool) -> None:
    configuration = configured(tmp_path, receiver=f'user = "{user}"\nssh_port = 2222')
    host = connection_to(configuration, INSTANCE)
    assert isinstance(host, SshHost)
    state = tmp_path / "state"
    assert host.name == "receiver i-0123456789abcdef0"
    assert (host.target.address, host.target.port, host.target.user) == ("127.0.0.9", 2222, user)
    assert (host.target.alias, host.target.known_hosts) == (INSTANCE.id, state / "known_hosts")
    assert (host.target.identity, host.target.sudo) == (state / "receiver_ed25519", sudo)


def test_the_receiver_is_this_machine_only_if_its_firmware_says_so(tmp_path: Path) -> None:
    tag = tmp_path / "board_asset_tag"
    tag.write_text(f"{INSTANCE.id}\n")
    here = ThisMachine.being(INSTANCE.id, LocalHost("receiver"), tag)
    assert here.run(Command.of("echo", "yes")).text == "yes\n"
    with pytest.raises(Refused, match=r"but this is i-0123456789abcdef0 and not i-0fff"):
        ThisMachine.being("i-0fff", LocalHost("receiver"), tag)
    with pytest.raises(Refused, match=r"but this is no EC2 instance and not i-0123456789abcdef0"):
        connection_to(configured(tmp_path, receiver='connection = "local"'), INSTANCE)


def test_a_pool_without_encryption_needs_no_key(tmp_path: Path) -> None:
    assert made(configured(tmp_path, pool="encryption = false")).pool_key() is None


def test_the_pool_key_comes_from_where_the_configuration_says(tmp_path: Path) -> None:
    key = made(configured(tmp_path, pool_key=f'from = "command"\ncommand = ["printf", "%s", "{"k" * 32}"]')).pool_key()
    assert key is not None
    assert key.reveal() == b"k" * 32


def test_the_lock_is_the_pools(tmp_path: Path) -> None:
    one, other = made(configured(tmp_path)), made(configured(tmp_path))
    with one.lock(), pytest.raises(AlreadyRunning), other.lock():
        pytest.fail("the lock was taken twice")


def test_making_the_parts_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endpoint refuses every connection: whatever called EC2 would fail."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    parts = made(configured(tmp_path, aws='endpoint_url = "http://127.0.0.1:9"', replication="streams = 2"))
    host = LocalHost()
    assert all((parts.fleet, parts.receiver, parts.known_hosts, parts.prices, parts.cloud_pool(host), parts.site))
    replicator = parts.replicator(host)
    assert (replicator.receiver, replicator.streams) == (host, 2)
    assert parts.fleet is parts.fleet


WAYS: list[tuple[dict[str, str], type[Chosen | Fixed], tuple[int, int], bool]] = [
    ({}, Chosen, (28300, 28315), False),
    ({"transport": 'ports = "4000-4003"\nbuffer_mib = 64\nflows = 2'}, Chosen, (4000, 4003), False),
    ({"site": 'connection = "ssh"\naddress = "files.example.org"'}, Chosen, (28300, 28315), True),
    ({"receiver": 'connection = "local"'}, Fixed, (0, 0), False),
]


@pytest.mark.parametrize(("sections", "kind", "ports", "relayed"), WAYS)
def test_streams_are_carried_as_configured_and_a_site_behind_ssh_is_relayed(
    tmp_path: Path,
    sections: dict[str, str],
    kind: type[Chosen | Fixed],
    ports: tuple[int, int],
    relayed: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    parts = made(configured(tmp_path, **sections))
    found = parts.carrier
    assert isinstance(found, kind)
    if isinstance(found, Chosen):
        assert isinstance(found.direct, DirectTransport)
        assert (found.mode, found.direct.ports) == (StreamMode.AUTO, ports)
        assert found.direct.relayed == (parts.site if relayed else None)
        assert (found.direct.buffer, found.direct.flows) == (
            (64 * MIB, (2, 2)) if "transport" in sections else (128 * MIB, (4, 32))
        )


def test_without_credentials_the_first_use_of_ec2_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    parts = made(configured(tmp_path))
    with pytest.raises(CredentialsError):
        assert parts.fleet


def test_connections_are_closed_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    monkeypatch.setattr(SshHost, "close", lambda host: closed.append(host.name))
    path = tmp_path / "ec2zfs.toml"
    path.write_text(sample().replace("[site]\n", '[site]\nconnection = "ssh"\naddress = "127.0.0.9"\n'))

    def broken() -> None:
        with session(argparse.Namespace(config=str(path), json=False)) as opened:
            assert opened.site.name == "site"
            raise HostError("The network is gone.")

    with pytest.raises(HostError):
        broken()
    assert closed == ["site"]


def test_verbose_shows_commands_without_what_they_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def handler(_arguments: argparse.Namespace) -> int:
        with site(configured(tmp_path)) as host:
            host.run(Command.of("sh", "-c", "cat >/dev/null\ntrue", "a b", stdin=b"hush"))
        return 0

    run_to_its_end(argparse.Namespace(handler=handler, json=False, verbose=True))
    assert capsys.readouterr().err == "+ site: sh -c 'cat >/dev/null'… 'a b'\n"


def test_events_are_json_even_for_what_json_does_not_know(capsys: pytest.CaptureFixture[str]) -> None:
    chosen_output(argparse.Namespace(json=True)).result(
        "instance", {"launched": INSTANCE.launched, "market": Market.SPOT}
    )
    assert json.loads(capsys.readouterr().out)["launched"] == "2026-11-23T00:00:00+00:00"
