"""The controller's own ssh key pair, made by ssh-keygen when it is not there yet. Never replaces a private key."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from ec2zfs.hosts.host import Command
from ec2zfs.hosts.local import LocalHost


def ensure_keypair(path: Path) -> str:
    """Return the public key line of the ed25519 pair at `path` and `path`.pub, making what is missing.

    Raises `MissingTool` without ssh-keygen, `CommandFailed` when the private key is protected by a passphrase and its
    public half is missing.
    """
    public = path.with_name(path.name + ".pub")
    if not path.exists():
        _make(path)
    if not public.exists():
        line = LocalHost().run(Command.of("ssh-keygen", "-y", "-P", "", "-f", str(path))).text
        new = public.with_name(f".{public.name}.{os.getpid()}")
        new.write_text(line, encoding="utf-8")
        new.replace(public)
    return public.read_text(encoding="utf-8").strip()


def public_key(path: Path) -> str | None:
    """The public key line of the pair at `path`, as far as it is there; makes nothing."""
    try:
        return path.with_name(path.name + ".pub").read_text(encoding="utf-8").strip() if path.exists() else None
    except FileNotFoundError:
        return None


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".key-", dir=path.parent) as directory:
        new = Path(directory) / "key"
        LocalHost().run(Command.of("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ec2zfs", "-f", str(new)))
        # A link, unlike a rename, never replaces a key that another process has made meanwhile.
        with contextlib.suppress(FileExistsError):
            os.link(new, path)
            path.with_name(path.name + ".pub").unlink(missing_ok=True)  # of a private key that is gone
