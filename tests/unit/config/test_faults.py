"""What is wrong in the file and what is said of it."""

from __future__ import annotations

import re
from datetime import time, timedelta
from zoneinfo import ZoneInfo

import pytest

from ec2zfs.config import parse
from ec2zfs.errors import ConfigurationError
from ec2zfs.model.period import STANDARD, Period
from ec2zfs.model.policy import Keep, PolicyRule, Tier
from ec2zfs.model.rate import RateRule, RateWindow

RIGHT = """\
[aws]
region = "eu-central-1"
zone = "eu-central-1a"
[pool]
name = "cloud"
redundancy = "raidz1"
vdevs = 2
volumes_per_vdev = 3
[volumes]
size_gib = 500
[receiver]
image = "ami-0123456789abcdef0"
[[source]]
dataset = "tank/home"
"""


def said(text: str) -> list[str]:
    """What `parse` says of the text, a fault a line, without the heading."""
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "ec2zfs.toml")
    return [line.strip() for line in caught.value.message.splitlines()[1:]]


def with_key(section: str, key: str, value: str) -> str:
    """The right text with a key set to a value, in a section that may not be there yet."""
    header = f"[[{section}]]\n" if section == "source" else f"[{section}]\n"
    before, _, after = RIGHT.partition(header)
    body, *rest = re.split(r"^(?=\[)", after, maxsplit=1, flags=re.MULTILINE)
    return f"{before}{header}{key} = {value}\n" + re.sub(rf"(?m)^{key} = .*\n", "", body) + "".join(rest)


def with_table(table: str, *lines: str) -> str:
    """The right text with one more table of a list at its end."""
    return RIGHT + "\n".join((f"[[{table}]]", *lines, ""))


def test_rates_and_their_windows() -> None:
    window = ('from = "22:00"', 'to = "06:00"', 'rate = "100 Mbit/s"', "weekdays = [1, 7]")
    text = (
        with_table("rate_window", *window) + '[transport]\nrate = "5 MB/s"\n[snapshots]\ntime_zone = "Europe/Berlin"\n'
    )
    window_of_it = RateWindow(time(22), time(6), 12.5e6, frozenset({0, 6}))
    assert parse(text).rates == RateRule(5e6, (window_of_it,), ZoneInfo("Europe/Berlin"))
    assert parse(RIGHT).rates == RateRule(None, (), ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (('from = "8"', 'to = "18:00"'), 'from must be a time of the day in quotes, such as "08:00"; it is "8"'),
        (('from = "08:00"', 'to = "24:00"'), "to must be a time of the day"),
        (('from = "08:00"', "to = 18:00:00"), "to must be a time of the day"),
        (('from = "08:00"', 'to = "18:00"', 'rate = "1 B/s"'), 'rate must be at least 100 kB/s; it is "1 B/s"'),
        (('from = "08:00"', 'to = "18:00"', 'rate = "fast"'), 'rate must be a rate, such as "20 MB/s"'),
        (('from = "08:00"', 'to = "18:00"', "weekdays = [0]"), "weekdays must be a list of numbers from 1 to 7"),
    ],
)
def test_a_window_that_cannot_be(lines: tuple[str, ...], fault: str) -> None:
    (told,) = said(with_table("rate_window", *lines))
    assert f"rate_window[1].{fault}" in told


def test_the_right_text_is_right_without_any_section_that_is_optional() -> None:
    configuration = parse(RIGHT)
    assert (configuration.upkeep.grace_days, configuration.upkeep.scrub_days) == (7, 7)
    assert configuration.new_pool_key.origin == "prompt"
    assert str(configuration.layout) == "2 x raidz1 of 3 x 500 GiB"


WRONG_VALUES = [
    ("aws", "region", '"frankfurt"', 'must be an AWS region such as eu-central-1; it is "frankfurt"'),
    ("aws", "region", "3", "must be a text in quotes; it is 3"),
    ("aws", "zone", '"us-east-1a"', 'must be a zone of eu-central-1, such as eu-central-1a; it is "us-east-1a"'),
    ("aws", "zone", '"eu-central-1"', 'must be a zone of eu-central-1, such as eu-central-1a; it is "eu-central-1"'),
    ("aws", "zone", '""', "must not be empty"),
    ("aws", "profile", '""', "must not be empty"),
    ("aws", "endpoint_url", '"localhost:5000"', "must be a URL such as http://127.0.0.1:5000"),
    ("pool", "name", '"my pool"', "must be 1 to 30 letters, digits, -, _ or ., and begin with a letter"),
    ("pool", "name", '"mirror-1"', "is reserved by ZFS"),
    ("pool", "name", '"logs"', "is reserved by ZFS"),
    ("pool", "name", f'"{"x" * 31}"', "must be 1 to 30 letters"),
    ("pool", "redundancy", '"raidz4"', 'must be "mirror", "raidz1", "raidz2" or "raidz3"; it is "raidz4"'),
    ("pool", "vdevs", "0", "must be at least 1; it is 0"),
    ("pool", "vdevs", '"2"', 'must be a whole number, without quotes; it is "2"'),
    ("pool", "vdevs", "2.5", "must be a whole number, without quotes; it is 2.5"),
    ("pool", "vdevs", "true", "must be a whole number, without quotes; it is true"),
    ("pool", "volumes_per_vdev", "1", "must be at least 2 for raidz1, or it is not redundant; it is 1"),
    ("pool", "encryption", '"yes"', 'must be true or false, without quotes; it is "yes"'),
    ("pool", "encryption", "1", "must be true or false, without quotes; it is 1"),
    ("volumes", "type", '"sc2"', 'must be "gp2", "gp3", "sc1" or "st1"; it is "sc2"'),
    ("volumes", "size_gib", "124", "must be 125 to 16384 GiB for a volume of type sc1; it is 124"),
    ("volumes", "size_gib", "16385", "must be 125 to 16384 GiB for a volume of type sc1; it is 16385"),
    ("receiver", "connection", '"telnet"', 'must be "local" or "ssh"; it is "telnet"'),
    ("receiver", "image", '"ami-debian"', "must be the id of an image, such as ami-0123456789abcdef0, or the name of"),
    ("receiver", "allow_from", '"203.0.113.7/8"', 'must be "auto" or an address range such as 203.0.113.7/32'),
    ("receiver", "allow_from", '"here"', 'must be "auto" or an address range such as 203.0.113.7/32'),
    ("receiver", "instance_type", '"medium"', "must be an instance type such as m7g.medium"),
    ("receiver", "market", '"cheap"', 'must be "on-demand" or "spot"; it is "cheap"'),
    ("receiver", "user", '"-l"', "must be the name of a user, such as ubuntu"),
    ("receiver", "ssh_port", "65536", "must be at most 65535; it is 65536"),
    ("receiver", "ssh_key", '"id_ed25519"', "must be an absolute path in quotes, or one that begins with ~"),
    ("receiver", "subnet_id", '"default"', "must be the id of a subnet, such as subnet-0123456789abcdef0"),
    ("receiver", "dead_man_minutes", "4", "must be at least 5; it is 4"),
    ("receiver", "dead_man_minutes", "1441", "must be at most 1440; it is 1441"),
    ("site", "address", '"-oProxyCommand=x"', "must be a host name or an IP address"),
    ("paths", "prices", '"prices.json"', "must be an absolute path in quotes"),
    ("site", "port", "0", "must be at least 1; it is 0"),
    ("site", "known_hosts", "3", "must be an absolute path in quotes, or one that begins with ~; it is 3"),
    ("site", "sudo", '"no"', 'must be true or false, without quotes; it is "no"'),
    ("source", "dataset", '"tank/home@today"', "must be the name of a dataset: pool/dataset"),
    ("source", "dataset", '"/tank/home"', "must be the name of a dataset: pool/dataset"),
    ("source", "dataset", '"tank/home/"', "must be the name of a dataset: pool/dataset"),
    ("source", "dataset", '"tank/../home"', "must be the name of a dataset: pool/dataset"),
    ("source", "dataset", '"tank//home"', "must be the name of a dataset: pool/dataset"),
    ("source", "recursive", '"no"', 'must be true or false, without quotes; it is "no"'),
    ("pool_key", "from", '"environment"', 'must be "prompt", "command" or "descriptor"; it is "environment"'),
    ("pool_key", "from", '"descriptor"', 'is needed when from = "descriptor"'),
    ("pool_key", "command", '"pass show x"', 'must be a list of texts: ["…", "…"]; it is "pass show x"'),
    ("pool_key", "command", '["pass", ""]', "must not be empty"),
    ("pool_key", "descriptor", "1", "must be 0, or 3 and above"),
    ("pool_key", "descriptor", "-1", "must be at least 0; it is -1"),
    ("new_pool_key", "from", '"file"', 'must be "prompt", "command" or "descriptor"; it is "file"'),
    ("new_pool_key", "from", '"command"', 'is needed when from = "command"'),
    ("new_pool_key", "descriptor", "2", "must be 0, or 3 and above"),
    ("upkeep", "grace_days", "-1", "must be at least 0; it is -1"),
    ("upkeep", "grace_days", "366", "must be at most 365; it is 366"),
    ("upkeep", "grace_days", '"7 days"', 'must be a whole number, without quotes; it is "7 days"'),
    ("upkeep", "scrub_days", "0", "must be at least 1; it is 0"),
    ("upkeep", "scrub_days", "366", "must be at most 365; it is 366"),
    ("replication", "streams", "0", "must be at least 1; it is 0"),
    ("replication", "streams", "5", "must be at most 4; it is 5"),
    ("transport", "mode", '"fast"', 'must be "auto", "direct", "ssh" or "ssh-striped"; it is "fast"'),
    ("transport", "ports", '"28300"', 'must be two ports from 1024 to 65535, such as 28300-28315; it is "28300"'),
    ("transport", "ports", '"28315-28300"', "must be two ports from 1024 to 65535"),
    ("transport", "ports", '"80-90"', "must be two ports from 1024 to 65535"),
    ("transport", "ports", '"65530-65536"', "must be two ports from 1024 to 65535"),
    ("transport", "ports", "28300", "must be a text in quotes; it is 28300"),
    ("transport", "buffer_mib", "7", "must be at least 8; it is 7"),
    ("transport", "flows", "0", "must be at least 1; it is 0"),
    ("paths", "state", '"state"', 'must be an absolute path in quotes, or one that begins with ~; it is "state"'),
    ("paths", "state", '"~nobody-of-that-name/x"', "begins with the home directory of a user who does not exist"),
]


@pytest.mark.parametrize(("section", "key", "value", "right"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_what_would_be_right(section: str, key: str, value: str, right: str) -> None:
    (fault,) = said(with_key(section, key, value))
    place = f"source[1].{key}" if section == "source" else f"{section}.{key}"
    assert re.match(rf"(line \d+: )?{re.escape(place)}", fault) or "is needed when" in fault
    assert right in fault


def test_ports_that_are_fewer_than_streams_or_hold_that_of_ssh() -> None:
    few = with_key("transport", "ports", '"28300-28302"')
    assert said(few) == ["line 15: transport must have a port for each stream: 28300-28302 are fewer than 4."]
    assert parse(f"{few}[replication]\nstreams = 3\n").transport.port_range == (28300, 28302)
    taken = with_key("transport", "ports", '"2200-2230"').replace("[receiver]\n", "[receiver]\nssh_port = 2222\n")
    assert said(taken) == ["line 16: transport must leave out ssh: 2200-2230 hold receiver.ssh_port."]


POLICY = ('datasets = ["tank/home"]',)
PERIOD = ('name = "nightly"',)
KEEPS = "must be a number for each period, such as { hourly = 24, daily = { keep = 30, days = 60 } }"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (with_table("policy", *POLICY, "site = 5"), f"line 17: policy[1].site {KEEPS}; it is 5."),
        (with_table("policy", *POLICY, "site = { daily = -1 }"), f"line 17: policy[1].site {KEEPS}"),
        (with_table("policy", *POLICY, "site = { daily = { days = 3 } }"), f"line 17: policy[1].site {KEEPS}"),
        (with_table("policy", *POLICY, "cloud = { daily = { keep = 3, weeks = 3 } }"), f"policy[1].cloud {KEEPS}"),
        (with_table("policy", *POLICY, "cloud = { daily = true }"), f"policy[1].cloud {KEEPS}"),
        (with_table("policy", *POLICY, "site = { nightly = 3 }"), "there is no nightly (write a [[period]])"),
        (with_table("policy", 'datasets = ["tank@x"]'), "must be datasets: a name such as tank/home, in which *"),
        (with_table("policy", "site = { daily = 3 }"), "policy[1].datasets is missing: names of the datasets"),
        (with_table("policy", *POLICY, "size = 3"), "policy[1].size is not a key that ec2zfs knows"),
        (with_table("period", 'name = "Nightly"'), "must be lower-case letters, digits and -, and begin with a letter"),
        (with_table("period", *PERIOD, "minutes = [60]"), "must be a list of numbers from 0 to 59; it is [60]."),
        (with_table("period", *PERIOD, "hours = []"), "must be a list of numbers from 0 to 23; it is []."),
        (with_table("period", *PERIOD, "weekdays = [0]"), "must be a list of numbers from 1 to 7; it is [0]."),
        (with_table("period", *PERIOD, "minutes = 5"), "must be a list"),
        (with_key("snapshots", "time_zone", '"Berlin"'), 'must be a time zone, such as "Europe/Berlin" or "UTC"'),
        (with_key("snapshots", "hook_seconds", "0"), "must be at least 1; it is 0"),
    ],
)
def test_a_wrong_policy_is_named_with_what_would_be_right(text: str, fault: str) -> None:
    (found,) = said(text)
    assert fault in found


def test_policies_and_periods_as_they_are_reckoned_with() -> None:
    text = with_table("policy", *POLICY, "site = { nightly = 9, daily = { keep = 30, days = 60 } }", "exclude = false")
    nightly = ('name = "nightly"', "hours = [2]", "weekdays = [1, 7]")
    configuration = parse(text + with_table("period", *nightly).removeprefix(RIGHT))
    (rule,) = (policy.rule for policy in configuration.policies)
    assert rule == PolicyRule(
        ("tank/home",), {Tier.SITE: {"nightly": Keep(9), "daily": Keep(30, timedelta(days=60))}}, exclude=False
    )
    assert configuration.periods == (*STANDARD, Period("nightly", hours=(2,), weekdays=(0, 6)))


def test_a_period_of_a_standard_name_takes_its_place() -> None:
    periods = parse(with_table("period", 'name = "daily"', "hours = [2]", "minutes = [17]")).periods
    assert [period.name for period in periods] == [period.name for period in STANDARD]
    assert Period("daily", minutes=(17,), hours=(2,)) in periods


@pytest.mark.parametrize(
    ("redundancy", "volumes", "least"), [("mirror", 1, 2), ("raidz1", 1, 2), ("raidz2", 2, 3), ("raidz3", 3, 4)]
)
def test_a_layout_that_its_redundancy_forbids(redundancy: str, volumes: int, least: int) -> None:
    text = RIGHT.replace('"raidz1"', f'"{redundancy}"').replace("volumes_per_vdev = 3", f"volumes_per_vdev = {volumes}")
    right = f"must be at least {least} for {redundancy}, or it is not redundant"
    assert said(text) == [f"line 8: pool.volumes_per_vdev {right}; it is {volumes}."]
    parse(text.replace(f"volumes_per_vdev = {volumes}", f"volumes_per_vdev = {least}"))


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        ("gp2", 1, 16_384),
        ("gp3", 1, 65_536),
        ("sc1", 125, 16_384),
        ("st1", 125, 16_384),
    ],
)
def test_the_sizes_of_a_volume_type(kind: str, least: int, most: int) -> None:
    text = RIGHT.replace("size_gib", f'type = "{kind}"\nsize_gib')
    for size in (least, most):
        parse(text.replace("500", str(size)))
    for size in (least - 1, most + 1):
        (fault,) = said(text.replace("500", str(size)))
        assert fault.startswith("line 11: volumes.size_gib must be ")


UNKNOWN = [
    ("aws", "regoin", "; did you mean region?"),
    ("pool", "volumes", "; did you mean volumes_per_vdev?"),
    ("receiver", "zone", "; it belongs to [aws]."),
    ("pool", "size_gib", "; it belongs to [volumes]."),
    ("paths", "frobnicate", "; the keys here are state, prices."),
    ("source", "recurse", "; did you mean recursive?"),
]


@pytest.mark.parametrize(("section", "key", "advice"), UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(section: str, key: str, advice: str) -> None:
    (fault,) = said(with_key(section, key, "1"))
    assert re.fullmatch(rf"line \d+: {section}(\[1\])?\.{key} is not a key that ec2zfs knows{re.escape(advice)}", fault)


def test_an_unknown_section_is_refused_with_the_nearest_known_one() -> None:
    assert said(f"{RIGHT}[pathes]\n") == ["line 15: pathes is not a key that ec2zfs knows; did you mean paths?"]


def test_a_missing_key_is_named_with_what_it_is_for() -> None:
    assert said(RIGHT.replace('name = "cloud"\n', "")) == ["pool.name is missing: name of the cloud pool."]


def test_each_key_of_a_missing_section_is_named() -> None:
    faults = said("")
    assert [fault.split()[0] for fault in faults] == [
        "aws.region",
        "aws.zone",
        "pool.name",
        "pool.redundancy",
        "pool.vdevs",
        "pool.volumes_per_vdev",
        "volumes.size_gib",
        "receiver.image",
        "source",
    ]


def test_ssh_to_the_site_needs_an_address() -> None:
    assert said(f'{RIGHT}[site]\nconnection = "ssh"\n') == [
        'site.address is needed when connection = "ssh".',
    ]


def key_of(table: str, source: str) -> str:
    """A section for a key, which comes from a descriptor of that number or else from a prompt."""
    return f"[{table}]\n" + (f'from = "descriptor"\ndescriptor = {source}\n' if source else "")


@pytest.mark.parametrize(("old", "new"), [("", ""), ("", "3"), ("3", ""), ("3", "4")])
def test_the_two_keys_come_from_where_each_of_them_says(old: str, new: str) -> None:
    configuration = parse(RIGHT + key_of("pool_key", old) + key_of("new_pool_key", new))
    assert str(configuration.pool_key.descriptor or "") == old
    assert str(configuration.new_pool_key.descriptor or "") == new


def test_one_descriptor_does_not_give_two_keys() -> None:
    (fault,) = said(RIGHT + key_of("pool_key", "3") + key_of("new_pool_key", "3"))
    assert "new_pool_key must name another descriptor than pool_key" in fault


@pytest.mark.parametrize("command", ["", "command = []\n"])
def test_a_key_from_a_command_needs_the_command(command: str) -> None:
    (fault,) = said(f'{RIGHT}[pool_key]\nfrom = "command"\n{command}')
    assert 'pool_key.command is needed when from = "command"' in fault


SECTIONS = RIGHT.partition("[[source]]")[0]
"""The right text without its source."""

SHAPES = [
    (RIGHT.replace("[[source]]", "[source]"), "line 13: source must be a list: write [[source]]"),
    (
        'pool = "cloud"\n' + re.sub(r"(?s)\[pool\].*(?=\[volumes\])", "", RIGHT),
        "line 1: pool must be a table: write [pool]",
    ),
    (SECTIONS, "source is missing: write at least one [[source]] with its dataset."),
    (f"source = []\n{SECTIONS}", "source is missing: write at least one [[source]]"),
]


@pytest.mark.parametrize(("text", "fault"), SHAPES)
def test_a_section_of_another_shape(text: str, fault: str) -> None:
    (found,) = said(text)
    assert fault in found


OVERLAPS = [
    ("tank/home", True, "tank/home", False),
    ("tank/home", False, "tank/home", False),
    ("tank/home/anna", False, "tank", True),
    ("tank", True, "tank/home", True),
]


@pytest.mark.parametrize(("first", "first_recursive", "second", "second_recursive"), OVERLAPS)
def test_sources_must_not_overlap(first: str, first_recursive: bool, second: str, second_recursive: bool) -> None:
    sources = [(first, first_recursive), (second, second_recursive)]
    tables = (f'[[source]]\ndataset = "{name}"\nrecursive = {str(deep).lower()}\n' for name, deep in sources)
    (fault,) = said(SECTIONS + "".join(tables))
    assert "source must be apart, but " in fault


APART = [("tank/home", False, "tank/home/anna", True), ("tank/home", True, "tank/home2", True)]


@pytest.mark.parametrize(("first", "first_recursive", "second", "second_recursive"), APART)
def test_sources_that_are_apart(first: str, first_recursive: bool, second: str, second_recursive: bool) -> None:
    sources = [(first, first_recursive), (second, second_recursive)]
    tables = (f'[[source]]\ndataset = "{name}"\nrecursive = {str(deep).lower()}\n' for name, deep in sources)
    assert len(parse(SECTIONS + "".join(tables)).sources) == 2


def test_a_dataset_whose_copy_would_have_too_long_a_name() -> None:
    (fault,) = said(with_key("source", "dataset", f'"tank/{"x" * 245}"'))
    assert "source must be named such that the copy cloud/tank/xxx" in fault


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    text = RIGHT.replace("vdevs = 2", "vdevs = 0").replace("tank/home", "tank@home").replace("500", "5")
    text = text.replace('zone = "eu-central-1a"\n', "")
    assert [fault.split(" must")[0] for fault in said(text)] == [
        "line 6: pool.vdevs",
        "line 9: volumes.size_gib",
        "line 13: source[1].dataset",
        "aws.zone is missing: availability zone of the volumes and the receiver.",
    ]


def test_a_fault_of_the_second_source_is_found_at_its_line() -> None:
    assert said(f'{RIGHT}# more\n[[source]]\n\ndataset = "b@"  # odd\n')[0].startswith("line 18: source[2].dataset")


def test_a_fault_in_an_inline_table_is_told_without_a_line() -> None:
    text = "aws = { region = 3, zone = 'x' }\n" + RIGHT.partition('zone = "eu-central-1a"\n')[2]
    assert said(text) == ["aws.region must be a text in quotes; it is 3."]


@pytest.mark.parametrize("text", ["[aws", "x =", "[aws]\n[aws]\n"])
def test_what_is_not_toml_is_told_with_its_line(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"^ec2zfs.toml is not valid TOML: .*\((at line \d+|at end of document)"
    ):
        parse(text, "ec2zfs.toml")
