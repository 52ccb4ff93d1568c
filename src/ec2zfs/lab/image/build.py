"""Builds the image of the lab's machines, or finds it in the cache.

An image is a directory of the cache named by its recipe: `root.qcow2`, `vmlinuz`, `initrd`, `image.json`. It appears
there by one rename when it is complete; a build that is killed leaves what the next build removes first. Needs no root
where user namespaces are allowed. It must never be put together twice at the same time (a lock), nor from anything but
the system's own configured mirror.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from ec2zfs.errors import Ec2zfsError, MissingTool
from ec2zfs.lab.image.commands import Bench, apt_options, convert, disk, extract, root_filesystem
from ec2zfs.lab.image.mirror import mirror
from ec2zfs.lab.image.recipe import Recipe, archive
from ec2zfs.lab.paths import private, work_directory

NEEDED = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "tar": "tar"}
NEEDED_WITHOUT_ROOT = {"newuidmap": "uidmap", "unshare": "util-linux"}

# What mmdebstrap says when the part with the title is over.
BOOTSTRAP_PARTS = {
    "I: installing remaining": "base system",
    "I: running --customize-hook": "packages, and OpenZFS compiled for the kernel",
    "I: creating tarball": "machine set up, build tools removed",
}


class BuildFailed(Ec2zfsError):
    """A step of the image's build failed; the log that is named holds all that it printed."""


@dataclass(frozen=True)
class Image:
    """A built image. `kernel` and `zfs` are versions; `seconds` is how long each part of its build took."""

    directory: Path
    key: str
    kernel: str
    zfs: str
    seconds: dict[str, float]

    @property
    def root(self) -> Path:
        """The root disk (qcow2) that every machine's own disk lies over; never written to."""
        return self.directory / "root.qcow2"

    @property
    def vmlinuz(self) -> Path:
        """The kernel."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The initial RAM disk."""
        return self.directory / "initrd"


def find(recipe: Recipe, cache: Path) -> Image | None:
    """The image of `recipe` in the cache, or None."""
    directory = cache / "images" / recipe.key()
    try:
        return Image(directory=directory, **json.loads((directory / "image.json").read_text()))
    except FileNotFoundError:
        return None


def build(recipe: Recipe, cache: Path, say: Callable[[str], None]) -> Image:
    """The image of `recipe`, built when the cache lacks it (minutes); `say` hears each phase with its seconds.

    Raises MissingTool, BuildFailed, ConfigurationError (no mirror).
    """
    if found := find(recipe, cache):
        return found
    with _lock(cache, say) as lock:
        bench = Bench(
            work_directory(cache, "build"), cache / "images" / f".partial-{recipe.key()}", rootless=os.getuid() != 0
        )
        return find(recipe, cache) or _build(recipe, bench, _Phases(bench.work / "log", say, lock))


def _build(recipe: Recipe, bench: Bench, phases: _Phases) -> Image:
    _check_tools({**NEEDED, **(NEEDED_WITHOUT_ROOT if bench.rootless else {})})
    images = bench.result.parent
    for left in images.glob(".partial-*"):
        shutil.rmtree(left)
    _clear(bench)
    # Walkable by all: in a user namespace even its root is somebody else, who must reach the mmdebstrap directory.
    private(bench.work, 0o755)
    bench.result.mkdir(parents=True)
    try:
        _assemble(recipe, bench, phases)
        packages = dict(line.split() for line in (bench.result / "packages").read_text().splitlines())
        kernel = (bench.result / "kernel").read_text().strip()
        facts = Image(images / recipe.key(), recipe.key(), kernel, packages["zfsutils-linux"], phases.seconds)
        described = {name: value for name, value in asdict(facts).items() if name != "directory"}
        (bench.result / "image.json").write_text(json.dumps(described, indent=1))
        bench.result.rename(facts.directory)
    finally:
        shutil.rmtree(bench.result, ignore_errors=True)
        _clear(bench)
    return facts


def _assemble(recipe: Recipe, bench: Bench, phases: _Phases) -> None:
    (bench.work / "files.tar").write_bytes(archive(recipe))
    source = mirror(recipe.suite)
    phases.say(f"Debian {recipe.suite} from {source.uri}")
    apt = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    make = [root_filesystem(recipe, source, apt_options(apt), bench), extract(bench)]
    phases.run("root filesystem unpacked", make, BOOTSTRAP_PARTS)
    phases.run("root disk made", [disk(recipe, bench)], {})
    phases.run("root disk converted", [convert(bench)], {})


class _Phases:
    """Runs pipelines into one log and keeps the time of each part."""

    def __init__(self, log: Path, say: Callable[[str], None], lock: int) -> None:
        self.log = log
        self.say = say
        self._lock = lock
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def run(self, title: str, pipeline: list[list[str]], parts: Mapping[str, str]) -> None:
        """Run the stages of `pipeline` into one another; BuildFailed when any of them fails.

        `parts`: a line that begins so in the log says that the part with that title is done; `title` is the last part.
        """
        self.log.touch()
        with self.log.open("ab") as log, self.log.open() as said:
            stages = _pipeline(pipeline, log, self._lock)
            try:
                while any(stage.poll() is None for stage in stages):
                    time.sleep(0.2)
                    self._report(said, parts)
            finally:
                for stage in stages:
                    stage.terminate()
                    stage.wait()
        for argv, stage in zip(pipeline, stages, strict=True):
            if stage.returncode != 0:
                tail = self.log.read_text(errors="replace")[-1500:]
                raise BuildFailed(
                    f"While the lab's image was built, `{argv[0]}` ended with {stage.returncode}:\n{tail}"
                )
        self._done(title)

    def _report(self, said: TextIO, parts: Mapping[str, str]) -> None:
        for line in said:
            for beginning, title in parts.items():
                if line.startswith(beginning):
                    self._done(title)

    def _done(self, title: str) -> None:
        now = time.monotonic()
        self.seconds[title] = round(now - self._began, 1)
        self._began = now
        self.say(f"{title}: {self.seconds[title]:.0f} s")


def _pipeline(pipeline: list[list[str]], log: BinaryIO, lock: int) -> list[subprocess.Popen[bytes]]:
    stages: list[subprocess.Popen[bytes]] = []
    for argv in pipeline:
        source = stages[-1].stdout if stages else subprocess.DEVNULL
        sink = log if argv is pipeline[-1] else subprocess.PIPE
        # When we are killed they are told to end. mmdebstrap first finishes what it installs, so they hold the lock as
        # well: the next build must not remove the directory in which they still work.
        mortal = ["setpriv", "--pdeathsig", "TERM", *argv]
        stages.append(subprocess.Popen(mortal, stdin=source, stdout=sink, stderr=log, pass_fds=[lock]))
        if len(stages) > 1 and (upstream := stages[-2].stdout):
            upstream.close()
    return stages


def _clear(bench: Bench) -> None:
    if bench.work.exists():
        private(bench.work, 0o755)
        subprocess.run([*bench.as_root(), "rm", "-rf", "--one-file-system", str(bench.work)], check=True)


def _check_tools(needed: dict[str, str]) -> None:
    for program, package in needed.items():
        if not shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"):
            raise MissingTool(
                f"The lab's image cannot be built: this machine has no `{program}`.",
                hint=f"Install the package {package}.",
            )


@contextmanager
def _lock(cache: Path, say: Callable[[str], None]) -> Iterator[int]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "build.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building an image; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
