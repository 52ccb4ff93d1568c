"""Shows whether a host can hold an end of the stream. Run as text by its own python3, of whatever version: address to
listen on, first and last port, seconds.

Tells one JSON object on standard output: the versions of Python and of `cryptography` ("": it has none), the first port
of the range that is free (0: none is) and a random word, which whoever connects to that port gets. It ends with its
standard input, or when the time is over.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import select
import socket
import sys
import time


def cryptography_version() -> str:
    """The version of the package, or ""."""
    try:
        from cryptography import __version__
    except ImportError:
        return ""
    return __version__


def listening(address: str, first: int, last: int) -> socket.socket | None:
    """A socket that listens on the first free port."""
    for port in range(first, last + 1):
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((address, port))
            listener.listen(8)
        except OSError:
            listener.close()
        else:
            return listener
    return None


def answer(listener: socket.socket, word: str, deadline: float) -> None:
    """Give the word to whoever connects."""
    while time.monotonic() < deadline:
        ready = select.select([listener, sys.stdin], [], [], max(0.0, deadline - time.monotonic()))[0]
        if sys.stdin in ready:
            return
        if listener in ready:
            with contextlib.suppress(OSError), listener.accept()[0] as end:
                end.sendall(word.encode())


def main(address: str, first: str, last: str, seconds: str) -> None:
    """Tell, and listen."""
    listener = listening(address, int(first), int(last))
    word = secrets.token_hex(16)
    port = listener.getsockname()[1] if listener else 0
    python = ".".join(map(str, sys.version_info[:3]))
    told = {"python": python, "cryptography": cryptography_version(), "port": port, "word": word}
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    if listener:
        answer(listener, word, time.monotonic() + float(seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
