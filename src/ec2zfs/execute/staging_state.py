"""Sees what staging decides on: the sources with their histories and mounts, and all that stands in the staging pool.

The number of executions does not grow with the number of datasets or snapshots. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from ec2zfs.errors import CommandFailed, ConfigurationError
from ec2zfs.execute.replication_state import source_datasets
from ec2zfs.hosts.host import Host
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.source import Source
from ec2zfs.model.staging import StagedDataset, StagingState
from ec2zfs.tools.zfs import Zfs, missing_datasets
from ec2zfs.tools.zfs_staging import mounts, staged_datasets


def staging_state(site: Host, root: str, sources: Sequence[Source]) -> StagingState:
    """Both sides. Raises `ConfigurationError` when a source or the staging dataset does not exist, or has no place."""
    ours = source_datasets(site, sources)
    staged = staged_by_name(site, root)
    found = mounts(site, [root, *(each.name for each in ours)])
    if root not in found or not found[root].mountpoint.startswith("/"):
        raise ConfigurationError(
            f"The staging dataset {root} has no mount point, below which the staged ones are to be mounted.",
            hint=f"Give it one: `zfs set mountpoint=/{root} {root}`.",
        )
    return StagingState(root, ours, staged, found)


def staging_tree(site: Host, root: str) -> tuple[Dataset, ...]:
    """All datasets of the staging pool with their histories; `ConfigurationError` when it does not exist."""
    try:
        return Zfs(site).datasets((root,), recursive=True)
    except CommandFailed as error:
        if missing_datasets(error):
            raise ConfigurationError(
                f"On {site.name} there is no dataset {root} to stage in.",
                hint=f"Import its pool, or make it: `zfs create {root}`.",
            ) from error
        raise


def staged_by_name(site: Host, root: str) -> dict[str, StagedDataset]:
    """All datasets below the staging dataset with what our marks say of them."""
    return staged_datasets(site, root, staging_tree(site, root))
