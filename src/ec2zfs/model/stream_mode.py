"""The ways that a stream can take between two hosts, as the operator chooses them."""

from __future__ import annotations

from enum import StrEnum


class StreamMode(StrEnum):
    """AUTO is DIRECT where the receiver's port can be reached, else SSH. SSH_STRIPED: several ssh connections."""

    AUTO = "auto"
    DIRECT = "direct"
    SSH = "ssh"
    SSH_STRIPED = "ssh-striped"
