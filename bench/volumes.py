"""Creating and attaching 40 volumes (5 x raidz1 of 8) against one, with an API that takes 0.5 s a call, side by side.

The product's own code with its own settings; the API is the local EC2 without machines, in this process, on loopback.
Exits with 1 above four times, or when a volume takes more than one call to create or to attach.

python bench/volumes.py [RUNS]
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from dataclasses import dataclass

from ec2zfs.cloud.images import find_image
from ec2zfs.cloud.instance_types import instance_type
from ec2zfs.cloud.instances import InstanceOrder, Instances
from ec2zfs.cloud.key_pairs import ensure_key_pair
from ec2zfs.cloud.security_groups import SecurityGroup
from ec2zfs.cloud.session import Aws
from ec2zfs.cloud.volumes import Volumes
from ec2zfs.execute.volumes import VolumeFleet
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.server import serve
from ec2zfs.lab.api.settings import Settings
from ec2zfs.lab.faults import Fault, FaultKind
from ec2zfs.model.instance import Instance, InstanceState, Market
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.plan.volumes import VolumeWish, plan_attachment, plan_creation

LIMIT = 4.0
CALL_SECONDS = 0.5
LAYOUT = Layout(Redundancy.RAIDZ1, vdevs=5, volumes_per_vdev=8, size_gib=1)
RECEIVER = "m7i.16xlarge"
POOL = "bench"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEl0yTHWVgsuGTOnyhzGrzRt4oQk8SfqFzUGVXk7EZgV"


@dataclass(frozen=True)
class Measured:
    """How many volumes, in how many seconds, with which calls."""

    volumes: int
    seconds: float
    calls: dict[str, int]

    @property
    def frugal(self) -> bool:
        """Whether each volume was created and attached by one call, and all were waited for together."""
        asked = self.calls["CreateVolume"], self.calls["AttachVolume"]
        return asked == (self.volumes, self.volumes) and self.calls["DescribeVolumes"] <= 16


def receiver(aws: Aws, local: LocalEc2) -> Instance:
    """A receiver that runs, in the volumes' zone."""
    ec2 = aws.ec2()
    order = InstanceOrder(
        image=find_image(ec2, local.settings.images[0].id),
        type=RECEIVER,
        market=Market.ON_DEMAND,
        zone=local.settings.zones[0],
        key_name=ensure_key_pair(ec2, POOL, KEY),
        security_group_id=SecurityGroup(ec2, POOL).ensure(),
    )
    instances = Instances(ec2, POOL)
    return instances.await_state(instances.run(order).id, InstanceState.RUNNING, 60)


def measured(number: int) -> Measured:
    """Create and attach the first so many volumes of the layout, in a local EC2 that knows nothing yet."""
    with serve(Settings()) as local:
        os.environ.update(local.environment())
        aws = Aws(local.settings.region, endpoint_url=local.endpoint)
        instance = receiver(aws, local)
        kind = instance_type(aws.ec2(), RECEIVER)
        fleet = VolumeFleet(Volumes(aws.ec2(), POOL))
        local.calls.reset()
        local.faults.add(Fault(FaultKind.DELAY, seconds=CALL_SECONDS, times=None))
        began = time.perf_counter()
        wish = VolumeWish(POOL, LAYOUT, "gp3", instance.zone)
        volumes = fleet.carry_out(plan_creation(wish, fleet.volumes())[:number])
        volumes = fleet.carry_out(plan_attachment(volumes, instance, kind))
        seconds = time.perf_counter() - began
        assert len([volume for volume in volumes if volume.attachment]) == number
        return Measured(number, seconds, local.calls.counts())


def report(each: Measured) -> str:
    """One line: volumes, seconds, calls."""
    calls = ", ".join(f"{count} {action}" for action, count in sorted(each.calls.items()))
    return f"{each.volumes:>2} volumes  {each.seconds:6.2f} s   calls: {calls}"


def main() -> int:
    """Measure in turns, print, and say whether the limits hold."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    turns = [(measured(1), measured(LAYOUT.volumes)) for _ in range(runs)]
    print(f"Creating and attaching volumes, {CALL_SECONDS:g} s a call, {runs} runs in turns (limit {LIMIT:g} x):")
    for pair in turns:
        print(*(report(each) for each in pair), sep="\n")
    ratio = statistics.median(many.seconds / one.seconds for one, many in turns)
    print(f"ratio, median   {ratio:.2f} x")
    return int(ratio > LIMIT or not all(each.frugal for pair in turns for each in pair))


if __name__ == "__main__":
    sys.exit(main())
