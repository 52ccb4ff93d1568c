"""The host id under which a pool is imported: one for a pool, whatever instance it is on. Touches nothing."""

from __future__ import annotations

import hashlib


def host_id(pool: str) -> str:
    """Eight hexadecimal digits for zgenhostid(8), never zero, that follow from the pool's name alone.

    A receiver that died left the pool marked as in use by this id, so the next one imports it without force (fact 43).
    """
    digest = hashlib.sha256(f"ec2zfs host id of {pool}".encode()).digest()
    return f"{int.from_bytes(digest[:4], 'big') or 1:08x}"
