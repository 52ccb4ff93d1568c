"""What the image is made of, and the key under which it is cached. Reads this package's own files, nothing else.

Whatever changes the image must be part of the recipe, because the key decides whether a cached image is still the
right one. The mirror is not: the same packages come from any mirror.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass, fields
from importlib import resources
from importlib.resources.abc import Traversable

SUITE = "bookworm"
BACKPORTS = "bookworm-backports"
COMPONENTS = ("main", "contrib")

# Removed again when the modules are built; they are half of the image.
BUILD_PACKAGES = ("linux-headers-cloud-amd64", "zfs-dkms")

PACKAGES = (
    "acl",
    "attr",
    "cryptsetup",
    "curl",
    "dbus",
    "e2fsprogs",
    "gnupg",
    "initramfs-tools",
    "iproute2",
    "isc-dhcp-client",
    "kmod",
    "linux-image-cloud-amd64",
    "mbuffer",
    "openssh-server",
    "procps",
    "python3-cryptography",
    "python3-minimal",
    "sudo",
    "systemd-sysv",
    "udev",
    "util-linux-extra",
    "zfsutils-linux",
)

# Documentation and translations are a fifth of the image and nobody reads them in the lab.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the image holds. `files`: path in the image and content."""

    suite: str = SUITE
    backports: str = BACKPORTS
    components: tuple[str, ...] = COMPONENTS
    packages: tuple[str, ...] = PACKAGES
    build_packages: tuple[str, ...] = BUILD_PACKAGES
    left_out: tuple[str, ...] = LEFT_OUT
    files: tuple[tuple[str, bytes], ...] = ()
    label: str = "ec2zfs-root"
    size_mib: int = 4096
    arrangement: int = 1  # raised when build.py puts the same things together in another way

    def key(self) -> str:
        """The name of the image in the cache: 16 hexadecimal digits that change when the recipe does."""
        digest = hashlib.sha256()
        for field in fields(self):
            digest.update(f"{field.name}={getattr(self, field.name)!r}\n".encode())
        return digest.hexdigest()[:16]


def recipe() -> Recipe:
    """The recipe of this version of the lab, with the files that lie beside this module."""
    root = resources.files("ec2zfs.lab.image") / "files"
    return Recipe(files=tuple(sorted(_files(root, ""))))


def archive(of: Recipe) -> bytes:
    """The recipe's files as a tar archive, owned by root, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for path, content in of.files:
            member = tarfile.TarInfo(path)
            member.size = len(content)
            member.mode = _mode(path, content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _mode(path: str, content: bytes) -> int:
    # sudo refuses a rule that others could write; a script says so itself by its first two bytes.
    if "/sudoers.d/" in path:
        return 0o440
    return 0o755 if content.startswith(b"#!") else 0o644


def _files(directory: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in directory.iterdir():
        if entry.name.startswith("__"):
            continue
        path = f"{prefix}{entry.name}"
        found += _files(entry, f"{path}/") if entry.is_dir() else [(path, entry.read_bytes())]
    return found
