"""The commands that an image's build runs, as values: pure functions from the recipe and the bench to argv lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.lab.image.mirror import Source
from ec2zfs.lab.image.recipe import Recipe

# What apt must be told to reach the mirror as this system does: proxies, certificates, tolerance. The rest of its
# configuration (index targets, hooks) is the host's own business.
_REACHING = re.compile(
    r"Acquire::(http|https|tor|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-ValidTime|AllowInsecureRepositories)"
    r'\b[^ ]* "'
)


@dataclass(frozen=True)
class Bench:
    """Where an image is put together (`work`), where its parts are laid down (`result`), and whether without root."""

    work: Path
    result: Path
    rootless: bool

    @property
    def tree(self) -> Path:
        """The unpacked root filesystem."""
        return self.work / "root"

    @property
    def raw(self) -> Path:
        """The root disk before compression."""
        return self.work / "root.raw"

    def as_root(self) -> list[str]:
        """The words before a command that must see the tree's owners as they shall be in the image."""
        return ["unshare", "--user", "--map-root-user", "--map-auto"] if self.rootless else []


def apt_options(dump: str) -> list[str]:
    """Of `apt-config dump`, the lines that decide how a mirror is reached."""
    return [line for line in dump.splitlines() if _REACHING.match(line) and not line.endswith(' "";')]


def root_filesystem(recipe: Recipe, source: Source, options: list[str], bench: Bench) -> list[str]:
    """mmdebstrap's command: the root filesystem as a tar archive on standard output."""
    components = " ".join(recipe.components)
    customize = f'chroot "$1" /usr/local/lib/ec2zfs_lab/customize {" ".join(recipe.build_packages)}'
    # As root mmdebstrap mounts /proc, /sys and more in the tree. Of a build that is killed no mount may stay on the
    # host: the next one removes the tree, and would go on into what is mounted there.
    return [
        *(() if bench.rootless else ("unshare", "--mount", "--propagation", "private")),
        "env",
        f"TMPDIR={bench.work}",
        "mmdebstrap",
        "--variant=minbase",
        f"--mode={'unshare' if bench.rootless else 'root'}",
        "--format=tar",
        "--skip=output/dev",
        f"--include={','.join((*recipe.packages, *recipe.build_packages))}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={line}" for line in options),
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in recipe.left_out),
        f"--setup-hook=tar-in {bench.work}/files.tar /",
        f"--customize-hook={customize}",
        recipe.suite,
        "-",
        *(f"deb {source.options()}{source.uri} {suite} {components}" for suite in (recipe.suite, recipe.backports)),
    ]


def extract(bench: Bench) -> list[str]:
    """Unpack the archive from standard input, with its owners, and lay down what QEMU boots from."""
    script = (
        'mkdir "$1" && tar -x -f - -C "$1" --numeric-owner --xattrs --xattrs-include="*" && mkdir -p "$1/dev" && '
        'cd "$1/boot" && '
        "for part in vmlinuz initrd packages kernel; do "
        'cp lab-$part "$2/$part" && rm lab-$part && chmod 644 "$2/$part"; done'
    )
    return [*bench.as_root(), "sh", "-c", script, "sh", str(bench.tree), str(bench.result)]


def disk(recipe: Recipe, bench: Bench) -> list[str]:
    """Make the root disk of the unpacked tree."""
    return [
        *bench.as_root(),
        *("env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "mke2fs", "-q", "-t", "ext4", "-L", recipe.label),
        *("-E", "lazy_itable_init=1,nodiscard", "-m", "1", "-d", str(bench.tree), str(bench.raw)),
        f"{recipe.size_mib}M",
    ]


def convert(bench: Bench) -> list[str]:
    """Make the qcow2 image of the root disk; holes stay holes."""
    return [
        *("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-o", "compat=1.1,lazy_refcounts=on"),
        *(str(bench.raw), str(bench.result / "root.qcow2")),
    ]
