"""`python -m ec2zfs` is `ec2zfs`."""

from __future__ import annotations

import sys

from ec2zfs.cli import main

if __name__ == "__main__":
    sys.exit(main())
