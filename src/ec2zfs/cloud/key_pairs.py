"""Our ssh public key in EC2, under a name that follows from the key. Never sees a private key."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from ec2zfs.cloud import tags
from ec2zfs.cloud.errors import aws_errors
from ec2zfs.errors import CloudError

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def ensure_key_pair(ec2: EC2Client, pool: str, public_key: str) -> str:
    """The name under which EC2 knows this public key (a line of OpenSSH's); it is imported when it is not there."""
    name = key_pair_name(pool, public_key)
    values = {tags.POOL: pool, tags.ROLE: tags.ROLE_KEY_PAIR}
    try:
        with aws_errors():
            ec2.import_key_pair(
                KeyName=name,
                PublicKeyMaterial=_material(public_key),
                TagSpecifications=[tags.specification("key-pair", values)],
            )
    except CloudError as error:
        if error.code != "InvalidKeyPair.Duplicate":
            raise
    return name


def key_pair_name(pool: str, public_key: str) -> str:
    """The name holds a digest of the key's type and material, so that the same name is the same key."""
    return f"ec2zfs-{pool}-{hashlib.sha256(_material(public_key)).hexdigest()[:16]}"


def _material(public_key: str) -> bytes:
    return " ".join(public_key.split()[:2]).encode()
