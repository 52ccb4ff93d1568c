"""The sample configuration and the reference of its keys cannot drift from the model."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ec2zfs.config import Configuration, parse
from ec2zfs.config.sample import reference, sample
from ec2zfs.config.sections import Key, key_name, sections, tables

KEYS = [pytest.param(table.header, key, id=f"{table.header}{key.name}") for table in tables() for key in table.keys]
UNCOMMENTED = re.sub(r"(?m)^# (?=\w+ = )", "", sample())


def test_the_sample_parses() -> None:
    assert parse(sample()).pool.name == "cloud"


def test_the_sample_parses_with_every_optional_key_put_to_use() -> None:
    configuration = parse(UNCOMMENTED)
    assert configuration.pool_key.command == ("pass", "show", "ec2zfs/cloud")
    assert configuration.site.address == "files.example.org"


def test_the_sample_has_every_key_of_the_model() -> None:
    written = tomllib.loads(UNCOMMENTED)
    for title, section in sections():
        table = written[title][0] if isinstance(written[title], list) else written[title]
        assert set(table) == {key_name(name, field) for name, field in section.model_fields.items()}, title


def test_the_commented_keys_are_those_that_are_optional() -> None:
    written = tomllib.loads(sample())
    for table in tables():
        part = written.get(table.header.strip("[]"), {})
        assert set(part[0] if isinstance(part, list) else part) == {key.name for key in table.keys if key.required}


@pytest.mark.parametrize(("header", "key"), KEYS)
def test_every_key_tells_what_it_is_with_its_unit_and_default(header: str, key: Key) -> None:
    assert len(key.description) > 10
    section = sample().split(f"\n{header}\n")[1].split("\n[")[0]
    words = " ".join(re.split(rf"(?m)^(?:# )?{key.name} = ", section)[0].split("\n\n")[-1].replace("\n# ", " ").split())
    assert key.description in words
    assert (f"Unit: {key.unit}." in words) == bool(key.unit)
    assert ("Required." in words) == key.required
    assert key.required or f"Default: {key.default or 'none'}." in words


@pytest.mark.parametrize("number", ["_gib", "_minutes", "_days", "vdevs", "volumes_per_vdev"])
def test_numbers_that_measure_have_a_unit(number: str) -> None:
    measured = [key for table in tables() for key in table.keys if key.name.endswith(number)]
    assert measured
    assert all(key.unit for key in measured)


def test_defaults_in_the_sample_are_the_models_own() -> None:
    """A default written as a value, when put to use, changes nothing."""
    plain = parse(sample())
    for table in tables():
        for key in table.keys:
            if not key.required and key.default == key.value:
                text = re.sub(rf"(?m)^# (?={key.name} = {re.escape(key.value)}$)", "", sample())
                assert text != sample()
                assert parse(text) == plain, key.name


def test_the_reference_in_the_documentation_is_current() -> None:
    page = Path(__file__).parents[3] / "docs" / "configuration.md"
    assert page.read_text() == reference(), "write it again: .venv/bin/python -m ec2zfs.cli.reference docs"


def test_the_configuration_does_not_change() -> None:
    configuration: Configuration = parse(sample())
    with pytest.raises(ValueError, match="frozen"):
        configuration.pool.vdevs = 3
