"""What the operator decided: one TOML file, typed and validated. `load` it, or `parse` its text."""

from __future__ import annotations

from ec2zfs.config.file import load, parse
from ec2zfs.config.model import (
    AwsSection,
    Configuration,
    PathsSection,
    PoolKeySection,
    PoolSection,
    ReceiverSection,
    SiteSection,
    SourceSection,
    VolumesSection,
)

__all__ = [
    "AwsSection",
    "Configuration",
    "PathsSection",
    "PoolKeySection",
    "PoolSection",
    "ReceiverSection",
    "SiteSection",
    "SourceSection",
    "VolumesSection",
    "load",
    "parse",
]
