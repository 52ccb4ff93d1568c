"""`ec2zfs backup` on a day of the imagined world: what tests configure, run and look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.fakes.day import POOL_KEY, SOURCES, Controller, Cut, Day
from tests.fakes.pools import ZONE

from ec2zfs.cli import main
from ec2zfs.cli.session import Session
from ec2zfs.tools import volume_keys

CONFIGURATION = """
[aws]
region = "eu-central-1"
zone = "{zone}"
[pool]
name = "cloud"
redundancy = "mirror"
vdevs = 1
volumes_per_vdev = 2
[volumes]
type = "gp3"
size_gib = 1
[receiver]
image = "ami-00000000000000001"
instance_type = "m7g.medium"
[site]
{sources}
[pool_key]
from = "command"
command = ["printf", "%s", "{key}"]
[paths]
state = "{state}"
{paths}
"""


class Backup:
    """Runs `ec2zfs backup …` (or another `verb`) on a day, and keeps what it printed.

    That is `printed`, and of `--json` the `events` and `errors`.

    `cut` is what happens to the run on its way, `held` what another holds until the test ends.
    """

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(volume_keys, "_COST", 2)
        self.day = Day()
        self.file, self.state = directory / "ec2zfs.toml", directory / "state"
        self.capsys, self.monkeypatch = capsys, monkeypatch
        self.cut, self.held = Cut(), ExitStack()
        self.verb = "backup"
        self.configure()

    def configure(self, paths: str = "") -> None:
        sources = "\n".join(
            f'[[source]]\ndataset = "{each.dataset}"\nrecursive = {str(each.recursive).lower()}' for each in SOURCES
        )
        values = {"zone": ZONE, "sources": sources, "key": POOL_KEY.reveal().decode(), "state": self.state}
        self.file.write_text(CONFIGURATION.format(**values, paths=paths))

    def edit(self, old: str, new: str) -> None:
        """Write something else in the configuration."""
        text = self.file.read_text()
        assert text.count(old) == 1, old
        self.file.write_text(text.replace(old, new))

    def fail_at(self, call: str, failure: Callable[[str], BaseException]) -> None:
        """Let the first call of this name fail so."""
        whole = Controller(self.day.copy())
        whole.back_up(datetime(2026, 11, 24, tzinfo=UTC))
        self.cut = Cut([name for _, name in whole.cut.calls].index(call) + 1, failure=failure)

    def __call__(self, *words: str, cut: Cut | None = None) -> int:
        status = self.run("--json", *words, cut=cut)
        self.events = [json.loads(line) for line in self.printed.out.splitlines()]
        self.errors = [json.loads(line) for line in self.printed.err.splitlines()]
        return status

    def run(self, *words: str, cut: Cut | None = None) -> int:
        """The same as a person does it."""
        controller = Controller(self.day, cut or self.cut)
        parts = controller.parts()
        for name, part in (
            ("site", parts.site.host),
            ("receiver", parts.upkeep.receiver),
            ("fleet", parts.upkeep.fleet),
        ):
            self.monkeypatch.setattr(Session, name, part)
        self.monkeypatch.setattr(Session, "attached_volumes", lambda _session, **_given: parts.upkeep.attach())
        self.monkeypatch.setattr(Session, "seat", lambda _session: parts.upkeep.seat())
        self.monkeypatch.setattr(Session, "configured_type", lambda _session: parts.upkeep.instance_type())
        self.monkeypatch.setattr(Session, "schedule", self.day.schedule)
        self.monkeypatch.setattr(Session, "replicator", lambda _session, host: parts.replicator(host))
        status = main(["--config", str(self.file), self.verb, *words])
        self.printed = self.capsys.readouterr()
        return status

    def reports(self) -> list[dict[str, object]]:
        return [json.loads(path.read_text()) for path in sorted((self.state / "reports").iterdir())]

    def told(self, event: str) -> dict[str, object]:
        (found,) = (each for each in self.events if each["event"] == event)
        return dict(found)

    def require_rest(self) -> None:
        assert (self.day.ec2.states(), self.day.group.rules) == ({"i-00000000000000001": "stopped"}, ())
        assert (self.day.machine.imported, self.day.machine.mappings) == ([], [])
