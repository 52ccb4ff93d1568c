"""The kinds of value that a key can have, and what a right one looks like. Each refusal says what would be right."""

from __future__ import annotations

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator
from pydantic_core import PydanticCustomError

from ec2zfs.model.period import NAME
from ec2zfs.model.policy import Keep, Keeps

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


def _pattern(text: str) -> str:
    """Datasets that a policy is for: a name in which `*`, `**` and `?` may stand."""
    if not re.fullmatch(r"[A-Za-z*?][A-Za-z0-9_.: *?-]*(/[A-Za-z0-9_.: *?-]+)*", text):
        raise refusal("must be datasets: a name such as tank/home, in which *, ** and ? may stand for other text")
    return text


def _zone(name: object) -> ZoneInfo:
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(str(name))
    except (KeyError, OSError, ValueError):
        raise refusal('must be a time zone, such as "Europe/Berlin" or "UTC"') from None


KEEPS = "must be a number for each period, such as { hourly = 24, daily = { keep = 30, days = 60 } }"


def _keeps(value: object) -> Keeps:
    if not isinstance(value, dict):
        raise refusal(KEEPS)
    return {str(period): _keep(entry) for period, entry in value.items()}


def _keep(entry: object) -> Keep:
    """A number, or a table of a number and an age in days."""
    table = entry if isinstance(entry, dict) else {"keep": entry}
    if table.keys() - {"keep", "days"}:
        raise refusal(KEEPS)
    return Keep(_count(table.get("keep")), timedelta(days=_count(table["days"])) if "days" in table else None)


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise refusal(KEEPS)
    return value


def numbers(least: int, most: int) -> AfterValidator:
    """A check of a list of numbers: some, each between two."""

    def check(found: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if found is not None and not (found and all(least <= each <= most for each in found)):
            raise refusal(f"must be a list of numbers from {least} to {most}")
        return found

    return AfterValidator(check)


Text = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Port = Annotated[int, Field(strict=True, ge=1, le=65_535)]
Flag = Annotated[bool, Field(strict=True)]
AbsolutePath = Annotated[Path, BeforeValidator(_absolute)]
PoolName = Annotated[str, AfterValidator(_pool_name)]
PeriodName = Annotated[str, matching(NAME, "must be lower-case letters, digits and -, and begin with a letter")]
Pattern = Annotated[str, AfterValidator(_pattern)]
Zone = Annotated[ZoneInfo, PlainValidator(_zone)]
KeepTable = Annotated[Keeps, PlainValidator(_keeps)]
Numbers = tuple[Annotated[int, Field(strict=True)], ...]
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
