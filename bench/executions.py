"""How many executions on the receiver unlock, and lock, a pool of 40 volumes. Exits with 1 above one each.

The product's own scripts run in a shell; under them stand imitations of the programs of a receiver (tests/fakes), which
the contract suites hold against real ones. Each command of a `Host` is one ssh execution.

python -m bench.executions
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.fakes.pools import design
from tests.fakes.world import World, attached

from ec2zfs.execute.pool import CloudPool
from ec2zfs.hosts.secret import Secret
from ec2zfs.model.layout import Layout, Redundancy

FORTY = Layout(Redundancy.RAIDZ1, 5, 8, 1)
LIMIT = 1
KEY = Secret(b"the key that opens the pool, and no other")


def counted(directory: Path) -> dict[str, int]:
    """The executions of each verb, in the order in which an operator types them; each was seen to do its work."""
    world = World(directory)
    volumes = attached(world, FORTY)
    cloud = CloudPool(world.host, design(FORTY))
    cloud.create(KEY, volumes)
    found: dict[str, int] = {}
    for verb, mappings in (("lock", 0), ("unlock", FORTY.volumes), ("lock", 0)):
        world.host.commands.clear()
        if verb == "lock":
            cloud.lock()
        else:
            cloud.unlock(KEY, volumes)
        assert len(world.mappings) == mappings
        found[verb] = len(world.host.commands)
    return found


def main() -> int:
    """Count, print, and say whether the limit holds."""
    with tempfile.TemporaryDirectory() as directory:
        found = counted(Path(directory))
    print(f"Executions for {FORTY.volumes} volumes (limit {LIMIT} each):")
    print(*(f"  {verb:<7} {count}" for verb, count in found.items()), sep="\n")
    return int(max(found.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
