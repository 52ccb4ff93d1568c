"""What goes wrong under an operator's hands: an exit code, one sentence that says it, and nothing left up or open."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, NoCredentialsError
from tests.fakes.day import POOL_KEY
from tests.fakes.machine import FACTS
from tests.unit.cli.backups import Backup

from ec2zfs.cloud.errors import aws_errors
from ec2zfs.errors import Ec2zfsError
from ec2zfs.runs.lock import run_lock

RECEIVER = "i-00000000000000001"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
NOT_ALLOWED = "You are not authorized to perform this operation. Encoded authorization failure message: bGFi"


@pytest.fixture
def backup(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Backup]:
    made = Backup(tmp_path, capsys, monkeypatch)
    with made.held:
        yield made


def of_aws(error: Exception) -> Callable[[str], BaseException]:
    """What our client makes of an error of the AWS SDK."""

    def failure(_call: str) -> BaseException:
        with pytest.raises(Ec2zfsError) as told, aws_errors():
            raise error
        return told.value

    return failure


def answer(operation: str, code: str, said: str) -> Callable[[str], BaseException]:
    """The same of an answer of EC2's."""
    return of_aws(ClientError({"Error": {"Code": code, "Message": said}}, operation))


def interrupt(_call: str) -> BaseException:
    return KeyboardInterrupt()


UNTOUCHED, AT_REST = "untouched", "at rest"

# what is wrong, the exit code, words of the sentence, how all is left
BAD: dict[str, tuple[Callable[[Backup], object], int, str, str]] = {
    "an unknown key": (
        lambda backup: backup.edit("size_gib = 1", "size_gib = 1\nsize_gb = 1"),
        3,
        r"line \d+: volumes.size_gb is not a key that ec2zfs knows; did you mean size_gib\?",
        UNTOUCHED,
    ),
    "raidz2 of 2": (
        lambda backup: backup.edit('"mirror"', '"raidz2"'),
        3,
        r"line \d+: pool.volumes_per_vdev must be at least 3 for raidz2, or it is not redundant; it is 2",
        UNTOUCHED,
    ),
    "a source that does not exist": (
        lambda backup: backup.edit('dataset = "www"', 'dataset = "ww"'),
        3,
        r"On site there is no dataset ww to back up. Did you mean www\?",
        UNTOUCHED,
    ),
    "no credentials": (
        lambda backup: backup.fail_at("ec2 volumes.volumes", of_aws(NoCredentialsError())),
        4,
        r"There are no usable AWS credentials: .* Log in with `aws configure`",
        UNTOUCHED,
    ),
    "expired credentials": (
        lambda backup: backup.fail_at(
            "ec2 volumes.volumes", answer("DescribeVolumes", "RequestExpired", "Request has expired.")
        ),
        4,
        r"ec2:DescribeVolumes: the AWS credentials have expired \(Request has expired.\). Renew them",
        UNTOUCHED,
    ),
    "credentials that may not look": (
        lambda backup: backup.fail_at(
            "ec2 volumes.volumes", answer("DescribeVolumes", "UnauthorizedOperation", NOT_ALLOWED)
        ),
        4,
        r"IAM does not allow ec2:DescribeVolumes: .* Add ec2:DescribeVolumes to the policy",
        UNTOUCHED,
    ),
    "credentials that may not start": (
        lambda backup: backup.fail_at(
            "ec2 instances.start", answer("StartInstances", "UnauthorizedOperation", NOT_ALLOWED)
        ),
        4,
        r"IAM does not allow ec2:StartInstances: .* Add ec2:StartInstances to the policy",
        AT_REST,
    ),
    "credentials that may not let us in": (
        lambda backup: backup.fail_at(
            "ec2 group.open", answer("AuthorizeSecurityGroupIngress", "AccessDenied", NOT_ALLOWED)
        ),
        4,
        r"IAM does not allow ec2:AuthorizeSecurityGroupIngress: ",
        AT_REST,
    ),
    "another zone than the volumes'": (
        lambda backup: backup.edit('zone = "eu-central-1a"', 'zone = "eu-central-1b"'),
        9,
        r"The volumes of pool cloud are in eu-central-1a, not in eu-central-1b: v1s1 .* Set aws.zone to eu-central-1a",
        UNTOUCHED,
    ),
    "a type that does not take the volumes": (
        lambda backup: setattr(backup.day, "type", replace(backup.day.type, attachments=3)),
        9,
        r"A pool of 2 volumes does not fit on a m7g.medium: it takes 1\. .*\(receiver.instance_type\)",
        UNTOUCHED,
    ),
    "another pool's key": (
        lambda backup: backup.edit(POOL_KEY.reveal().decode(), "the key that opens another pool, but not this"),
        10,
        r"The pool key does not open cloud-v1s1-g1 on receiver .*; nothing was opened",
        AT_REST,
    ),
    "a run that is under way": (
        lambda backup: backup.held.enter_context(run_lock(backup.state, "cloud")),
        11,
        r"Another run of pool cloud is under way: process \d+ since .* Wait until it ends",
        UNTOUCHED,
    ),
    "a full pool": (
        lambda backup: setattr(backup.day.copies.zfs, "available", 3000),
        13,
        r"cloud has .* free, but .* are to be sent.*nothing was sent",
        AT_REST,
    ),
    "an image without ZFS": (
        lambda backup: backup.day.facts.update(FACTS, zfs=""),
        14,
        rf"receiver {RECEIVER} \(Debian GNU/Linux 12\) has no ZFS",
        AT_REST,
    ),
    "a changed host key": (
        lambda backup: backup.day.pins.pin(RECEIVER, [OTHER_KEY]),
        7,
        rf"The tag of {RECEIVER} tells another ssh host key than the one that is pinned here",
        AT_REST,
    ),
    "a pool that is not well": (
        lambda backup: setattr(backup.day.machine, "health", "DEGRADED"),
        15,
        r"The copies are complete, but pool cloud is not well: DEGRADED. .*`ec2zfs pool status`",
        AT_REST,
    ),
    "Ctrl-C": (
        lambda backup: backup.fail_at("stream: half way", interrupt),
        130,
        r"Interrupted. Run the command again to carry on from where it was.",
        AT_REST,
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_one_sentence_and_a_code_and_leaves_no_trace(case: str, backup: Backup) -> None:
    spoil, code, words, left = BAD[case]
    spoil(backup)
    before = backup.day.shown()
    assert backup.run() == code
    sentence = backup.printed.err
    assert sentence.startswith("ec2zfs: ")
    assert sentence.count("ec2zfs: ") == 1
    assert re.search(words, sentence, re.DOTALL), sentence
    assert "Traceback" not in backup.printed.out + sentence
    backup.require_rest()
    if left == UNTOUCHED:
        assert backup.day.shown() == before
