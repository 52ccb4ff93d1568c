"""A few changes in a tree of 100,000 files on real ZFS, in the lab: staging them, beside `zfs diff` alone.

The program runs on the lab's site. Timed are `zfs diff`, then, of `ec2zfs stage`, all from its own `zfs diff` to the
last object and the manifest, and the whole, with a dozen small `zfs` commands. Exits with 1 when the second is above
three times the first, or another number of files is encrypted than was changed.

python -m bench.staging_diff [FILES]
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from tests.lab.installed import CONFIGURATION, STAGING, install
from tests.lab.zfs_ends import reached

from ec2zfs.hosts.host import Command
from ec2zfs.lab.daemon import Options
from ec2zfs.lab.image.build import build
from ec2zfs.lab.image.recipe import recipe
from ec2zfs.lab.laboratory import down, up
from ec2zfs.lab.paths import cache_directory

FILES, CHANGES, ROUNDS = 100_000, 10, 5
LIMIT = 3.0
SOURCE, VAULT = "tank/many", "staging/vault"
MAKE = """\
set -eu
zfs create "$1"
zfs create -o mountpoint=/mnt/vault "$2"
gpg --batch --quiet --pinentry-mode loopback --passphrase '' --quick-gen-key staging future-default default never
gpg --armor --export staging >/root/recipient.asc
"""
PROGRAM = Path(__file__).with_name("staging_diff_guest.py")


def main() -> int:
    """Measure, print, and say whether the limit holds."""
    files = int(sys.argv[1]) if len(sys.argv) > 1 else FILES
    build(recipe(), cache_directory(), print)
    directory = Path(tempfile.mkdtemp(prefix="ec2zfs-bench-", dir="/var/tmp"))
    try:
        lab = up(directory, Options(owner_pid=os.getpid()), print)
        with reached("site", lab, directory) as site:
            site.run(Command.of("sh", "-c", MAKE, "make", SOURCE, VAULT, timeout=300.0))
            program = install(site, STAGING)
            program.configure(CONFIGURATION.format(source=SOURCE, vault=VAULT))
            words = (program.configuration, SOURCE, *map(str, (files, CHANGES, ROUNDS)))
            run = program.python("-", *words)
            done = site.run(Command(run.argv, stdin=PROGRAM.read_bytes(), timeout=4 * 3600.0))
            zfs = site.run(Command.of("zfs", "version")).lines()[0]
    finally:
        down(directory)
    told = json.loads(done.lines()[-1])
    print(f"{CHANGES} changes in {files:,} files, median of {ROUNDS}, in an emulated machine with {zfs}:")
    print(f"  all files staged at first   {told['first']:8.2f} s")
    print(f"  zfs diff                    {told['diff']:8.2f} s")
    ratio = told["brought"] / told["diff"]
    print(f"  led by it, and encrypted    {told['brought']:8.2f} s  {ratio:.2f} x (limit {LIMIT:g} x)")
    print(f"  the whole of `stage`        {told['stage']:8.2f} s  {told['stage'] / told['diff']:.2f} x")
    print(f"  files encrypted             {told['encrypted']}")
    return int(ratio > LIMIT or told["encrypted"] != CHANGES * ROUNDS)


if __name__ == "__main__":
    sys.exit(main())
