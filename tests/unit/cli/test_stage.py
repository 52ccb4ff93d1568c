"""`ec2zfs stage`: files are encrypted for real, on a ZFS of directories; what it shows, and what it refuses."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from tests.fakes.zfs_on_disk import DiskZfs
from tests.fakes.zfs_pool import EPOCH
from tests.unit.cli.test_snapshots_verbs import CONFIGURATION

from ec2zfs.cli import main
from ec2zfs.cli.session import Session
from ec2zfs.errors import ExitCode
from ec2zfs.plan.cursors import cursor_name
from ec2zfs.runs.lock import staging_lock

FIRST, SECOND = "ec2zfs_2020-01-01T00:00:00Z_daily", "ec2zfs_2020-01-02T00:00:00Z_daily"


class Typed:
    """Types `ec2zfs …` at a site with files and a staging pool; `rows` and `told` are of what was printed last."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.capsys, self.identity = capsys, pyrage.x25519.Identity.generate()
        self.file, self.state = directory / "ec2zfs.toml", directory / "state"
        self.configure(f'dataset = "vault"\nrecipients = ["{self.identity.to_public()}"]')
        self.site = DiskZfs(directory / "site")
        self.site.make("vault")
        for name in ("tank", "tank/home"):
            (self.site.make(name) / "a.txt").write_text(f"of {name}")
            self.site.take(name, FIRST)
        monkeypatch.setattr(Session, "site", self.site)
        monkeypatch.setattr(os, "geteuid", lambda: 0)

    def configure(self, staging: str, site: str = "", source: str = "") -> None:
        text = CONFIGURATION.format(state=self.state).replace("staging = {}", "staging = { daily = 9 }")
        text = text.replace("[site]\n", f"[site]\n{site}\n").replace(
            'dataset = "tank"\n', f'dataset = "tank"\n{source}\n'
        )
        self.file.write_text(f"{text}\n[staging]\n{staging}\n")

    def __call__(self, *words: str) -> int:
        status = main(["--config", str(self.file), "--json", *words])
        printed = self.capsys.readouterr()
        self.events = [json.loads(line) for line in printed.out.splitlines()]
        self.errors = [json.loads(line) for line in printed.err.splitlines()]
        return status

    def rows(self, event: str) -> list[dict[str, object]]:
        (found,) = (each["rows"] for each in self.events if each["event"] == event)
        assert isinstance(found, list)
        return found

    def shown(self, source: str) -> Path:
        """The newest staged snapshot of a source, as ZFS shows it."""
        place = f"vault/{source}"
        return self.site.snapshot(place, self.site.zfs.find(place).snapshots[-1].name)

    def taken(self, name: str) -> str:
        """When a snapshot of tank was taken, before it was staged."""
        (snap,) = (each for each in self.site.zfs.find("tank").snapshots if each.name == name)
        return datetime.fromtimestamp(EPOCH + snap.txg, UTC).isoformat()

    def newest(self, dataset: str) -> int:
        return self.site.zfs.find(dataset).snapshots[-1].guid

    @property
    def way(self) -> str:
        """An `--identity` that is the recipient's."""
        return f"command:printf %s {self.identity}"

    def refused(self, status: ExitCode, words: str, *more: str) -> None:
        assert self("stage", *more) == status
        assert words in f"{self.errors[-1]['message']} {self.errors[-1]['hint']}"


@pytest.fixture
def typed(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Typed:
    return Typed(tmp_path, capsys, monkeypatch)


def test_what_is_to_be_staged_is_shown_and_then_encrypted(typed: Typed) -> None:
    assert typed("stage", "--dry-run") == ExitCode.OK
    assert [row["step"] for row in typed.rows("steps_of_staging")] == [
        "create vault/tank",
        f"stage tank@{FIRST} from nothing",
        "create vault/tank/home",
        f"stage tank/home@{FIRST} from nothing",
    ]
    assert "vault/tank" not in typed.site.zfs.datasets
    assert typed("stage") == ExitCode.OK
    assert [row["files_encrypted"] for row in typed.rows("snapshots_staged")] == [1, 1]
    encrypted = (typed.site.snapshot("vault/tank/home", FIRST) / "files" / "a.txt").read_bytes()
    assert pyrage.decrypt(encrypted, [typed.identity]) == b"of tank/home"
    assert typed("stage") == ExitCode.OK
    assert typed.rows("snapshots_staged") == []


def test_what_changed_is_staged_and_the_rest_is_not_touched(typed: Typed) -> None:
    typed("stage")
    for name in ("b.txt", "c.txt"):
        (typed.site.folder("tank") / name).write_text(name)
    typed.site.take("tank", SECOND)
    assert typed("stage", "--full") == ExitCode.OK
    (row,) = typed.rows("snapshots_staged")
    assert row["snapshot"] == f"tank@{SECOND}"
    assert typed.events[-1] == {
        "event": "staged",
        "snapshots": 1,
        "files_encrypted": row["files_encrypted"],
        "bytes": row["bytes"],
        "datasets_with_faults": 0,
        "files_that_could_not_be_read": 0,
    }


def test_an_interrupted_stage_is_rolled_back_and_done_again(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed("stage")
    (typed.site.folder("tank") / "b.txt").write_text("b")
    typed.site.take("tank", SECOND)

    def interrupt(event: str) -> None:
        if f"vault/tank@{SECOND}" in event:
            raise KeyboardInterrupt

    typed.site.hook = interrupt
    assert typed("stage") == ExitCode.INTERRUPTED
    typed.site.hook = lambda _event: None
    assert typed("stage") == ExitCode.OK
    said = [each["message"] for each in typed.events if each["event"] == "message"]
    assert said[0] == f"roll vault/tank back to @{FIRST}"
    encrypted = (typed.site.snapshot("vault/tank", SECOND) / "files" / "b.txt").read_bytes()
    assert pyrage.decrypt(encrypted, [typed.identity]) == b"b"


def test_where_nothing_is_to_be_staged(typed: Typed) -> None:
    typed.configure("")
    typed.refused(ExitCode.CONFIGURATION, "Nothing is to be staged: [staging] has no dataset")
    typed.configure('dataset = "vault"\nrecipients = ["age1x"]', source="staged = false")
    typed.refused(ExitCode.CONFIGURATION, "every [[source]] says staged = false")


def test_it_runs_at_the_site_as_root(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    staging = f'dataset = "vault"\nrecipients = ["{typed.identity.to_public()}"]'
    typed.configure(staging, site='connection = "ssh"\naddress = "files"')
    typed.refused(ExitCode.REFUSED, "is another machine (site.connection). Run ec2zfs on the file server.")
    typed.configure(staging)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    typed.refused(ExitCode.REFUSED, "it has to run as root")
    assert "vault/tank" not in typed.site.zfs.datasets


def test_recipients_that_do_not_do(typed: Typed, tmp_path: Path) -> None:
    keys = tmp_path / "keys.txt"
    for text, words in (
        (None, "keys.txt cannot be read: No such file"),
        (b"\xff", "keys.txt are no text"),
        (str(typed.identity).encode(), "Among the recipients is an age identity"),
    ):
        if text is not None:
            keys.write_bytes(text)
        typed.configure(f'dataset = "vault"\nrecipients = ["{keys}"]')
        typed.refused(ExitCode.CONFIGURATION, words)
        assert str(typed.identity) not in str(typed.errors)
    assert "vault/tank" not in typed.site.zfs.datasets


def test_one_at_a_time(typed: Typed) -> None:
    with staging_lock(typed.state):
        typed.refused(ExitCode.LOCKED, "Another command works in the staging pool")
        assert typed("prune") == ExitCode.OK, "which does not disturb it"
        assert [each["event"] for each in typed.events] == ["site_pruned", "staging_pool_pruned"]


def test_a_conflict_is_told_and_the_others_are_staged(typed: Typed) -> None:
    typed.site.make("vault/tank")
    typed.refused(ExitCode.STAGING, "vault/tank, where tank is to be staged, is not ec2zfs's own")
    assert [row["snapshot"] for row in typed.rows("snapshots_staged")] == [f"tank/home@{FIRST}"]
    assert typed("stage", "--dry-run") == ExitCode.OK
    assert "is not ec2zfs's own" in str(typed.rows("steps_of_staging")[0]["step"])


def test_what_is_staged_is_proved_and_damage_is_named(typed: Typed) -> None:
    typed("stage")
    for way, proved in ((), "ciphertexts"), (("--identity", typed.way), "contents, names and ciphertexts"):
        assert typed("stage", "verify", *way) == ExitCode.OK
        last = typed.events[-1]
        assert (last["folders"], last["objects"], last["proved"], last["findings"]) == (2, 2, proved, 0)
    (ciphertext,) = (typed.shown("tank/home") / "objects").glob("*/*")
    ciphertext.write_bytes(ciphertext.read_bytes() + b"!")
    assert typed("stage", "verify", "tank") == ExitCode.OK
    assert typed("stage", "verify") == ExitCode.FAILURE
    assert typed.rows("findings")[0]["why"] == "it is not what was sealed"
    assert typed("stage", "verify", "--folder", str(typed.shown("tank"))) == ExitCode.OK
    assert typed("stage", "verify", "tank/none") == ExitCode.REFUSED
    assert "Nothing of tank/none is staged" in typed.errors[0]["message"]


def test_files_are_listed_and_restored_as_of_a_time(typed: Typed, tmp_path: Path) -> None:
    typed("stage")
    (typed.site.folder("tank") / "a.txt").write_text("changed")
    (typed.site.folder("tank") / "b.txt").write_text("new")
    typed.site.take("tank", SECOND)
    typed("stage")
    assert typed("restore", "list", "a*", "--dataset", "tank", "--identity", typed.way) == ExitCode.OK
    assert [(row["path"], row["from_snapshot"], row["bytes"]) for row in typed.rows("versions")] == [
        ("a.txt", FIRST, 7),
        ("a.txt", SECOND, 7),
    ]
    where = ("--dataset", "tank", "--identity", typed.way)
    for target, more, expected in (
        ("newest", (), {"a.txt": "changed", "b.txt": "new"}),
        ("one", ("b.txt",), {"b.txt": "new"}),
        ("named", ("--at", FIRST), {"a.txt": "of tank"}),
        ("timed", ("--at", typed.taken(FIRST)), {"a.txt": "of tank"}),
    ):
        assert typed("restore", "files", *where, "--to", str(tmp_path / target), *more) == ExitCode.OK, typed.errors
        assert {each.name: each.read_text() for each in (tmp_path / target).iterdir()} == expected
    folder = ("--folder", str(typed.shown("tank")), "--identity", typed.way)
    typed.file.unlink()
    assert typed("restore", "files", *folder, "--to", str(tmp_path / "bare")) == ExitCode.OK, typed.errors
    assert (tmp_path / "bare" / "b.txt").read_text() == "new"


def test_what_cannot_be_restored_is_told(typed: Typed, tmp_path: Path) -> None:
    typed("stage")
    where = ("restore", "files", "--dataset", "tank", "--to", str(tmp_path / "there"))
    other = pyrage.x25519.Identity.generate()
    for words, status, said in (
        (
            ("--identity", f"command:printf %s {other}"),
            ExitCode.FAILURE,
            "is not encrypted to the identity that was given",
        ),
        (("--identity", "command:printf nothing"), ExitCode.REFUSED, "What was given is no identity"),
        (("--identity", "file:key"), ExitCode.CONFIGURATION, "There is no way to read it that is called file"),
        (("--identity", typed.way, "--at", "2020-01-01"), ExitCode.REFUSED, "no snapshot is staged that is of"),
        (("--identity", typed.way, "none.txt"), ExitCode.FAILURE, "Nothing is called none.txt in tank@"),
    ):
        assert typed(*where, *words) == status, words
        assert said in typed.errors[-1]["message"]
        assert str(other) not in str(typed.errors)
    assert typed(*where, "--identity", typed.way) == ExitCode.OK
    assert typed(*where, "--identity", typed.way) == ExitCode.REFUSED
    assert "is not empty; nothing was restored" in typed.errors[0]["message"]


def test_status_judges_what_is_staged_and_what_is_copied_of_it(typed: Typed) -> None:
    def tiers() -> dict[tuple[str, str], str]:
        typed("status")
        return {(str(row["dataset"]), str(row["tier"])): str(row["reason"]) for row in typed.rows("datasets")}

    assert tiers()["tank", "staging"] == "there is none yet"
    typed("stage")
    assert tiers()["tank", "staging"] == "daily was missed 4 times or more"
    assert tiers()["tank", "cloud"] == "there is none yet"
    typed.site.pool.bookmark(f"vault/tank@{FIRST}", f"vault/tank#{cursor_name('cloud', typed.newest('vault/tank'))}")
    assert tiers()["tank", "cloud"] == "daily was missed 4 times or more"
    typed.site.zfs.find("tank").properties["mounted"] = "no"
    typed.site.take("tank", SECOND)
    assert "The files of tank cannot be read: it is not mounted." in tiers()["tank", "staging"]
    typed.site.zfs.find("tank").properties["canmount"] = "off"
    assert [tier for name, tier in tiers() if name == "tank"] == ["site"]
