"""How many rounds replace all 40 volumes of 5 x raidz1 of 8, foreseen step by step. Exits with 1 unless it is 8.

The planner that the product runs, in a world where all goes well: nothing is started and nothing bought.

python -m bench.rounds
"""

from __future__ import annotations

import sys
from datetime import timedelta

from tests.fakes.pools import ZONE
from tests.fakes.standing import FORTY, standing

from ec2zfs.plan.replacement import Caution, Want, plan_replacement
from ec2zfs.plan.simulation import foreseen
from ec2zfs.plan.upkeep import ReplaceMember
from ec2zfs.plan.volumes import CreateVolume

ROUNDS = 8
WANT = Want(2, "gp3", ZONE)
CAUTION = Caution(timedelta(days=7))


def counted() -> tuple[int, int, bool]:
    """Rounds, volumes created, and whether every volume is as wanted in the end and the pool healthy."""
    steps, after = foreseen(lambda stands: plan_replacement(WANT, stands, CAUTION), standing(FORTY))
    rounds = sum(isinstance(step[0], ReplaceMember) for step in steps)
    created = sum(isinstance(action, CreateVolume) for step in steps for action in step)
    whole = after.pool.healthy and not any(WANT.lack(volume) for volume in after.current)
    return rounds, created, whole


def main() -> int:
    """Count, print, and say whether it is as it must be."""
    rounds, created, whole = counted()
    print(f"Growth of {FORTY} by replacement, one volume of each vdev at a time (must be {ROUNDS} rounds):")
    print(f"  rounds  {rounds}\n  volumes {created}")
    return int((rounds, created, whole) != (ROUNDS, FORTY.volumes, True))


if __name__ == "__main__":
    sys.exit(main())
