"""Reads the configuration file, and turns all that is wrong into one error that names each fault by its path."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ec2zfs.config.faults import faults
from ec2zfs.config.model import Configuration
from ec2zfs.errors import ConfigurationError


def load(path: Path) -> Configuration:
    """Read and check the file. Raises `ConfigurationError` when it is missing, unsafe or wrong."""
    try:
        mode = path.stat().st_mode
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no configuration at {path}.",
            hint=f"Write one with `ec2zfs init {path}`, or name it with --config.",
        ) from None
    except OSError as error:
        raise ConfigurationError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"The configuration {path} is not UTF-8 at byte {error.start}.") from None
    if mode & stat.S_IWOTH:
        # The file names commands that ec2zfs runs (pool_key.command): who can write it is who runs them.
        raise ConfigurationError(
            f"The configuration {path} can be changed by anybody.", hint=f"Run `chmod o-w {path}`."
        )
    return parse(text, str(path))


def parse(text: str, name: str = "the configuration") -> Configuration:
    """Check the text of a configuration. `name` stands in the error for the place that it came from."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{name} is not valid TOML: {error}.") from None
    try:
        return Configuration.model_validate(_with_every_section(document))
    except ValidationError as error:
        found = faults(error, document, text)
        heading = "has a fault" if len(found) == 1 else f"has {len(found)} faults"
        raise ConfigurationError("\n  ".join((f"{name} {heading}:", *found))) from None


def _with_every_section(document: Mapping[str, Any]) -> dict[str, Any]:
    """Put empty sections where there are none, so that each missing key is named and not only its section."""
    empty: dict[str, Any] = {
        name: {} for name, field in Configuration.model_fields.items() if (field.alias or name) == name
    }
    return empty | dict(document)
