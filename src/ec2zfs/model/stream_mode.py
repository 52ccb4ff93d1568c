"""The ways that a stream can take between two hosts, as the operator chooses them."""

from __future__ import annotations

from enum import StrEnum


class StreamMode(StrEnum):
    """AUTO is DIRECT where the receiver's port can be reached, else SSH_STRIPED, which is several ssh connections.

    SSH, a single one, is what AUTO comes down to where the receiver lacks the program for both (Python 3.9).
    """

    AUTO = "auto"
    DIRECT = "direct"
    SSH = "ssh"
    SSH_STRIPED = "ssh-striped"
