"""Finds out whether a stream can go directly to a host: one execution there, and one connection to it.

It never raises for what stands in the way: that is the answer, in words.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from ec2zfs.errors import Ec2zfsError
from ec2zfs.hosts.halting import TICK_SECONDS, heed
from ec2zfs.hosts.host import Command, Host, Stage
from ec2zfs.hosts.running import Running, end_all
from ec2zfs.transport.direct import DirectTransport

LEAST_PYTHON = (3, 9)
LEAST_CRYPTOGRAPHY = (38,)

_START_SECONDS = 60.0
_END_SECONDS = 5.0
_LONGEST_LINE = 4096


@dataclass(frozen=True)
class Barrier:
    """What keeps a stream from going directly to a host, in words ("": nothing), and whether an end can run there."""

    words: str = ""
    serves: bool = True


def barrier(transport: DirectTransport, host: Host, seconds: float = 4.0) -> Barrier:
    """What keeps `transport` from listening on `host` and being reached from here within `seconds`."""
    words = (transport.python, "-I", "-c", _program(), transport.open_address(host), *map(str, transport.ports))
    stage = Stage(host, Command((*words, str(_START_SECONDS))))
    try:
        running = Running(stage, host.exec_argv(stage.command), fed=True, heard=True)
    except Ec2zfsError as error:
        return Barrier(error.message.rstrip("."), serves=False)
    try:
        found = _barrier(transport, running, seconds)
        running.finish_input()
        running.reap(_END_SECONDS)
        return found
    finally:
        end_all([running])
        running.close()


def _barrier(transport: DirectTransport, running: Running, seconds: float) -> Barrier:
    host = running.stage.host
    try:
        told = json.loads(_first_line(running))
        lacking = _lacking(host, told)
        port, word = int(told["port"]), str(told["word"])
    except (ValueError, KeyError, TypeError):
        failure = running.explained() if running.failed else None
        if isinstance(failure, Ec2zfsError):
            return Barrier(failure.message.rstrip("."), serves=False)
        return Barrier(f"{host.name} does not tell what it has", serves=False)
    if lacking:
        return Barrier(lacking, serves=_numbers(str(told["python"])) >= LEAST_PYTHON)
    if not port:
        return Barrier(f"on {host.name}, no port from {transport.ports[0]} to {transport.ports[1]} is free")
    fault = _unreached(transport.reached(host, port), word, seconds)
    return Barrier(fault and f"port {port} of {host.name} cannot be reached from here ({fault})")


def _first_line(running: Running) -> bytes:
    line, deadline = b"", time.monotonic() + _START_SECONDS
    while not line.endswith(b"\n") and len(line) < _LONGEST_LINE and time.monotonic() < deadline:
        heed()
        if select.select([running.output], [], [], TICK_SECONDS)[0]:
            part = os.read(running.output, _LONGEST_LINE)
            if not part:
                running.reap(_START_SECONDS)
                break
            line += part
    return line


def _lacking(host: Host, told: Mapping[str, object]) -> str:
    python, cryptography = str(told["python"]), str(told["cryptography"])
    if _numbers(python) < LEAST_PYTHON:
        return f"{host.name} has Python {python}, and 3.9 is needed"
    if not cryptography:
        return f"{host.name} has no Python package `cryptography` (Debian: apt install python3-cryptography)"
    if _numbers(cryptography) < LEAST_CRYPTOGRAPHY:
        return f"{host.name} has the Python package `cryptography` {cryptography}, and 38 is needed"
    return ""


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _unreached(peer: tuple[str, int], word: str, seconds: float) -> str:
    """Why the word is not heard there; "" when it is."""
    heard = b""
    try:
        with socket.create_connection(peer, seconds) as end:
            while len(heard) < len(word) and (part := end.recv(len(word))):
                heard += part
    except TimeoutError:
        return f"timed out after {seconds:g} s"
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if heard == word.encode() else "something else answers there"


@cache
def _program() -> str:
    return (files("ec2zfs.transport") / "listener.py").read_text("utf-8")
