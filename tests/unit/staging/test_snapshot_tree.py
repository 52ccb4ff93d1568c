"""What a snapshot's directory tells of itself."""

from __future__ import annotations

from pathlib import Path

from ec2zfs.staging.snapshot_tree import SnapshotTree


def test_the_root_is_one_object_in_all_snapshots_whatever_number_the_file_system_gives_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert first.stat().st_ino != second.stat().st_ino
    with SnapshotTree(first) as old, SnapshotTree(second) as new:
        before, after = old.node(b""), new.node(b"")
        assert before
        assert after
        assert before.child == after.child
        assert old.meta(b"").inode == new.meta(b"").inode == before.inode
