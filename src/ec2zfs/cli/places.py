"""Where the configuration file stands when nobody says."""

from __future__ import annotations

import os
from pathlib import Path


def configuration_path(given: str | None) -> Path:
    """The file of `--config`, else of EC2ZFS_CONFIG, else /etc/ec2zfs/ec2zfs.toml for root and ~/.config/… for others.

    Never the working directory: the file names commands to run.
    """
    if named := given or os.environ.get("EC2ZFS_CONFIG"):
        return Path(named).expanduser()
    if os.geteuid() == 0:
        return Path("/etc/ec2zfs/ec2zfs.toml")
    return Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "ec2zfs" / "ec2zfs.toml"
