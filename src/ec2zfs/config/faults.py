"""Puts what pydantic found wrong into the operator's words: where it stands, what it is, what would be right."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ec2zfs.config.described import Section
from ec2zfs.config.model import Configuration
from ec2zfs.config.sections import key_name, sections

Location = tuple[int | str, ...]

RIGHT = {
    "refused": "{right}",
    "identity": "{right}",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "int_type": "must be a whole number, without quotes",
    "bool_type": "must be true or false, without quotes",
    "string_type": "must be a text in quotes",
    "string_too_short": "must not be empty",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "tuple_type": 'must be a list of texts: ["…", "…"]',
}
"""What would be right, for each of pydantic's kinds of error that the model can raise."""


def faults(error: ValidationError, document: Mapping[str, Any], text: str) -> list[str]:
    """One sentence a fault, in the order of the file: `line 7: pool.vdevs must be at least 1, but it is 0.`"""
    found = [(_line(text, detail["loc"]), _sentence(detail, document)) for detail in error.errors()]
    found.sort(key=lambda fault: fault[0] or len(text))
    return [f"line {line}: {sentence}" if line else sentence for line, sentence in found]


def _sentence(detail: ErrorDetails, document: Mapping[str, Any]) -> str:
    path = _path(detail["loc"])
    if detail["type"] == "extra_forbidden":
        return f"{path} is not a key that ec2zfs knows{_nearest(detail['loc'])}"
    if detail["type"] == "missing":
        return f"{path} is missing: {_purpose(detail['loc'])}."
    whole = isinstance(detail["input"], dict) or detail["loc"] == ("source",)
    secret = detail["type"] == "identity"
    if whole or secret or not _given(detail["loc"], document):
        return f"{path} {_right(detail)}."
    return f"{path} {_right(detail)}; it is {_shown(detail['input'])}."


def _right(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind in {"tuple_type", "model_type"} and len(detail["loc"]) == 1:
        title = detail["loc"][0]
        return f"must be a table: write [{title}]" if kind == "model_type" else f"must be a list: write [[{title}]]"
    phrase = RIGHT.get(kind)
    return phrase.format_map(detail.get("ctx", {})).replace("'", '"') if phrase else f"does not do: {detail['msg']}"


def _path(location: Location) -> str:
    """`pool.vdevs`; the second [[source]] is `source[2]`, counted as a reader of the file does."""
    path = ""
    for part in location:
        path += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return path.removeprefix(".")


def _shown(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"'
        case _:
            return str(value)


def _given(location: Location, document: Mapping[str, Any]) -> bool:
    place: Any = document
    for part in location:
        try:
            place = place[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _section(location: Location) -> type[Section] | None:
    """The section in which the key at `location` stands."""
    return dict(sections()).get(str(location[0])) if len(location) > 1 else Configuration


def _nearest(location: Location) -> str:
    section = _section(location)
    if section is None:
        return "."
    name, known = str(location[-1]), _keys(section)
    if near := difflib.get_close_matches(name, known, n=1):
        return f"; did you mean {near[0]}?"
    elsewhere = [f"[{title}]" for title, other in sections() if name in _keys(other)]
    if elsewhere:
        return f"; it belongs to {' or '.join(elsewhere)}."
    return f"; the keys here are {', '.join(known)}."


def _keys(section: type[Section]) -> dict[str, FieldInfo]:
    return {key_name(name, field): field for name, field in section.model_fields.items()}


def _purpose(location: Location) -> str:
    if location[-1] == "source":
        return "write at least one [[source]] with its dataset"
    section = _section(location)
    field = _keys(section)[str(location[-1])] if section else None
    description = field.description if field and field.description else "it is needed"
    return description[0].lower() + description[1:]


def _line(text: str, location: Location) -> int | None:
    """The line of the key as plain TOML writes it, `key = …` under `[section]`; None where it is written otherwise."""
    section, nth = str(location[0]), next((part for part in location if isinstance(part, int)), 0)
    keys = [part for part in location[1:] if isinstance(part, str)]
    headers = 0
    inside = not keys
    for number, line in _headers_and_keys(text):
        if line.startswith("["):
            headers += line.strip("[] ") == section
            inside = line.strip("[] ") == section and headers == nth + 1
            if inside and not keys:
                return number
        elif inside and re.split(r"\s*=", line, maxsplit=1)[0].strip("\"'") == (keys[0] if keys else section):
            return number
    return None


def _headers_and_keys(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.split("#", 1)[0].strip()
        if re.match(r"\[[^\]=]+\]|\[\[|[\w\"'-]+\s*=", stripped):
            yield number, stripped
