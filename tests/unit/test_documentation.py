"""What the pages in docs/ name must exist: tests, files, verbs."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ec2zfs.cli import parser
from ec2zfs.cli.reference import leaves

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
NAMED = re.compile(r"`((?:tests|src|bench|docs|scripts)/[\w./-]+)(?:::(\w+))?`")
VERBS = {leaf.prog for leaf in leaves(parser())}
RUNBOOK = (ROOT / "docs" / "runbook.md").read_text("utf-8")
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
COMMANDS = sorted(
    {line for block in CONSOLE.findall(RUNBOOK) for line in re.findall(r"^\$ ec2zfs (.*)$", block, re.MULTILINE)}
)
LAB_TESTS = [ROOT / "tests" / "lab" / f"test_{name}.py" for name in ("upkeep", "backup", "pool")]
NOT_TYPED_IN_THE_LAB = {
    "holds": "reads only; tests/unit/cli/test_holds.py",
    "holds --release SNAPSHOT": "its ZFS is typed by tests/lab/test_zfs.py; tests/unit/cli/test_holds.py",
    "instance ssh": "needs a terminal",
    "instance status": "reads only; tests/unit/cli/test_instance.py",
    "pool add-vdev --dry-run": "a preview: the plan is that of the command, foreseen",
    "pool grow --size 3 --dry-run": "a preview: the plan is that of the command, foreseen",
    "pool grow --type gp3": "another value of what is typed there",
    "pool status --watch": "ends with the terminal only",
    "repair DATASET": "asks at the terminal; tests/lab/test_backup.py types it with --confirm",
    "repair DATASET --dry-run": "of a dataset of its own; tests/lab/test_backup.py",
    "restore files --folder /srv/copy --identity gpg --to /srv/restored": "tests/unit/cli/test_stage.py",
    "restore files 'docs/**' --dataset tank/home --at 2026-11-01 --identity gpg --to /srv/restored": "as on the site"
    " itself by tests/lab/test_staging.py",
    "restore files 'docs/**' --dataset tank/home --from cloud --at 2026-11-01 --identity gpg --to /srv/restored": "as"
    " on the site itself by tests/lab/test_staged_day.py",
    "restore list 'docs/**' --dataset tank/home --from cloud --identity gpg": "as on the site itself by"
    " tests/lab/test_staged_day.py",
    "restore list 'docs/**' --dataset tank/home --identity gpg": "reads only; tests/unit/cli/test_stage.py",
    "snapshot --now": "takes snapshots of the site; tests/unit/cli/test_snapshots_verbs.py",
    "stage": "typed on the site itself by tests/lab/test_staging.py",
    "stage --again": "typed on the site itself by tests/lab/test_staging.py",
    "stage --dry-run": "reads only; tests/unit/cli/test_stage.py",
    "stage verify": "typed on the site itself by tests/lab/test_staging.py",
    "volumes list": "reads only; tests/unit/cli/test_volumes_verbs.py",
}
"""Commands of the runbook that no lab test types, and why that will do."""


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


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_runbook_are_understood(command: str) -> None:
    parser().parse_args(command.replace("VOLUME", "vol-0123456789abcdef0").split())


def test_the_commands_of_the_runbook_are_typed_in_the_lab() -> None:
    typed = {command for path in LAB_TESTS for command in _typed(ast.parse(path.read_text()))}
    assert {command for command in COMMANDS if command not in typed} == set(NOT_TYPED_IN_THE_LAB)


def test_every_command_of_the_runbook_stands_alone_on_its_line() -> None:
    in_blocks = [line for block in CONSOLE.findall(RUNBOOK) for line in block.splitlines()]
    assert [line for line in in_blocks if not re.match(r"\$ \S", line)] == []
    assert RUNBOOK.count("\n$ ") == len(in_blocks), "a command stands outside of a console block"


def test_the_links_within_the_runbook_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", RUNBOOK, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", RUNBOOK)) <= anchors


def _typed(tree: ast.AST) -> Iterator[str]:
    """What could be a command in a test: each string, and strings that follow one another in a call or a tuple."""
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Call(args=given) | ast.Tuple(elts=given):
                words = [each.value for each in given if isinstance(each, ast.Constant)]
                yield " ".join(word for word in words if isinstance(word, str))
