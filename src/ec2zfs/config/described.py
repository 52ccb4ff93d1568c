"""What a section of the configuration is made of: keys that carry their own description, unit, default and example."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class Section(BaseModel):
    """A table of the file: frozen, and without keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def key(
    description: str, default: object = ..., *, unit: str = "", example: object = None, words: str = "", **more: object
) -> Any:  # noqa: ANN401 - as pydantic's Field, it stands in for a value of the key's own type
    """Describe a key.

    `example` is its value in the sample where it has no default; `words` describe a default that is no plain value;
    `more` goes to pydantic's Field.
    """
    extra: JsonDict = {"unit": unit, "words": words}
    examples = None if example is None else [example]
    given: dict[str, Any] = dict(more) if "default_factory" in more else {"default": default, **more}
    return Field(description=description, examples=examples, json_schema_extra=extra, **given)
