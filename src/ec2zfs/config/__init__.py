"""What the operator decided: one TOML file, typed and validated. `load` it, or `parse` its text."""

from __future__ import annotations

from ec2zfs.config.file import load, parse
from ec2zfs.config.model import (
    AwsSection,
    Configuration,
    NewPoolKeySection,
    PathsSection,
    PoolKeySection,
    PoolSection,
    ReceiverSection,
    ReplicationSection,
    SiteSection,
    SourceSection,
    UpkeepSection,
    VolumesSection,
)

__all__ = [
    "AwsSection",
    "Configuration",
    "NewPoolKeySection",
    "PathsSection",
    "PoolKeySection",
    "PoolSection",
    "ReceiverSection",
    "ReplicationSection",
    "SiteSection",
    "SourceSection",
    "UpkeepSection",
    "VolumesSection",
    "load",
    "parse",
]
