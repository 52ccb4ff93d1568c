"""What turns any AWS SDK towards the local EC2 and away from the real one, and which addresses are the lab's."""

from __future__ import annotations

import secrets


def sdk_environment(endpoint: str, region: str) -> dict[str, str]:
    """Endpoint, region, credentials that are worth nothing, and no configuration of the user's."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_ACCESS_KEY_ID": "AKIALOCALEC2EXAMPLE0",
        "AWS_SECRET_ACCESS_KEY": "local-ec2",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def loopback_address() -> str:
    """A random address of 127.16.0.1-127.239.255.254, apart from those that people type."""
    return f"127.{16 + secrets.randbelow(224)}.{secrets.randbelow(256)}.{1 + secrets.randbelow(254)}"
