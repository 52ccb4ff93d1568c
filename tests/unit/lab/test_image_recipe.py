"""The recipe decides under which name an image is cached, and what goes into it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ec2zfs.lab.image.commands import Bench, apt_options, convert, disk, extract, root_filesystem
from ec2zfs.lab.image.mirror import Source
from ec2zfs.lab.image.recipe import Recipe, archive, recipe

PLAIN = Recipe(files=(("etc/a", b"1"), ("usr/b", b"#!/bin/sh\n"), ("etc/sudoers.d/c", b"2")))
SOURCE = Source("http://mirror.example/debian", "bookworm", ("main",), "/key.gpg")


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAIN, packages=(*PLAIN.packages, "lz4")),
        replace(PLAIN, build_packages=()),
        replace(PLAIN, suite="trixie"),
        replace(PLAIN, files=(("etc/a", b"2"), *PLAIN.files[1:])),
        replace(PLAIN, files=PLAIN.files[1:]),
        replace(PLAIN, size_mib=PLAIN.size_mib + 1),
        replace(PLAIN, arrangement=PLAIN.arrangement + 1),
    ],
)
def test_whatever_changes_the_image_changes_its_key(other: Recipe) -> None:
    assert other.key() != PLAIN.key()


def test_the_same_recipe_has_the_same_key() -> None:
    assert recipe().key() == recipe().key()
    assert len(recipe().key()) == 16


def test_the_files_of_the_recipe_are_those_beside_it() -> None:
    paths = [path for path, _ in recipe().files]
    assert "etc/systemd/system/lab-identity.service" in paths
    assert "usr/local/lib/ec2zfs_lab/identity.py" in paths
    assert not [path for path in paths if "__pycache__" in path]


def test_the_archive_belongs_to_root_and_has_the_right_modes() -> None:
    with tarfile.open(fileobj=io.BytesIO(archive(PLAIN))) as tar:
        members = {member.name: (member.mode, member.uid) for member in tar}
    assert members == {"etc/a": (0o644, 0), "usr/b": (0o755, 0), "etc/sudoers.d/c": (0o440, 0)}
    assert archive(PLAIN) == archive(PLAIN)


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ('Acquire::http::Proxy "http://proxy.example:3142";', True),
        ('Acquire::http::Proxy::mirror.example "DIRECT";', True),
        ('Acquire::https::CaInfo "/etc/ssl/certs/own.pem";', True),
        ('Acquire::Check-Valid-Until "false";', True),
        ('Acquire::Retries "3";', True),
        ('Acquire::http "";', False),
        ('Acquire::IndexTargets::deb::DEP-11::MetaKey "x";', False),
        ('APT::Update::Post-Invoke-Success:: "touch /tmp/x";', False),
        ('Dir::Etc "etc/apt";', False),
    ],
)
def test_what_apt_is_told_of_this_systems_configuration(line: str, kept: bool) -> None:
    assert apt_options(f"{line}\n") == ([line] if kept else [])


def test_the_root_filesystem_comes_from_the_mirror_that_was_found() -> None:
    argv = root_filesystem(PLAIN, SOURCE, ['Acquire::Retries "3";'], Bench(Path("/w"), Path("/r"), rootless=False))
    assert "--mode=root" in argv
    assert '--aptopt=Acquire::Retries "3";' in argv
    assert argv[-4:] == [
        "bookworm",
        "-",
        "deb [signed-by=/key.gpg] http://mirror.example/debian bookworm main contrib",
        "deb [signed-by=/key.gpg] http://mirror.example/debian bookworm-backports main contrib",
    ]


def test_without_root_everything_happens_in_user_namespaces() -> None:
    bench = Bench(Path("/w"), Path("/r"), rootless=True)
    assert "--mode=unshare" in root_filesystem(PLAIN, SOURCE, [], bench)
    for argv in (extract(bench), disk(PLAIN, bench)):
        assert argv[:4] == ["unshare", "--user", "--map-root-user", "--map-auto"]
    assert convert(bench)[0] == "qemu-img"
