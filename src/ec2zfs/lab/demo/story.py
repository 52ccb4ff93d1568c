"""A whole backup day and the next one in the local EC2, told as the commands that an operator would type, then proven.

It works in directories of its own below the lab's, and leaves nothing but the image in the cache.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ec2zfs.cloud.prices import dollars, load_prices
from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import KEY_FROM_STDIN, configuration
from ec2zfs.lab.demo.copies import contents, snapshots_to_compare
from ec2zfs.lab.demo.machines import SITE, Machines
from ec2zfs.lab.demo.operator import Operator
from ec2zfs.lab.demo.programs.make_sources import MIB, SMALL_FILES, incompressible
from ec2zfs.lab.demo.proofs import (
    Proof,
    equal_copies,
    key_forms,
    keys_nowhere,
    nothing_left,
    nowhere_in_the_cloud,
    only_the_difference,
    stopped,
)
from ec2zfs.lab.demo.traces import traces
from ec2zfs.lab.demo.watches import Watches, watcher_argv
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.laboratory import down, up
from ec2zfs.lab.machines.process import processes_of

Say = Callable[[str], None]

SOURCES = ("tank/home", "tank/projects")
BY_HAND = tuple(f"{dataset}@{day}" for day in ("monday", "tuesday") for dataset in ("tank/home", "tank/home/ada"))
FILES = "/tank/home/ada/files"
SOURCE_MIB = 240
SNAPSHOTS_OF_FILES = 3
POOL = "cloud"
MAPPINGS = tuple(f"{POOL}-v{vdev}s{slot}-g1" for vdev in (1, 2) for slot in (1, 2, 3))


@dataclass(frozen=True)
class Scene:
    """All that the demonstration works with while the lab is up."""

    lab: LabDescription
    machines: Machines
    operator: Operator
    watches: Watches
    marker: str
    mib: int
    say: Say

    @property
    def incompressible(self) -> int:
        """How many bytes of the source no compression makes fewer."""
        return incompressible(self.mib) * MIB

    @property
    def directory(self) -> Path:
        """The lab's, in which all traces are."""
        return Path(self.lab.directory)


def demonstrate(directory: Path, say: Say, mib: int = SOURCE_MIB) -> list[Proof]:
    """Play the story in a lab of its own in `directory`, with a source of so many MiB, and return what was proven.

    Raises `DemonstrationFailed`.
    """
    from ec2zfs.lab.daemon import Options

    began = time.monotonic()
    with ExitStack() as ending:
        ending.callback(down, directory)
        say("# The local EC2: an API like EC2's, machines in QEMU, and a file server")
        lab = up(directory, Options(owner_pid=os.getpid()), say)
        scene = _scene(lab, mib, say)
        ending.callback(scene.watches.end)
        scene.watches.begin()
        _build(scene)
        _first_day(scene)
        _second_day(scene)
        receiver, copies = _copies(scene)
        proofs = [copies, _difference(scene), *_searches(scene, receiver), _stopped(scene)]
        _cost(scene, time.monotonic() - began)
        running = processes_of(directory)
    proofs.append(nothing_left(directory, running))
    return proofs


def _scene(lab: LabDescription, mib: int, say: Say) -> Scene:
    directory = Path(lab.directory)
    file = directory / "demo.toml"
    file.write_text(configuration(lab, KEY_FROM_STDIN))
    key = Secret(base64.b64encode(secrets.token_bytes(48)))
    machines = Machines(lab)
    environment = _clean(os.environ) | lab.environment()
    operator = Operator(file, environment, key, directory / "operator.log", say)
    watches = Watches(directory, partial(watcher_argv, lab), machines.running)
    return Scene(lab, machines, operator, watches, f"PLAIN-{secrets.token_hex(12)}", mib, say)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("AWS_", "EC2ZFS_"))}


def _build(scene: Scene) -> None:
    scene.say("\n# The file server's data: awkward names, hard links, sparse files, attributes, several snapshots")
    run = scene.machines.run
    run(SITE, "mkdir", "-p", FILES)
    run(SITE, "zfs", "snapshot", "-r", "tank/home@monday")
    arguments = ("first", FILES, scene.marker, str(scene.mib))
    run(SITE, "python3", "-", *arguments, program="make_sources.py")
    run(SITE, "zfs", "snapshot", "-r", "tank/home@tuesday")
    scene.say(run(SITE, "zfs", "list", "-r", "-o", "name,used,refer", "tank").rstrip())
    scene.say("\n# The cloud pool: volumes, a receiver, LUKS under every volume, raidz1 on top")
    scene.operator.types("pool", "create", "--dry-run")
    scene.operator.types("instance", "create")
    scene.watches.wait_for(scene.machines.running_instance())
    scene.operator.types("pool", "create")
    scene.operator.types("pool", "lock")


def _first_day(scene: Scene) -> None:
    scene.say("\n# The first day: everything is sent")
    scene.operator.types("backup", "--dry-run")
    scene.operator.types("backup")


def _second_day(scene: Scene) -> None:
    scene.say("\n# The second day: files change, and only the difference is sent")
    arguments = ("second", FILES, scene.marker, str(scene.mib))
    scene.machines.run(SITE, "python3", "-", *arguments, program="make_sources.py")
    scene.operator.types("backup", "--now")


def _copies(scene: Scene) -> tuple[str, Proof]:
    """Which instance the receiver is, and that every copy on it is whole."""
    scene.say("\n# Recovery: a fresh unlock, and every file compared")
    listing = ("zfs", "list", "-Hr", "-t", "filesystem,snapshot", "-o", "name", *SOURCES)
    snapshots = snapshots_to_compare(scene.machines.run(SITE, *listing).split(), BY_HAND, SOURCES)
    scene.operator.types("instance", "start")
    receiver = scene.machines.running_instance()
    scene.watches.wait_for(receiver)
    scene.operator.types("pool", "unlock")
    here, there = contents(scene.machines, receiver, POOL, snapshots)
    proof = equal_copies(snapshots, here, there, SMALL_FILES * SNAPSHOTS_OF_FILES)
    scene.operator.types("pool", "lock")
    scene.operator.types("instance", "stop")
    return receiver, proof


def _difference(scene: Scene) -> Proof:
    reports = sorted((scene.directory / "state" / "reports").glob("*.json"))
    return only_the_difference([json.loads(path.read_text()) for path in reports], scene.incompressible)


def _searches(scene: Scene, receiver: str) -> list[Proof]:
    scene.say("\n# The search for what must be nowhere")
    scene.watches.end()
    volumes, site_disks = (sorted((scene.directory / "volumes").glob(name)) for name in ("vol*", "site*"))
    keys = key_forms(scene.operator.pool_key, POOL, MAPPINGS)
    return [
        nowhere_in_the_cloud(scene.marker.encode(), site_disks, volumes, len(MAPPINGS), scene.incompressible),
        keys_nowhere(keys, traces(scene.directory, receiver, scene.operator.configuration)),
    ]


def _stopped(scene: Scene) -> Proof:
    return stopped(LabClient(scene.lab.endpoint).status()["instances"])


def _cost(scene: Scene, seconds: float) -> None:
    prices = load_prices()
    volumes = prices.volumes_per_month("gp3", len(MAPPINGS))
    hours = prices.instance_run("m7a.medium", seconds)
    scene.say(
        f"\n# What it would cost on AWS ({prices.caption}): these {seconds / 60:.0f} minutes of an m7a.medium at most "
        f"{dollars(hours)}; six gp3 volumes of 1 GiB {dollars(volumes)} a month"
    )
