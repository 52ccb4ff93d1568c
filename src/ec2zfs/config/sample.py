"""The sample configuration and the reference of its keys, both made of the model, so that neither can drift from it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from ec2zfs.config.sections import Key, Table, tables

HEAD = """\
# Configuration of ec2zfs (TOML). The values are examples: change them.
# A key that is commented out is optional; it stands with its default, or with an example where it has none.
"""


def sample() -> str:
    """A configuration that parses, with every key, its unit and its default."""
    return "\n".join([HEAD, *(_section(table) for table in tables())])


def reference() -> str:
    """docs/configuration.md."""
    lines = [
        "# Configuration",
        "",
        "One TOML file: `--config FILE`, else `$EC2ZFS_CONFIG`, else `/etc/ec2zfs/ec2zfs.toml` for root and",
        "`~/.config/ec2zfs/ec2zfs.toml` for others. `ec2zfs init` writes a sample. An unknown key or a value that",
        "cannot be right is refused, and named by its place in the file; all of them at once. This page is made of the",
        "model that checks the file, by `python -m ec2zfs.cli.reference docs`.",
        "",
    ]
    for table in tables():
        lines += [f"## `{table.header}`", "", table.description, "", *_table(table.keys), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _section(table: Table) -> str:
    return f"\n{_comment(table.description)}{table.header}\n" + "\n".join(map(_entry, table.keys))


def _entry(key: Key) -> str:
    return f"{_comment(_words(key))}{'' if key.required else '# '}{key.name} = {key.value}\n"


def _words(key: Key) -> str:
    """Everything that there is to say of a key, in sentences."""
    said = [key.description]
    if key.choices:
        said.append(f"One of: {', '.join(key.choices)}")
    if key.unit:
        said.append(f"Unit: {key.unit}")
    if key.required:
        said.append("Required")
    else:
        said.append(f"Default: {key.default}" if key.default else "Default: none")
    return ". ".join(said) + "."


def _comment(text: str) -> str:
    return textwrap.fill(text, 110, initial_indent="# ", subsequent_indent="# ") + "\n"


def _table(keys: tuple[Key, ...]) -> Iterator[str]:
    yield "| key | what it is | unit | default |"
    yield "|---|---|---|---|"
    for key in keys:
        choices = f" One of `{'`, `'.join(key.choices)}`." if key.choices else ""
        default = "**required**" if key.required else _code(key.default)
        yield f"| `{key.name}` | {key.description}.{choices} | {key.unit or '–'} | {default} |"


def _code(default: str) -> str:
    literal = default in {"true", "false"} or default.isdigit() or default.startswith('"')
    return f"`{default}`" if literal else default or "none"
