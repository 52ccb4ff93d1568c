"""Where the lab keeps its files: images in the user's cache, everything else in one run directory.

`lab down` removes the run directory; only the cache stays. Nothing here creates or removes a file, but `private()`,
which makes a directory that belongs to this user alone.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from ec2zfs.errors import ConfigurationError, Refused

# sockaddr_un(7): sun_path holds 108 bytes with its final NUL.
LONGEST_SOCKET_PATH = 107


def cache_directory(environ: Mapping[str, str] = os.environ) -> Path:
    """`$XDG_CACHE_HOME/ec2zfs`, else `~/.cache/ec2zfs` (the XDG specification says to ignore relative values)."""
    configured = Path(environ.get("XDG_CACHE_HOME", ""))
    base = configured if configured.is_absolute() else Path(environ.get("HOME") or Path.home()) / ".cache"
    return base / "ec2zfs"


def run_directory(uid: int | None = None) -> Path:
    """The default place of this user's lab while it is up; short, because sockets lie below it."""
    return Path(f"/var/tmp/ec2zfs-lab-{os.getuid() if uid is None else uid}")  # noqa: S108 - checked by private()


def work_directory(cache: Path, purpose: str, uid: int | None = None) -> Path:
    """Where something for `cache` is put together; one for each cache, whose lock guards it.

    Not in the cache: mapped users must be able to walk through its parents, and a socket's path must be short.
    """
    which = hashlib.sha256(os.fsencode(cache.absolute())).hexdigest()[:8]
    return Path(f"/var/tmp/ec2zfs-{purpose}-{os.getuid() if uid is None else uid}-{which}")  # noqa: S108 - private()


def private(directory: Path, mode: int = 0o700) -> Path:
    """Make `directory` (mode as given), or check that what stands there is a directory of this user and no link.

    /var/tmp is everybody's: a directory that another user made in advance is refused.
    """
    directory.mkdir(mode=mode, parents=True, exist_ok=True)
    require_own(directory)
    directory.chmod(mode)
    return directory


def require_own(directory: Path) -> None:
    """Raise `Refused` unless what stands there is a directory of this user and no link."""
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Refused(
            f"{directory} exists and is not a directory of this user.", hint="Remove it, or name another directory."
        )


def socket_path(directory: Path, name: str) -> Path:
    """`directory/name`; refused when the kernel could not take it as the address of a unix socket."""
    path = directory / name
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise ConfigurationError(
            f"The path {path} is too long for a unix socket ({LONGEST_SOCKET_PATH} bytes at most).",
            hint="Name a shorter directory for the lab.",
        )
    return path
