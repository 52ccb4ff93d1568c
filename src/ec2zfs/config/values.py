"""The kinds of value that a key can have, and what a right one looks like. Each refusal says what would be right."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

VolumeType = Literal["gp2", "gp3", "sc1", "st1"]
"""io1 and io2 are left out: they must be given IOPS, at a price that no backup is worth."""
Connection = Literal["local", "ssh"]
KeyOrigin = Literal["prompt", "command", "descriptor"]


def refusal(right: str) -> PydanticCustomError:
    """The error for a value that is not as it must be; `right` says how it must be: "must be …"."""
    return PydanticCustomError("refused", "{right}", {"right": right})


def matching(pattern: str, right: str) -> AfterValidator:
    """A check that the whole text matches `pattern`; `right` describes what does."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise refusal(right)
        return text

    return AfterValidator(check)


def _absolute(value: object) -> Path:
    if isinstance(value, Path):
        return value
    if not isinstance(value, str) or not value.startswith(("/", "~")):
        raise refusal("must be an absolute path in quotes, or one that begins with ~")
    try:
        return Path(value).expanduser()
    except RuntimeError:
        raise refusal("begins with the home directory of a user who does not exist") from None


def _pool_name(name: str) -> str:
    """zpool(8) reserves names; a longer one would not leave room for a volume's place in a LUKS2 label (47 bytes)."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,29}", name):
        raise refusal("must be 1 to 30 letters, digits, -, _ or ., and begin with a letter")
    if re.match(r"mirror|raidz|draid|spare|log", name):
        raise refusal("is reserved by ZFS: a name must not begin with mirror, raidz, draid, spare or log")
    return name


def _address_range(value: str) -> str:
    if value == "auto":
        return value
    try:
        return str(ipaddress.ip_network(value))
    except ValueError:
        raise refusal('must be "auto" or an address range such as 203.0.113.7/32') from None


def _image(value: str) -> str:
    if not re.fullmatch(r"ami-[0-9a-f]{8,17}|(?!ami-)[A-Za-z0-9()\[\] ./'@_*?-]{3,128}", value):
        raise refusal("must be the id of an image, such as ami-0123456789abcdef0, or the name of one of your own")
    return value


def _dataset(name: str) -> str:
    component = r"[A-Za-z0-9_.: -]+"
    if not re.fullmatch(rf"[A-Za-z][A-Za-z0-9_.: -]*(/{component})*", name) or {".", ".."} & set(name.split("/")):
        raise refusal("must be the name of a dataset: pool/dataset, without @, # or a leading or trailing /")
    return name


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Flag = Annotated[bool, Field(strict=True)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
PoolName = Annotated[str, AfterValidator(_pool_name)]
DatasetName = Annotated[str, AfterValidator(_dataset)]
Region = Annotated[str, matching(r"[a-z]{2,}(-[a-z]+)+-\d+", "must be an AWS region such as eu-central-1")]
Url = Annotated[str, matching(r"https?://[^\s/]+(/\S*)?", "must be a URL such as http://127.0.0.1:5000")]
Image = Annotated[str, AfterValidator(_image)]
AddressRange = Annotated[str, AfterValidator(_address_range)]
Subnet = Annotated[
    str, matching(r"subnet-[0-9a-f]{8,17}", "must be the id of a subnet, such as subnet-0123456789abcdef0")
]
InstanceTypeName = Annotated[
    str, matching(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "must be an instance type such as m7g.medium")
]
UserName = Annotated[str, matching(r"[A-Za-z_][A-Za-z0-9_.-]*", "must be the name of a user, such as ubuntu")]
Address = Annotated[str, matching(r"[A-Za-z0-9][A-Za-z0-9.:_-]*", "must be a host name or an IP address")]
