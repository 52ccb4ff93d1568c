"""Which Debian mirror this system is configured to use: the lab's image comes from the same one.

Reads apt's own configuration, in its one-line and its deb822 form (sources.list(5)); never names a mirror itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ec2zfs.errors import ConfigurationError

VARIABLE = "EC2ZFS_LAB_MIRROR"


@dataclass(frozen=True)
class Source:
    """One archive in one suite, as apt's configuration has it. `signed_by`: a keyring's path, or empty."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""
    trusted: bool = False

    def options(self) -> str:
        """The options that a one-line entry needs so that apt trusts the archive as this system does."""
        words = [f"signed-by={self.signed_by}"] if self.signed_by else []
        words += ["trusted=yes"] if self.trusted else []
        return f"[{' '.join(words)}] " if words else ""


def mirror(suite: str, environ: Mapping[str, str] = os.environ, apt: Path = Path("/etc/apt")) -> Source:
    """The archive to take `suite` from: `$EC2ZFS_LAB_MIRROR`, else what apt uses for it, else for Debian at all."""
    if named := environ.get(VARIABLE):
        return Source(named, suite, ("main",))
    sources = [source for path in _files(apt) for source in parse(path.name, path.read_text())]
    usable = [source for source in sources if "main" in source.components and not _is_side_suite(source.suite)]
    exact = [source for source in usable if source.suite == suite]
    debian = [source for source in usable if re.search(r"/debian/?$", source.uri)]
    for source in [*exact, *debian]:
        return source
    raise ConfigurationError(
        f"apt's configuration in {apt} names no Debian mirror, so the lab's image cannot be built.",
        hint=f"Set {VARIABLE} to the address of a Debian mirror.",
    )


def parse(name: str, text: str) -> list[Source]:
    """What an apt configuration file says; `name` ends with `.sources` for deb822, else it is the one-line form."""
    return list(_deb822(text) if name.endswith(".sources") else _one_line(text))


def _files(apt: Path) -> Iterator[Path]:
    parts = apt / "sources.list.d"
    found = [*parts.glob("*.list"), *parts.glob("*.sources")] if parts.is_dir() else []
    yield from (path for path in (apt / "sources.list", *sorted(found)) if path.is_file())


def _is_side_suite(suite: str) -> bool:
    return suite.endswith("/") or bool(re.search(r"-(security|updates|backports|proposed)|/updates$", suite))


def _one_line(text: str) -> Iterator[Source]:
    pattern = re.compile(r"deb\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>[^#]*)")
    for line in text.splitlines():
        if found := pattern.match(line.strip()):
            options = dict(word.split("=", 1) for word in (found["options"] or "").split() if "=" in word)
            yield Source(
                found["uri"],
                found["suite"],
                tuple(found["components"].split()),
                _keyring(options.get("signed-by", "")),
                options.get("trusted", "no") == "yes",
            )


def _deb822(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n[ \t]*\n", text):
        entry = _fields(stanza.splitlines())
        if "deb" not in entry.get("types", "").split() or entry.get("enabled", "yes") == "no":
            continue
        for uri in entry.get("uris", "").split():
            for suite in entry.get("suites", "").split():
                components = tuple(entry.get("components", "").split())
                signed, trusted = _keyring(entry.get("signed-by", "")), entry.get("trusted", "no") == "yes"
                yield Source(uri, suite, components, signed, trusted)


def _fields(lines: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    name = ""
    for line in lines:
        if line.startswith("#"):
            continue
        if line[:1].isspace() and name:
            found[name] += "\n" + line.strip()
        elif ":" in line:
            name, value = line.split(":", 1)
            name = name.strip().lower()
            found[name] = value.strip()
    return found


def _keyring(value: str) -> str:
    # Signed-By may also hold the key itself or a fingerprint; apt's own trusted keys serve then.
    return value if value.startswith("/") else ""
