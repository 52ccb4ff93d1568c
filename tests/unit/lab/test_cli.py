"""`ec2zfs lab`: what its verbs do to a lab that serves without machines."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from mypy_boto3_ec2 import EC2Client
from tests.unit.lab.asking import running, state, until
from tests.unit.lab.corrections.test_spot import ONE_TIME

from ec2zfs.cli import main
from ec2zfs.errors import ExitCode
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.faults import Fault, FaultKind


@pytest.fixture
def lab(local: LocalEc2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabDescription:
    lab = LabDescription(
        directory=str(tmp_path),
        pid=1,
        endpoint=local.endpoint,
        region="us-east-1",
        zone="us-east-1a",
        image_id="ami-0ec2f5000000000a1",
        identity=str(tmp_path / "id_ed25519"),
        receiver_user="admin",
        receiver_port=2222,
        stream_ports="28300-28307",
        site=None,
    )
    monkeypatch.setattr("ec2zfs.lab.laboratory.running", lambda _directory: lab)
    return lab


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("fail CreateVolume ExpiredToken", Fault(FaultKind.FAIL, "CreateVolume", "ExpiredToken")),
        (
            "fail * RequestLimitExceeded --times 3 --skip 1",
            Fault(FaultKind.FAIL, "*", "RequestLimitExceeded", times=3, skip=1),
        ),
        (
            "fail * RequestLimitExceeded --times 0 --share 0.3",
            Fault(FaultKind.FAIL, "*", "RequestLimitExceeded", times=None, share=0.3),
        ),
        ("lose-answer RunInstances", Fault(FaultKind.LOSE_ANSWER, "RunInstances")),
        ("delay * 0.5 --times 0", Fault(FaultKind.DELAY, "*", times=None, seconds=0.5)),
        ("hang-attach vol-1", Fault(FaultKind.HANG_ATTACH, "vol-1")),
        ("volume-error", Fault(FaultKind.VOLUME_ERROR)),
    ],
)
def test_a_fault_is_ordered(lab: LabDescription, local: LocalEc2, words: str, fault: Fault) -> None:
    assert main(["lab", "fault", *words.split()]) == 0
    assert local.faults.waiting() == (fault,)


def test_faults_are_listed_and_cleared(
    lab: LabDescription, local: LocalEc2, capsys: pytest.CaptureFixture[str]
) -> None:
    local.faults.add(Fault(FaultKind.FAIL, "CreateVolume", "ExpiredToken"))
    assert main(["lab", "fault", "list"]) == 0
    assert "CreateVolume" in capsys.readouterr().out
    assert main(["lab", "fault", "clear"]) == 0
    assert local.faults.waiting() == ()


def test_a_spot_instance_is_interrupted(lab: LabDescription, ec2: EC2Client) -> None:
    instance = running(ec2, InstanceMarketOptions=ONE_TIME)
    assert main(["lab", "fault", "interrupt-spot", instance, "--notice", "0.1"]) == 0
    until(lambda: state(ec2, instance) == "terminated")


def test_a_refusal_is_a_sentence(lab: LabDescription, ec2: EC2Client, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "fault", "interrupt-spot", running(ec2)]) == ExitCode.FAILURE
    assert "is not a spot instance" in capsys.readouterr().err


def test_the_status_shows_what_there_is(
    lab: LabDescription, ec2: EC2Client, capsys: pytest.CaptureFixture[str]
) -> None:
    instance = running(ec2)
    assert main(["lab", "status", "--json"]) == 0
    events = {line["event"]: line for line in map(json.loads, capsys.readouterr().out.splitlines())}
    assert events["lab"]["endpoint"] == lab.endpoint
    assert [(row["id"], row["state"]) for row in events["instances"]["rows"]] == [(instance, "running")]
    assert [row["instance"] for row in events["volumes"]["rows"]] == [instance]


def test_the_environment_is_printed_for_eval(lab: LabDescription, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "env"]) == 0
    exported = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert all(words[0] == "export" for words in exported)
    assert f"AWS_ENDPOINT_URL={lab.endpoint}" in [words[1] for words in exported]


@pytest.mark.parametrize(
    ("words", "machine", "command"),
    [([], "site", []), (["i-1"], "i-1", []), (["site", "--", "zpool", "list"], "site", ["zpool", "list"])],
)
def test_one_logs_in(
    lab: LabDescription, monkeypatch: pytest.MonkeyPatch, words: list[str], machine: str, command: list[str]
) -> None:
    asked: list[object] = []
    monkeypatch.setattr("ec2zfs.lab.login.log_in", lambda *arguments: asked.append(arguments))
    main(["lab", "ssh", *words])
    assert asked == [(lab, machine, command)]


def test_a_strangers_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "letter").write_text("dear")
    assert main(["lab", "down", "--directory", str(tmp_path)]) == ExitCode.REFUSED
    assert f"{tmp_path} is not a lab's" in capsys.readouterr().err
    assert (tmp_path / "letter").exists()


def test_without_a_lab_it_is_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("status", "env", "ssh"):
        assert main(["lab", verb, "--directory", str(tmp_path)]) == ExitCode.REFUSED
        assert "No lab is up" in capsys.readouterr().err
    assert main(["lab", "down", "--directory", str(tmp_path / "none")]) == 0
