"""Where the lab keeps its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ec2zfs.errors import ConfigurationError, Refused
from ec2zfs.lab.paths import cache_directory, private, run_directory, socket_path, work_directory


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"HOME": "/home/op"}, "/home/op/.cache/ec2zfs"),
        ({"HOME": "/home/op", "XDG_CACHE_HOME": "/big/cache"}, "/big/cache/ec2zfs"),
        ({"HOME": "/home/op", "XDG_CACHE_HOME": "relative"}, "/home/op/.cache/ec2zfs"),
        ({"HOME": "/home/op", "XDG_CACHE_HOME": ""}, "/home/op/.cache/ec2zfs"),
    ],
)
def test_the_cache(environ: dict[str, str], path: str) -> None:
    assert cache_directory(environ) == Path(path)


def test_each_user_has_a_lab_of_their_own() -> None:
    assert run_directory(1000) == Path("/var/tmp/ec2zfs-lab-1000")


def test_each_cache_has_a_workplace_of_its_own() -> None:
    one, other = (work_directory(Path(cache), "build", 1000) for cache in ("/home/op/.cache/ec2zfs", "/big/ec2zfs"))
    assert one != other
    assert one.parent == Path("/var/tmp")
    assert work_directory(Path("/big/ec2zfs"), "warm", 1000) != other


def test_a_directory_of_ours_is_ours_alone(tmp_path: Path) -> None:
    ours = private(tmp_path / "a" / "b")
    assert ours.stat().st_mode & 0o777 == 0o700
    ours.chmod(0o777)
    assert private(ours).stat().st_mode & 0o777 == 0o700


def test_a_link_that_somebody_laid_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "lab").symlink_to(tmp_path / "theirs")
    with pytest.raises(Refused, match="not a directory of this user"):
        private(tmp_path / "lab")


def test_a_socket_path_that_the_kernel_would_refuse() -> None:
    assert socket_path(Path("/" + "d" * 102), "qmp")
    with pytest.raises(ConfigurationError, match="too long"):
        socket_path(Path("/" + "d" * 103), "qmp")
