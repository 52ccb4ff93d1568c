"""The address from which the receiver sees this controller come, for its security group. Asks AWS's own service.

Behind a network address translation no interface here has it, so it must be asked for or configured
(`receiver.allow_from`). The answer only narrows who may try the ssh port: no trust hangs on it.
"""

from __future__ import annotations

import ipaddress
import urllib.request
from urllib.error import HTTPError

from ec2zfs.errors import CloudError, ConfigurationError

SERVICE = "https://checkip.amazonaws.com"

_LONGEST_ANSWER = 64
_HINT = "Set receiver.allow_from to this controller's public address, such as 203.0.113.7/32."


def allowed_range(allow_from: str, service: str = SERVICE, timeout: float = 10.0) -> str:
    """The address range that may reach the receiver: `allow_from`, or for "auto" this controller's address alone.

    `service` answers an HTTPS request with the caller's address; `timeout` in seconds.
    """
    if allow_from != "auto":
        return str(_network(allow_from))
    try:
        with urllib.request.urlopen(service, timeout=timeout) as answer:  # noqa: S310 - our own https address
            said = answer.read(_LONGEST_ANSWER).decode("ascii", "replace").strip()
        return str(ipaddress.ip_network(said))
    except (OSError, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()
        raise CloudError(
            f"This controller's public address cannot be learned from {service}: {error}.", hint=_HINT
        ) from error


def _network(cidr: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(cidr)
    except ValueError as error:
        raise ConfigurationError(f"receiver.allow_from = {cidr!r} is no address range: {error}.", hint=_HINT) from error
