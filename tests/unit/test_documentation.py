"""What the pages in docs/ name must exist: tests, files, verbs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ec2zfs.cli import parser
from ec2zfs.cli.reference import leaves

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
NAMED = re.compile(r"`((?:tests|src|bench|docs|scripts)/[\w./-]+)(?:::(\w+))?`")
VERBS = {leaf.prog for leaf in leaves(parser())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_files_and_tests_that_a_page_names_exist(page: Path) -> None:
    for name, test in NAMED.findall(page.read_text()):
        path = ROOT / name
        assert path.exists(), name
        assert not test or f"def {test}(" in path.read_text(), f"{name}::{test}"


def test_the_rules_of_security_name_their_tests() -> None:
    rules = (ROOT / "docs" / "security.md").read_text().partition("## Rules of the code")[2].partition("\n## ")[0]
    for rule in re.split(r"\n(?=\d+\. )", rules)[1:]:
        assert "`tests/" in rule, rule


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_a_page_tells_exist(page: Path) -> None:
    told = re.findall(r"(?:^|`|\$ )ec2zfs ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", page.read_text(), re.MULTILINE)
    for words in told:
        first = words.split()
        known = [f"ec2zfs {' '.join(first[:count])}" for count in range(1, len(first) + 1)]
        assert VERBS & set(known) or any(verb.startswith(f"ec2zfs {words}") for verb in VERBS), words
