"""The search that proves absence must find what is there: across blocks, after holes, in small files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ec2zfs.lab.demo import search
from ec2zfs.lab.demo.search import Find, finds


@pytest.mark.parametrize("offset", [0, 1, 4090, 4096, 8190, 8192, 1_000_003])
def test_a_needle_is_found_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, offset: int) -> None:
    monkeypatch.setattr(search, "BLOCK", 4096)
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(2_000_000)
        file.seek(offset)
        file.write(b"needle")
    assert finds([path], {"secret": b"needle", "other": b"absent"}) == [Find("secret", path, offset)]


def test_a_file_of_holes_and_an_empty_one_hold_nothing(tmp_path: Path) -> None:
    hollow, empty = tmp_path / "hollow", tmp_path / "empty"
    empty.touch()
    with hollow.open("wb") as file:
        file.truncate(1 << 30)
    assert finds([hollow, empty], {"secret": b"needle"}) == []


def test_only_the_first_place_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"..key..key..")
    assert [find.offset for find in finds([path], {"key": b"key"})] == [2]
