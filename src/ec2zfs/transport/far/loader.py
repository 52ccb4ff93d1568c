"""Makes modules of the sources that came on standard input, under their own names, and hands over to `main`.

It is run as text, before any of them can be imported; only the standard library is at hand.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from typing import BinaryIO

_PACKAGE = "ec2zfs.transport.far"
_UNFIT = 126
_NO_CRYPTOGRAPHY = (
    "ec2zfs stream: this host's python3 has no module `cryptography` (Debian: apt install python3-cryptography)"
)


class Sources(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules in a table of name and source, before anything of that name that is installed."""

    def __init__(self, sources: dict[str, str]) -> None:
        self._sources = sources

    def find_spec(self, fullname: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        """See `MetaPathFinder`."""
        package = (_PACKAGE + ".").startswith(fullname + ".")
        if not package and fullname not in self._sources:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=package)

    def exec_module(self, module: types.ModuleType) -> None:
        """See `Loader`."""
        source = self._sources.get(module.__name__, "")
        exec(compile(source, module.__name__, "exec"), module.__dict__)  # noqa: S102 - our own, sent by ourselves


def load(sources: dict[str, str], orders: BinaryIO) -> None:
    """Be the end that the next line of `orders` describes."""
    sys.meta_path.insert(0, Sources(sources))
    try:
        importlib.import_module(f"{_PACKAGE}.main").main(orders)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "cryptography":
            raise
        print(_NO_CRYPTOGRAPHY, file=sys.stderr)
        sys.exit(_UNFIT)
