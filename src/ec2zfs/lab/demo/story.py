"""A whole backup day and the next one in the local EC2, told as the commands that an operator would type, then proven.

It works in directories of its own below the lab's, and leaves nothing but the image in the cache.
"""

from __future__ import annotations

import base64
import os
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.cloud.prices import dollars, load_prices
from ec2zfs.hosts.secret import Secret
from ec2zfs.lab.client import LabClient
from ec2zfs.lab.configuration import KEY_FROM_STDIN, configuration
from ec2zfs.lab.demo.machines import CONTROLLER, SITE, Machines, Watches
from ec2zfs.lab.demo.operator import DemonstrationFailed, Operator
from ec2zfs.lab.demo.proofs import (
    Proof,
    equal_copies,
    flat_copy,
    key_forms,
    keys_nowhere,
    nowhere_in_the_cloud,
)
from ec2zfs.lab.description import LabDescription
from ec2zfs.lab.laboratory import down, up

Say = Callable[[str], None]

FILES = "/tank/home/ada/files"
SOURCE_MIB = 240
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
    say: Say


def demonstrate(directory: Path, say: Say) -> list[Proof]:
    """Play the story in a lab of its own in `directory` and return what was proven. Raises `DemonstrationFailed`."""
    from ec2zfs.lab.daemon import Options

    began = time.monotonic()
    with ExitStack() as ending:
        ending.callback(down, directory)
        say("# The local EC2: an API like EC2's, machines in QEMU, and a file server")
        lab = up(directory, Options(), say)
        scene = _scene(lab, directory, say)
        ending.callback(scene.watches.end)
        _build(scene)
        _first_day(scene)
        _second_day(scene)
        proofs = [_copies(scene), *_searches(scene), _stopped(scene)]
        _cost(scene, time.monotonic() - began)
    proofs.append(_nothing_left(directory))
    return proofs


def _scene(lab: LabDescription, directory: Path, say: Say) -> Scene:
    file = directory / "demo.toml"
    file.write_text(configuration(lab, KEY_FROM_STDIN))
    key = Secret(base64.b64encode(secrets.token_bytes(48)))
    machines = Machines(lab)
    environment = _clean(os.environ) | lab.environment()
    operator = Operator(file, environment, key, directory / "operator.log", say)
    return Scene(lab, machines, operator, Watches(machines, directory), f"PLAIN-{secrets.token_hex(12)}", say)


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith(("AWS_", "EC2ZFS_"))}


def _build(scene: Scene) -> None:
    scene.say("\n# The file server's data: awkward names, hard links, sparse files, attributes, several snapshots")
    scene.watches.watch(CONTROLLER)
    scene.watches.watch(SITE)
    run = scene.machines.run
    run(SITE, "mkdir", "-p", FILES)
    run(SITE, "zfs", "snapshot", "-r", "tank/home@monday")
    arguments = ("first", FILES, scene.marker, str(SOURCE_MIB))
    run(SITE, "python3", "-", *arguments, program="make_sources.py")
    run(SITE, "zfs", "snapshot", "-r", "tank/home@tuesday")
    scene.say(run(SITE, "zfs", "list", "-r", "-o", "name,used,refer", "tank").rstrip())
    scene.say("\n# The cloud pool: volumes, a receiver, LUKS under every volume, raidz1 on top")
    scene.operator.types("pool", "create", "--dry-run")
    scene.operator.types("instance", "create")
    scene.watches.watch(scene.machines.running_instance())
    scene.operator.types("pool", "create")
    scene.operator.types("pool", "lock")


def _first_day(scene: Scene) -> None:
    scene.say("\n# The first day: everything is sent")
    scene.operator.types("backup", "--dry-run")
    scene.operator.types("backup")


def _second_day(scene: Scene) -> None:
    scene.say("\n# The second day: files change, and only the difference is sent")
    arguments = ("second", FILES, scene.marker, str(SOURCE_MIB))
    scene.machines.run(SITE, "python3", "-", *arguments, program="make_sources.py")
    scene.operator.types("backup")


def _copies(scene: Scene) -> Proof:
    scene.say("\n# Recovery: a fresh unlock, and every file compared")
    scene.operator.types("instance", "start")
    receiver = scene.machines.running_instance()
    scene.watches.watch(receiver)
    scene.operator.types("pool", "unlock")
    proof = equal_copies(scene.machines, receiver, POOL, _snapshots(scene))
    scene.operator.types("pool", "lock")
    scene.operator.types("instance", "stop")
    return proof


def _snapshots(scene: Scene) -> list[str]:
    """The snapshots that the two backups took."""
    listed = scene.machines.run(
        SITE, "zfs", "list", "-Hr", "-t", "snapshot", "-o", "name", "tank/home", "tank/projects"
    )
    taken = [name for name in listed.split() if "@ec2zfs_" in name]
    if len({name.partition("@")[2] for name in taken}) != 2:
        raise DemonstrationFailed(f"Two days should have left snapshots of two names, but these are there: {taken}.")
    return taken


def _searches(scene: Scene) -> list[Proof]:
    scene.say("\n# The search for what must be nowhere")
    directory = Path(scene.lab.directory)
    volumes = sorted((directory / "volumes").glob("vol*"))
    site_disks = sorted((directory / "volumes").glob("site*"))
    roots = [flat_copy(root, directory) for root in (directory / "machines").glob("i-*/root.qcow2")]
    records = scene.watches.end()
    logs = [file for file in (*directory.glob("*.log"), *(directory / "state").rglob("*")) if file.is_file()]
    keys = key_forms(scene.operator.pool_key, POOL, MAPPINGS)
    return [
        nowhere_in_the_cloud(scene.marker.encode(), volumes, site_disks),
        keys_nowhere(keys, roots, records, logs),
    ]


def _stopped(scene: Scene) -> Proof:
    instances = LabClient(scene.lab.endpoint).status()["instances"]
    states = sorted({str(each["state"]) for each in instances})
    if states != ["stopped"]:
        raise DemonstrationFailed(f"The receiver should be stopped, but EC2 says: {states}.")
    return Proof("The receiver is stopped", f"EC2 says so of {len(instances)} instance")


def _cost(scene: Scene, seconds: float) -> None:
    prices = load_prices()
    volumes = prices.volumes_per_month("gp3", len(MAPPINGS))
    hours = prices.instance_run("m7a.medium", seconds)
    scene.say(
        f"\n# What it would cost on AWS ({prices.caption}): these {seconds / 60:.0f} minutes of an m7a.medium at most "
        f"{dollars(hours)}; six gp3 volumes of 1 GiB {dollars(volumes)} a month"
    )


def _nothing_left(directory: Path) -> Proof:
    if directory.exists():
        raise DemonstrationFailed(f"The lab is down, but {directory} is still there.")
    return Proof("Nothing is left", "no process and no file but the image in the cache")
