"""The configuration's sections and keys: name, type, unit, default and description of each stand here and nowhere else.

The sample file and docs/configuration.md are made of this model. It decides what is valid; it reads no file and asks
nobody, so what only EC2 or ZFS can know (does the image exist? the dataset?) is checked by the stage that needs it.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from ec2zfs.config.described import Section, key
from ec2zfs.config.rates import RateWindowSection, rate_rule
from ec2zfs.config.snapshots import PeriodSection, PolicySection, SnapshotsSection
from ec2zfs.config.staging import StagingSection
from ec2zfs.config.transport import TransportSection
from ec2zfs.config.values import (
    AbsolutePath,
    Address,
    AddressRange,
    Connection,
    Count,
    DatasetName,
    Flag,
    Image,
    InstanceTypeName,
    KeyOrigin,
    PoolName,
    Port,
    Region,
    Subnet,
    Text,
    Url,
    UserName,
    VolumeType,
    refusal,
)
from ec2zfs.model.instance import Market
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.period import STANDARD, Period
from ec2zfs.model.pool import PoolDesign
from ec2zfs.model.rate import RateRule
from ec2zfs.model.replication import MOST_STREAMS
from ec2zfs.model.volume import SIZES_GIB

T = TypeVar("T")

LONGEST_DATASET = 255
"""Characters of a dataset's name (ZFS_MAX_DATASET_NAME_LEN, less its zero)."""


def default_state() -> Path:
    """Where state is kept when the file does not say."""
    return Path("/var/lib/ec2zfs") if os.geteuid() == 0 else Path("~/.local/state/ec2zfs").expanduser()


class AwsSection(Section):
    """The AWS account's side. Credentials are never written here: the AWS SDK finds them in its own places
    (environment, ~/.aws, an instance's role)."""

    region: Region = key("Region in which the pool lives", example="eu-central-1")
    zone: Text = key("Availability zone of the volumes and the receiver", example="eu-central-1a")
    profile: Text | None = key("Profile of ~/.aws/config to take credentials from", None, example="backup")
    endpoint_url: Url | None = key(
        "Another server that speaks the EC2 API, such as the local EC2", None, example="http://127.0.0.1:5000"
    )

    @field_validator("zone")
    @classmethod
    def _zone_of_region(cls, zone: str, info: ValidationInfo) -> str:
        region = info.data.get("region")
        if region is not None and (not zone.startswith(region) or zone == region):
            raise refusal(f"must be a zone of {region}, such as {region}a")
        return zone


class PoolSection(Section):
    """The cloud pool and its layout. Of a pool that exists only `vdevs` may change: raise it, then run
    `ec2zfs pool add-vdev`."""

    name: PoolName = key("Name of the cloud pool", example="cloud")
    redundancy: Redundancy = key("Redundancy of each vdev", example="raidz1")
    vdevs: Count = key("Number of vdevs", unit="vdevs", example=5)
    volumes_per_vdev: Count = key("Number of volumes in each vdev", unit="volumes", example=8)
    encryption: Flag = key("Whether every volume has a LUKS2 layer, opened with the pool key", True)

    @field_validator("volumes_per_vdev")
    @classmethod
    def _redundant(cls, volumes: int, info: ValidationInfo) -> int:
        redundancy = info.data.get("redundancy")
        if redundancy is not None and volumes < redundancy.least_volumes:
            raise refusal(f"must be at least {redundancy.least_volumes} for {redundancy}, or it is not redundant")
        return volumes


class VolumesSection(Section):
    """The EBS volumes of which the pool is built. For a larger pool raise `size_gib`, or choose another `type`, then
    run `ec2zfs pool grow`; a volume never shrinks."""

    type: VolumeType = key("EBS volume type; sc1 is the cheapest, gp3 the smallest and quickest", "sc1")
    size_gib: Count = key("Size of each volume", unit="GiB", example=500)

    @field_validator("size_gib")
    @classmethod
    def _size_of_type(cls, size: int, info: ValidationInfo) -> int:
        kind = info.data.get("type")
        if kind is not None:
            least, most = SIZES_GIB[kind]
            if not least <= size <= most:
                raise refusal(f"must be {least} to {most} GiB for a volume of type {kind}")
        return size


class ReceiverSection(Section):
    """The EC2 instance that holds the pool while it is up."""

    connection: Connection = key('How commands reach it: "local" when ec2zfs itself runs on the receiver', "ssh")
    image: Image = key(
        "Image (AMI) to start it from, with or without ZFS: its id, or a name among your account's own images (* and ?"
        " match; the newest is taken)",
        example="ami-0123456789abcdef0",
    )
    instance_type: InstanceTypeName = key("Instance type, with at least 4 GiB of memory", "m7g.medium")
    market: Market = key("How it is paid; spot falls back to on-demand when there is no capacity", Market.SPOT)
    user: UserName = key("User to log in as; not being root, it needs sudo without a password", "ubuntu")
    ssh_port: Port = key("TCP port of its ssh server", 22)
    ssh_key: AbsolutePath | None = key(
        "Private key to log in with, without a passphrase",
        None,
        example="/etc/ec2zfs/receiver_ed25519",
        words="receiver_ed25519 in the state directory, made when missing",
    )
    subnet_id: Subnet | None = key(
        "Subnet to start it in",
        None,
        example="subnet-0123456789abcdef0",
        words="the default subnet of the zone",
    )
    allow_from: AddressRange = key(
        'Address range that may reach its ssh port while it is up; "auto": the address that AWS sees the controller at',
        "auto",
    )
    dead_man_minutes: Annotated[int, Field(strict=True, ge=5, le=1440)] = key(
        "Time after which it powers itself off when the controller has not been heard", 30, unit="minutes"
    )


BY_SSH = "what the ssh client's own configuration says"


class SiteSection(Section):
    """The file server that holds the sources."""

    connection: Connection = key('How commands reach it: "local" when ec2zfs runs there', "local")
    address: Address | None = key("Host name or address, for ssh", None, example="files.example.org")
    port: Port | None = key("TCP port of its ssh server", None, example=22, words=BY_SSH)
    user: UserName | None = key("User to log in as", None, example="backup", words=BY_SSH)
    ssh_key: AbsolutePath | None = key(
        "Private key to log in with",
        None,
        example="~/.ssh/id_ed25519",
        words=BY_SSH,
    )
    known_hosts: AbsolutePath = key(
        "File in which the server's host key stands under its address; an unknown key is refused",
        example="~/.ssh/known_hosts",
        default_factory=lambda: Path("~/.ssh/known_hosts").expanduser(),
        words="~/.ssh/known_hosts",
    )
    sudo: Flag = key("Whether zfs needs sudo there (without a password)", False)

    @field_validator("address")
    @classmethod
    def _reachable(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("connection") == "ssh":
            raise refusal('is needed when connection = "ssh"')
        return value


class SourceSection(Section):
    """A dataset that is to be safe. Write one [[source]] for each."""

    dataset: DatasetName = key("Name of the dataset at the site", example="tank/home")
    recursive: Flag = key("Whether its children belong to it", True)
    staged: Flag = key(
        "Whether its files are encrypted in the staging pool, and only these copied to the cloud pool; it makes no"
        " difference where [staging] has no dataset",
        True,
    )


class ReplicationSection(Section):
    """How the copies in the cloud pool are brought up to date."""

    streams: Annotated[int, Field(strict=True, ge=1, le=MOST_STREAMS)] = key(
        "How many datasets are sent at the same time; 1: one after the other, which spares disks that seek slowly",
        MOST_STREAMS,
        unit="datasets",
    )


class PoolKeySection(Section):
    """Where the pool key comes from: at least 32 bytes; one line break at its end does not belong to it."""

    origin: KeyOrigin = key(
        "prompt asks on the terminal, command reads a command's output, descriptor an open file descriptor",
        "prompt",
        alias="from",
    )
    command: tuple[Text, ...] | None = key(
        'Program and arguments that print the key, for from = "command"', None, example=("pass", "show", "ec2zfs/cloud")
    )
    descriptor: Annotated[int, Field(strict=True, ge=0)] | None = key(
        'Number of the descriptor, for from = "descriptor"', None, example=3
    )

    @field_validator("command", "descriptor")
    @classmethod
    def _told(cls, value: T, info: ValidationInfo) -> T:
        if value in (None, ()) and info.data.get("origin") == info.field_name:
            raise refusal(f'is needed when from = "{info.field_name}"')
        if value in (1, 2):
            raise refusal("must be 0, or 3 and above: 1 and 2 are the outputs of ec2zfs itself")
        return value


class NewPoolKeySection(PoolKeySection):
    """Where the key comes from that takes the pool key's place, as in [pool_key]; only `ec2zfs pool rekey` reads it.
    When that has ended, write in [pool_key] what stands here."""


class UpkeepSection(Section):
    """What is waited for when volumes of the pool are replaced (`ec2zfs pool grow`, `repair` and `rekey --replace`)."""

    grace_days: Annotated[int, Field(strict=True, ge=0, le=365)] = key(
        "How long a volume that was replaced is kept, out of a healthy pool, before it is deleted", 7, unit="days"
    )
    scrub_days: Annotated[int, Field(strict=True, ge=1, le=365)] = key(
        "How old the last clean scrub may be when volumes are replaced; else the pool is scrubbed first",
        7,
        unit="days",
    )


class PathsSection(Section):
    """Files of ec2zfs itself. The state is what it can lose: locks, host keys, its own ssh key, reports."""

    state: AbsolutePath = key(
        "Directory of the state",
        example="/var/lib/ec2zfs",
        default_factory=default_state,
        words="/var/lib/ec2zfs as root, else ~/.local/state/ec2zfs",
    )
    prices: AbsolutePath | None = key(
        "JSON file of prices that are laid over the built-in table",
        None,
        example="/etc/ec2zfs/prices.json",
        words="the built-in table alone",
    )


class Configuration(Section):
    """The whole file."""

    aws: AwsSection
    pool: PoolSection
    volumes: VolumesSection
    receiver: ReceiverSection
    site: SiteSection
    sources: tuple[SourceSection, ...] = Field(alias="source")
    snapshots: SnapshotsSection
    own_periods: tuple[PeriodSection, ...] = Field((), alias="period")
    policies: tuple[PolicySection, ...] = Field((), alias="policy")
    staging: StagingSection
    replication: ReplicationSection
    transport: TransportSection
    rate_windows: tuple[RateWindowSection, ...] = Field((), alias="rate_window")
    pool_key: PoolKeySection
    new_pool_key: NewPoolKeySection
    upkeep: UpkeepSection
    paths: PathsSection

    @field_validator("sources")
    @classmethod
    def _sources(cls, sources: tuple[SourceSection, ...], info: ValidationInfo) -> tuple[SourceSection, ...]:
        if not sources:
            raise PydanticCustomError("missing", "at least one")
        for one, other in itertools.permutations(sources, 2):
            if one.dataset == other.dataset or (other.recursive and one.dataset.startswith(f"{other.dataset}/")):
                raise refusal(f"must be apart, but {one.dataset} is already part of the source {other.dataset}")
        pool = info.data.get("pool")
        longest = max((source.dataset for source in sources), key=len)
        if pool is not None and len(f"{pool.name}/{longest}") > LONGEST_DATASET:
            raise refusal(f"must be named such that the copy {pool.name}/{longest} has at most 255 characters")
        return sources

    @field_validator("policies")
    @classmethod
    def _known_periods(cls, policies: tuple[PolicySection, ...], info: ValidationInfo) -> tuple[PolicySection, ...]:
        own = [period.name for period in info.data.get("own_periods", ())]
        known = {*own, *(period.name for period in STANDARD)}
        told = {name for policy in policies for keeps in policy.rule.keeps.values() for name in keeps}
        if strange := sorted(told - known):
            raise refusal(f"must keep periods that there are; there is no {' or '.join(strange)} (write a [[period]])")
        return policies

    @field_validator("staging")
    @classmethod
    def _apart_from_the_sources(cls, staging: StagingSection, info: ValidationInfo) -> StagingSection:
        for source in info.data.get("sources", ()) if staging.dataset else ():
            inner, outer = f"{staging.dataset}/", f"{source.dataset}/"
            if inner == outer or (source.recursive and inner.startswith(outer)) or outer.startswith(inner):
                raise refusal(f"must be apart from what it stages, but {staging.dataset} overlaps {source.dataset}")
            place, pool = f"{staging.dataset}/{source.dataset}", info.data.get("pool")
            if source.staged and pool is not None and len(f"{pool.name}/{place}") > LONGEST_DATASET:
                raise refusal(f"must be named such that the copy {pool.name}/{place} has at most 255 characters")
        return staging

    @field_validator("transport")
    @classmethod
    def _room_for_streams(cls, transport: TransportSection, info: ValidationInfo) -> TransportSection:
        first, last = transport.port_range
        receiver, replication = info.data.get("receiver"), info.data.get("replication")
        if replication is not None and last - first + 1 < replication.streams:
            raise refusal(f"must have a port for each stream: {transport.ports} are fewer than {replication.streams}")
        if receiver is not None and first <= receiver.ssh_port <= last:
            raise refusal(f"must leave out ssh: {transport.ports} hold receiver.ssh_port")
        return transport

    @field_validator("new_pool_key")
    @classmethod
    def _apart_from_the_pool_key(cls, new: NewPoolKeySection, info: ValidationInfo) -> NewPoolKeySection:
        old = info.data.get("pool_key")
        if old is not None and old.origin == new.origin == "descriptor" and old.descriptor == new.descriptor:
            raise refusal(
                "must name another descriptor than pool_key: one that was read to its end gives no second key"
            )
        return new

    @property
    def periods(self) -> tuple[Period, ...]:
        """The standard periods and the operator's own, which prevail."""
        return tuple({each.name: each for each in (*STANDARD, *(own.period for own in self.own_periods))}.values())

    @property
    def rates(self) -> RateRule:
        """How fast streams may be, and when."""
        return rate_rule(self.transport.rate, self.rate_windows, self.snapshots.time_zone)

    @property
    def layout(self) -> Layout:
        """The shape of the cloud pool."""
        return Layout(self.pool.redundancy, self.pool.vdevs, self.pool.volumes_per_vdev, self.volumes.size_gib)

    @property
    def design(self) -> PoolDesign:
        """The cloud pool that is asked for."""
        return PoolDesign(self.pool.name, self.layout, self.pool.encryption)

    @property
    def receiver_key(self) -> Path:
        """The private ssh key for the receiver."""
        return self.receiver.ssh_key or self.paths.state / "receiver_ed25519"

    @property
    def known_hosts(self) -> Path:
        """Our own known_hosts file, for receivers."""
        return self.paths.state / "known_hosts"
