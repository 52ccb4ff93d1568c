"""The commands that docs/lab.md prints: each is one, and they come in an order in which they work."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ec2zfs.cli import parser

PAGE = Path(__file__).parents[3] / "docs" / "lab.md"
LINES = PAGE.read_text().split("```")[1].splitlines()
COMMANDS = [line.partition("#")[0].strip().removeprefix("ec2zfs ") for line in LINES if line.startswith("ec2zfs ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_it_is_a_command(command: str) -> None:
    words = shlex.split(command)
    parser(words).parse_args(words)


def test_there_is_a_pool_before_it_is_backed_up_to() -> None:
    order = ["lab build", "lab up", "pool create", "backup", "lab down"]
    assert [command for command in COMMANDS if command in order] == order
