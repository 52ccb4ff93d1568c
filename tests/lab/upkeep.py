"""Who operates the pool of test_upkeep.py: types what the runbook says, and looks at EC2 and at the receiver."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING
from unittest.mock import patch

from tests.lab.machines import BOOT, printed, ssh, until

from ec2zfs.cli.output import Words
from ec2zfs.cli.session import Session
from ec2zfs.cloud.tags import GENERATION, RETIRED, ROLE_RECEIVER, ROLE_VOLUME, SLOT, VDEV, as_values, filtered, of_pool
from ec2zfs.config import load
from ec2zfs.errors import ExitCode
from ec2zfs.execute.progress import Silent
from ec2zfs.lab.configuration import configuration
from ec2zfs.lab.description import LabDescription
from ec2zfs.model.standing import Picture, Standing, picture
from ec2zfs.plan.simulation import foreseen
from ec2zfs.plan.upkeep import Step
from ec2zfs.runs.upkeep import OpenPool

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import VolumeTypeDef

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text("utf-8")
DATA_MIB = 150

MAKE_DATA = """
set -e
zfs create -o mountpoint=none {pool}/data
mkdir -p {data} && mount -t zfs -o zfsutil {pool}/data {data}
cd {data}
for number in 1 2 3; do head -c {part}M /dev/urandom >file$number; done
sha256sum file* >sums
zpool sync
"""
MOUNT = "mountpoint -q {data} || { mkdir -p {data} && mount -t zfs -o zfsutil {pool}/data {data}; }"
WRITE = """
systemctl is-active --quiet writer || systemd-run --quiet --unit=writer python3 -c '
import os, time
while True:
    with open("{data}/lines", "a") as lines:
        print(time.time(), file=lines, flush=True)
        os.fsync(lines.fileno())
    time.sleep(0.2)'
"""


class Operator:
    """`settings` is the configuration file, `pool` the pool's name. `names` stand for words such as VOLUME."""

    def __init__(self, settings: Path, pool: str, lab: LabDescription, ec2: EC2Client) -> None:
        self.settings, self.pool, self.lab, self.ec2 = settings, pool, lab, ec2
        self.log = settings.with_suffix(".log")
        self.names: dict[str, str] = {}

    def starts(self, command: str) -> subprocess.Popen[bytes]:
        """Begin a command, which stands in the runbook as it is typed."""
        assert f"ec2zfs {command}\n" in RUNBOOK, f"`ec2zfs {command}` is not in docs/runbook.md"
        words = [self.names.get(word, word) for word in command.split()]
        argv = [sys.executable, "-m", "ec2zfs", "--config", str(self.settings), *words]
        with self.log.open("w") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)

    def types(self, command: str, code: ExitCode = ExitCode.OK) -> str:
        """Type a command that ends as told; what it said."""
        status = self.starts(command).wait()
        said = self.log.read_text()
        print(f"$ ec2zfs {command}\n{said}")
        assert status == code, said
        return said

    def is_killed(self, command: str, moment: Callable[[], object]) -> None:
        """Begin a command, and SIGKILL it when the moment has come."""
        with self.starts(command) as controller:
            try:
                until(lambda: moment() or controller.poll() is not None, BOOT, pause=0.1)
            finally:
                controller.kill()
        print(f"$ ec2zfs {command}\n{self.log.read_text()}Killed")
        assert controller.returncode == -9, self.log.read_text()

    def meets(self, command: str, moment: Callable[[], object], event: Callable[[], object], code: ExitCode) -> str:
        """Begin a command, let something happen when the moment has come, and wait until it ends; what it said."""
        controller = self.starts(command)
        try:
            until(lambda: moment() or controller.poll() is not None, BOOT, pause=0.1)
            assert controller.poll() is None, self.log.read_text()
            event()
            status = controller.wait(BOOT)
        finally:
            controller.kill()
            controller.wait()
        said = self.log.read_text()
        print(f"$ ec2zfs {command}\n{said}")
        assert status == code, said
        return said

    def changes(self, old: str, new: str) -> None:
        """Edit the configuration."""
        text = self.settings.read_text()
        assert old in text
        self.settings.write_text(text.replace(old, new))

    @property
    def volumes(self) -> list[VolumeTypeDef]:
        """Every volume of the pool but those on their way out."""
        found = self.ec2.describe_volumes(Filters=of_pool(self.pool, ROLE_VOLUME))["Volumes"]
        return [each for each in found if each["State"] != "deleting"]

    def current(self, generation: int | None = None) -> list[VolumeTypeDef]:
        """The volumes that were not put aside; of one generation, if it is given."""
        found = [(each, as_values(each.get("Tags"))) for each in self.volumes]
        kept = [(each, tags) for each, tags in found if RETIRED not in tags]
        return [each for each, tags in kept if generation is None or tags[GENERATION] == str(generation)]

    def at(self, vdev: int, slot: int) -> str:
        """The id of the one current volume of a place."""
        (found,) = (
            each["VolumeId"]
            for each in self.current()
            if (as_values(each["Tags"])[VDEV], as_values(each["Tags"])[SLOT]) == (str(vdev), str(slot))
        )
        return found

    @property
    def receiver(self) -> str:
        """The instance that is up."""
        ours = [*of_pool(self.pool, ROLE_RECEIVER), filtered("instance-state-name", "running")]
        (reservation,) = self.ec2.describe_instances(Filters=ours)["Reservations"]
        return reservation["Instances"][0]["InstanceId"]

    def does(self, script: str) -> str:
        """Run a script on the receiver as root; what it printed."""
        places = {"pool": self.pool, "data": f"/mnt/{self.pool}-data", "part": str(DATA_MIB // 3)}
        for name, value in places.items():
            script = script.replace(f"{{{name}}}", value)
        return printed(self.lab, self.receiver, "sudo", "sh", "-c", script)

    def sees(self, words: str) -> bool:
        """Whether `zpool status` on the receiver says that now."""
        done = ssh(self.lab, self.receiver, "sudo", "zpool", "status", self.pool)
        return words in done.stdout

    def writes(self) -> None:
        """The writer writes, from now on until the machine ends."""
        self.does(MOUNT)
        self.does(WRITE)

    def lines(self) -> int:
        """How many lines the writer has written; the last ones are its newest."""
        return int(self.does("wc -l <{data}/lines"))

    def require_data(self) -> None:
        """The files from before have their checksums, and the writer still writes."""
        self.does("cd {data} && sha256sum --quiet -c sums")
        before = self.lines()
        until(lambda: self.lines() > before)

    @contextmanager
    def pool_open(self) -> Iterator[OpenPool]:
        """The pool as the product sees it, while it is open on the receiver."""
        with ExitStack() as connections:
            session = Session(load(self.settings), Words(Silent()), connections)
            yield OpenPool(session.upkeep, session.receiver.reach(), None, lambda: datetime.now(UTC))

    def foresees(self, plan: Callable[[Standing], Step]) -> Picture:
        """What a plan leads to from here, by the simulation."""
        with self.pool_open() as pool:
            _, after = foreseen(plan, pool.observe())
            return picture(after)

    def observes(self) -> Picture:
        """What stands now."""
        with self.pool_open() as pool:
            return picture(pool.observe())


@contextmanager
def a_pool(
    lab: LabDescription, ec2: EC2Client, directory: Path, pool: str, changes: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Operator]:
    """A pool that is open, with data in it and a writer at work; all that was made is gone in the end.

    `changes` of the lab's configuration, from what stands there to what is to stand there.
    """
    settings = directory / "ec2zfs.toml"
    settings.write_text(configuration(lab))
    operator = Operator(settings, pool, lab, ec2)
    own = {'name = "cloud"': f'name = "{pool}"', f'state = "{lab.directory}/state"': f'state = "{directory}/state"'}
    for old, new in {**own, **changes}.items():
        operator.changes(old, new)
    with patch.dict(os.environ, lab.environment()):
        for command in ("pool create", "instance start", "pool unlock"):
            operator.types(command)
        operator.does(MAKE_DATA)
        operator.writes()
        yield operator
        for words in (("instance", "stop"), ("volumes", "detach"), ("volumes", "delete", "--confirm", pool)):
            argv = [sys.executable, "-m", "ec2zfs", "--config", str(settings), *words]
            subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
