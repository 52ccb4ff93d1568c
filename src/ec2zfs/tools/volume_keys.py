"""From the pool key to each volume's own LUKS key, on the controller: the receiver never learns the pool key.

The pool key may be a sentence that a person remembers, and LUKS itself stretches nothing here (fact 56), so scrypt does
it, once a run. HKDF then derives the key of each place and generation: what opens one volume opens no other. A copy of
a volume under another id (restored from an EBS snapshot) opens as well: its LUKS label still says its place.
Changing anything in this module locks every pool out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ec2zfs.hosts.secret import Secret

KEY_BYTES = 64
_COST = 2**15
"""32 MiB and about 0.1 s, on the controller."""


class VolumeKeys:
    """The keys of a pool's volumes."""

    def __init__(self, pool_key: Secret, pool: str) -> None:
        self._pool = pool
        self._master = Secret(
            hashlib.scrypt(
                pool_key.reveal(),
                salt=f"ec2zfs pool {pool}".encode(),
                n=_COST,
                r=8,
                p=1,
                maxmem=2**26,
                dklen=KEY_BYTES,
            )
        )

    def key(self, mapping: str) -> Secret:
        """The 64 bytes that open the volume of this mapping name, `cloud-v2s5-g1`."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        derivation = HKDF(SHA256(), KEY_BYTES, salt=b"ec2zfs volume key", info=mapping.encode())
        return Secret(derivation.derive(self._master.reveal()))

    def records(self, mappings: Iterable[str]) -> Secret:
        """The keys of these mappings one after the other, as open.sh reads them from its standard input."""
        return Secret(b"".join(self.key(mapping).reveal() for mapping in mappings))
