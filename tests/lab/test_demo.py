"""The demonstration, whole: two days, a fresh unlock, every file compared, and no key and no plaintext anywhere."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ec2zfs.lab.demo.story import demonstrate
from ec2zfs.lab.machines.process import processes_of

MIB = 64
"""Less than `make demo` has, which takes an emulated machine minutes to carry and to compare."""


def test_a_backup_day_proves_itself_and_leaves_nothing(image: None) -> None:
    told: list[str] = []
    with tempfile.TemporaryDirectory(prefix="ec2zfs-test-", dir="/var/tmp") as parent:
        proofs = demonstrate(Path(parent) / "lab", told.append, MIB)
        assert processes_of(Path(parent)) == []
    assert [proof.statement for proof in proofs] == [
        "The receiver's copies equal the site's",
        "The second day sent only the difference",
        "A known plaintext is nowhere in the volumes",
        "The pool key and the volumes' keys are nowhere",
        "The receiver is stopped",
        "Nothing is left",
    ]
    assert "$ ec2zfs backup" in told
