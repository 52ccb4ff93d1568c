"""The model as a list: which sections there are, and their keys. What sample, reference and faults walk over."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from pydantic.fields import FieldInfo

from ec2zfs.config.described import Section
from ec2zfs.config.model import Configuration


@dataclass(frozen=True)
class Key:
    """A key as the operator reads of it. `default`: in words, empty when none; `value`: TOML for the sample."""

    name: str
    description: str
    unit: str
    choices: tuple[str, ...]
    required: bool
    default: str
    value: str


@dataclass(frozen=True)
class Table:
    """A section: its header as it is written (`[aws]`, `[[source]]`), what it is for, and its keys."""

    header: str
    description: str
    keys: tuple[Key, ...]


def sections() -> Iterator[tuple[str, type[Section]]]:
    """Every section by its name in the file, in the model's order."""
    for name, field in Configuration.model_fields.items():
        kinds = (field.annotation, *get_args(field.annotation))
        kind = next(kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section))
        yield key_name(name, field), kind


def key_name(name: str, field: FieldInfo) -> str:
    """The name of a field as it is written in the file."""
    return field.alias or name


def tables() -> list[Table]:
    """Every section with its keys described."""
    many = {field.alias for field in Configuration.model_fields.values() if get_origin(field.annotation) is tuple}
    found = []
    for title, section in sections():
        keys = tuple(_key(key_name(name, field), field) for name, field in section.model_fields.items())
        header = f"[[{title}]]" if title in many else f"[{title}]"
        found.append(Table(header, " ".join(inspect.cleandoc(section.__doc__ or "").split()), keys))
    return found


def _key(name: str, field: FieldInfo) -> Key:
    told: Mapping[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    example = field.examples[0] if field.examples else None
    default = None if field.is_required() or field.default_factory else field.default
    words = str(told["words"])
    shown = example if example is not None else default
    return Key(
        name=name,
        description=field.description or "",
        unit=str(told["unit"]),
        choices=_choices(field.annotation),
        required=field.is_required(),
        default=words or ("" if default is None else _toml(default)),
        value=_toml(shown),
    )


def _choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - a type, of any form
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return tuple(annotation)
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case tuple():
            return f"[{', '.join(_toml(part) for part in value)}]"
        case dict():
            return f"{{ {', '.join(f'{name} = {_toml(part)}' for name, part in value.items())} }}"
        case str() | Path() | ZoneInfo():
            return f'"{value}"'
        case _:
            raise TypeError(f"no TOML for {value!r}")
