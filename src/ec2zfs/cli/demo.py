"""`ec2zfs demo`: a backup day in the local EC2, with its proofs. Needs the `lab` extra and QEMU, no AWS account."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    add_verb(verbs, "demo", "show a whole backup day in a local EC2, on real ZFS and LUKS, and prove it", run)


def run(arguments: argparse.Namespace) -> int:
    """Build the image if need be, play the story, print the proofs."""
    import tempfile
    from pathlib import Path

    from ec2zfs.cli.output import chosen_output
    from ec2zfs.lab.demo.story import demonstrate
    from ec2zfs.lab.image.build import build
    from ec2zfs.lab.image.recipe import recipe
    from ec2zfs.lab.laboratory import require_packages
    from ec2zfs.lab.paths import cache_directory

    require_packages()
    output = chosen_output(arguments)
    build(recipe(), cache_directory(), output.say)
    with tempfile.TemporaryDirectory(prefix="ec2zfs-demo-", dir="/var/tmp") as parent:
        proofs = demonstrate(Path(parent) / "lab", output.say)
    for proof in proofs:
        output.say(f"PROVEN  {proof.statement}: {proof.evidence}.")
    return 0
