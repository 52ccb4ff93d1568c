"""Shell patterns for paths: which files of a snapshot are meant.

`*` and `?` stand for anything in one name, `[…]` for one letter of it, `**` for any number of directories. A directory
that is meant is meant with all that is in it. Patterns begin at the source's root, with or without a slash.
"""

from __future__ import annotations

import re
from collections.abc import Iterable


class Patterns:
    """Several patterns; without any, everything is meant. `unmatched` are those that have met nothing yet."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._compiled = {text: re.compile(_expression(text), re.DOTALL) for text in texts}
        self.unmatched = dict.fromkeys(self._compiled)

    @property
    def all(self) -> bool:
        """Whether everything is meant."""
        return not self._compiled

    def match(self, path: bytes) -> bool:
        """Whether a path is meant, by itself or with a directory above it."""
        if self.all:
            return True
        name = path.decode("utf-8", "surrogateescape")
        found = [text for text, expression in self._compiled.items() if expression.fullmatch(name)]
        for text in found:
            self.unmatched.pop(text, None)
        return bool(found)


def _expression(text: str) -> str:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    expression = ""
    for part in parts:
        expression += r"(?:[^/]+/)*" if part == "**" else _name(part) + "/"
    if not parts:
        return ".*"
    if parts[-1] == "**":
        return expression + ".+"
    return expression.removesuffix("/") + "(?:/.*)?"


def _name(part: str) -> str:
    """The expression for one name. A bracket that is not closed stands for itself."""
    expression, at = "", 0
    while at < len(part):
        letter = part[at]
        end = part.find("]", at + 3 if part[at + 1 : at + 2] in ("!", "^") else at + 2) if letter == "[" else -1
        if end > 0:
            expression += _letters(part[at + 1 : end])
            at = end + 1
            continue
        expression += {"*": "[^/]*", "?": "[^/]"}.get(letter) or re.escape(letter)
        at += 1
    return expression


def _letters(inside: str) -> str:
    """The expression for one letter of those in brackets; a range that goes backwards has none."""
    negated = inside[0] in "!^"
    letters = re.sub(r"([\\\[\]&~|^])", r"\\\1", inside[negated:])
    try:
        re.compile(f"[{letters}]")
    except re.error:
        return "(?!)"
    return f"(?!/)[{'^' if negated else ''}{letters}]"
