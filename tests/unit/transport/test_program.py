"""The program of both ends as it is sent: it compiles for old Pythons, and says what a host lacks."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from ec2zfs.transport.bundle import BOOTSTRAP, PACKAGE, end_argv, program
from ec2zfs.transport.far.orders import Orders


def modules() -> dict[str, str]:
    length, _, text = program().partition(b"\n")
    assert int(length) == len(text)
    sources = json.loads(text)
    assert isinstance(sources, dict)
    return sources


@pytest.mark.parametrize("name", sorted(modules()))
def test_each_module_is_written_for_python_3_9(name: str) -> None:
    ast.parse(modules()[name], feature_version=(3, 9))


def test_all_that_it_imports_of_ours_is_in_it() -> None:
    sources = modules()
    wanted = {
        node.module
        for source in sources.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ec2zfs")
    }
    assert wanted <= sources.keys()


def test_its_words_hold_neither_program_nor_secret() -> None:
    assert end_argv("python3") == ("python3", "-I", "-c", BOOTSTRAP)
    assert len(BOOTSTRAP) < 200


def run(*options: str, orders: bytes) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, *options, "-c", BOOTSTRAP]
    return subprocess.run(words, input=program() + orders, capture_output=True, timeout=60, check=False)


def test_orders_that_are_none_are_told() -> None:
    ended = run("-I", orders=b"{}\n")
    assert json.loads(ended.stdout)["cause"] == "unfit"
    assert b"these are no orders" in ended.stderr
    assert ended.returncode == 11


def test_a_host_without_cryptography_is_told_what_to_install() -> None:
    orders = Orders(sends=False, listens=True, address="", ports=(0, 0), secret="00" * 32, argv=("cat",))
    ended = run("-I", "-S", orders=json.dumps(asdict(orders)).encode() + b"\n")
    assert (ended.returncode, ended.stdout) == (126, b"")
    assert b"apt install python3-cryptography" in ended.stderr
    assert PACKAGE.encode() not in ended.stderr
