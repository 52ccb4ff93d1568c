"""The lab's image comes from the mirror that this system itself is configured to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from ec2zfs.errors import ConfigurationError
from ec2zfs.lab.image.mirror import VARIABLE, Source, mirror, parse

DEB822 = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
  contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

INLINE_KEY = """\
Types: deb
URIs: http://a.example/debian
Suites: x
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 xyz
"""

ONE_LINE = """\
# deb http://old.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb [arch=amd64 signed-by=/etc/key.gpg] https://mirror.example/debian bookworm main contrib # comment
deb [ trusted=yes ] file:/srv/debian bookworm main
deb http://security.example/debian-security bookworm-security main
"""

KEY = "/usr/share/keyrings/debian-archive-keyring.gpg"


@pytest.mark.parametrize(
    ("name", "text", "sources"),
    [
        (
            "debian.sources",
            DEB822,
            [
                Source("http://mirror.example/debian", "bookworm", ("main", "contrib"), KEY),
                Source("http://mirror.example/debian", "bookworm-updates", ("main", "contrib"), KEY),
            ],
        ),
        (
            "sources.list",
            ONE_LINE,
            [
                Source("https://mirror.example/debian", "bookworm", ("main", "contrib"), "/etc/key.gpg"),
                Source("file:/srv/debian", "bookworm", ("main",), trusted=True),
                Source("http://security.example/debian-security", "bookworm-security", ("main",)),
            ],
        ),
        (
            "key-inside.sources",
            INLINE_KEY,
            [Source("http://a.example/debian", "x", ("main",))],
        ),
        ("sources.list", "", []),
    ],
)
def test_both_forms_of_apts_configuration_are_read(name: str, text: str, sources: list[Source]) -> None:
    assert parse(name, text) == sources


@pytest.mark.parametrize(
    ("files", "environ", "uri"),
    [
        ({"sources.list.d/debian.sources": DEB822}, {}, "http://mirror.example/debian"),
        ({"sources.list": ONE_LINE}, {}, "https://mirror.example/debian"),
        ({"sources.list": "deb http://m.example/debian/ trixie main"}, {}, "http://m.example/debian/"),
        (
            {"sources.list": "deb http://s.example/debian trixie main\ndeb http://b.example/debian bookworm main"},
            {},
            "http://b.example/debian",
        ),
        (
            {
                "sources.list.d/tool.list": "deb http://tool.example/apt bookworm main-of-tool",
                "sources.list": ONE_LINE,
            },
            {},
            "https://mirror.example/debian",
        ),
        ({"sources.list": ONE_LINE}, {VARIABLE: "http://chosen.example/debian"}, "http://chosen.example/debian"),
        ({}, {VARIABLE: "http://chosen.example/debian"}, "http://chosen.example/debian"),
    ],
)
def test_the_mirror(tmp_path: Path, files: dict[str, str], environ: dict[str, str], uri: str) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert mirror("bookworm", environ, tmp_path).uri == uri


@pytest.mark.parametrize(
    "text",
    [
        "",
        "deb http://security.example/debian-security bookworm-security main",
        "deb http://ubuntu.example/ubuntu noble main",
        "deb http://tool.example/debian ./",
    ],
)
def test_no_mirror_is_an_error_that_says_how_to_name_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "sources.list").write_text(text)
    with pytest.raises(ConfigurationError, match=VARIABLE):
        mirror("bookworm", {}, tmp_path)


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (Source("u", "s", ()), ""),
        (Source("u", "s", (), KEY), f"[signed-by={KEY}] "),
        (Source("u", "s", (), KEY, trusted=True), f"[signed-by={KEY} trusted=yes] "),
    ],
)
def test_the_archive_is_trusted_as_this_system_trusts_it(source: Source, options: str) -> None:
    assert source.options() == options
