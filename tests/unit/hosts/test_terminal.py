from __future__ import annotations

import pytest

from ec2zfs.errors import MissingTool
from ec2zfs.hosts.terminal import attended


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)])
def test_the_exit_code_is_the_program_s(script: str, status: int) -> None:
    assert attended(["sh", "-c", script]) == status


def test_it_has_our_own_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    attended(["echo", "seen by the operator"])
    assert capfd.readouterr().out == "seen by the operator\n"


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(MissingTool, match="no-such-ssh"):
        attended(["no-such-ssh"])
