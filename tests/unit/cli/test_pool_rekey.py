"""`ec2zfs pool rekey`: which keys it asks for, what it says at its end, and what it refuses."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
from tests.fakes.cloud import FakeVolumes
from tests.fakes.day import POOL_KEY, Controller, Day
from tests.fakes.key_machine import KeyMachine
from tests.fakes.pools import ZONE
from tests.unit.cli.backups import CONFIGURATION

from ec2zfs.cli import pool_rekey
from ec2zfs.cli.session import Session
from ec2zfs.errors import Refused
from ec2zfs.execute import rekeying
from ec2zfs.hosts.secret import Secret
from ec2zfs.tools import volume_keys

NEW = "the key that opens the pool from now on"
SOURCES = 'connection = "local"\n[[source]]\ndataset = "tank"'
BOTH = {"cloud-v1s1-g1", "cloud-v1s2-g1"}


class Rekey:
    """Runs the verb on a day, and keeps what it printed with `--json`."""

    def __init__(self, file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.machine = KeyMachine(FakeVolumes("cloud"))
        self.day = Day(machine=self.machine)
        self.file, self.capsys = file, capsys
        monkeypatch.setattr(Session, "upkeep", property(lambda _: Controller(self.day).upkeep()))
        self.configure()

    def configure(self, new: str = NEW, more: str = "") -> None:
        values = {"zone": ZONE, "sources": SOURCES, "key": POOL_KEY.reveal().decode(), "state": self.file.parent}
        keys = f'[new_pool_key]\nfrom = "command"\ncommand = ["printf", "%s", "{new}"]\n'
        self.file.write_text(CONFIGURATION.format(**values, paths=keys).replace("[volumes]", f"{more}[volumes]"))

    def __call__(self, *words: str) -> list[dict[str, object]]:
        top = argparse.ArgumentParser()
        pool_rekey.register(top.add_subparsers())
        pool_rekey.run(top.parse_args(["rekey", "--config", str(self.file), "--json", *words]))
        printed = self.capsys.readouterr()
        self.warned = [line["message"] for line in map(json.loads, printed.err.splitlines()) if "message" in line]
        return [json.loads(line) for line in printed.out.splitlines()]


@pytest.fixture
def rekey(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Rekey:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    monkeypatch.setattr(rekeying, "DEVICE_SECONDS", 1)
    return Rekey(tmp_path / "ec2zfs.toml", capsys, monkeypatch)


def test_it_says_what_was_done_and_what_the_operator_has_to_do(rekey: Rekey) -> None:
    *_, result = rekey()
    assert (result["event"], result["volumes"], result["pool"]) == ("rekeying_complete", 2, "cloud")
    assert "put the new one where [pool_key] takes it from" in rekey.warned[-1]
    assert rekey.machine.opened_by(POOL_KEY) == set()
    assert rekey.machine.opened_by(Secret(NEW.encode())) == BOTH


def test_the_report_of_the_run_has_its_stages(rekey: Rekey) -> None:
    *_, result = rekey()
    report = json.loads(Path(str(result["report"])).read_text())
    assert (report["command"], report["clean"]) == ("pool rekey", True)
    assert [stage["name"] for stage in report["stages"]][2:5] == [
        "add the new key",
        "test the new key",
        "remove the old key",
    ]
    assert NEW not in json.dumps(report)


@pytest.mark.parametrize("words", [(), ("--replace",)])
def test_equal_keys_are_refused(words: tuple[str, ...], rekey: Rekey) -> None:
    rekey.configure(POOL_KEY.reveal().decode())
    with pytest.raises(Refused, match="The old and the new pool key are the same"):
        rekey(*words)
    assert rekey.machine.opened_by(POOL_KEY) == BOTH


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_a_pool_without_encryption_is_refused_before_a_key_is_asked_for(words: tuple[str, ...], rekey: Rekey) -> None:
    rekey.configure(more="encryption = false\n")
    with pytest.raises(Refused, match="has no encryption"):
        rekey(*words)


@pytest.mark.parametrize("words", [(), ("--replace",)])
def test_a_dry_run_tells_the_plan_and_needs_no_key(words: tuple[str, ...], rekey: Rekey) -> None:
    rekey.configure("too short to be a key")
    before = rekey.day.shown()
    *_, result = rekey("--dry-run", *words)
    assert result["event"] == "dry_run_nothing_was_changed"
    assert str(result["keys"]).startswith("the new key is added to 2 volumes and tested on each")
    assert rekey.day.shown() == before
