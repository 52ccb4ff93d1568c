"""Processes of this machine, as they are started."""

from __future__ import annotations

import subprocess

import pytest
from tests.contract.processes import running

from ec2zfs.hosts import process

WORDS = ("sleep", "58.75")


def test_what_an_interrupt_finds_just_begun_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program runs already; we still wait for word of that when the interrupt comes."""
    begin = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def interrupted(*words: object) -> None:
        begin(*words)
        assert running(*WORDS)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "_execute_child", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.execute(WORDS, None, None, lambda: None)
    assert not running(*WORDS)
