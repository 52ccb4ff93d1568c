"""What runs inside a machine of the lab, and the relay that carries its questions to the metadata server."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path
from types import ModuleType

import pytest

from ec2zfs.lab.machines.qemu import RELAY, identity

SCRIPT = resources.files("ec2zfs.lab.image") / "files/usr/local/lib/ec2zfs_lab/identity.py"
TOKEN = "t0ken"  # a word of the test's own


@pytest.fixture(scope="module")
def guest() -> ModuleType:
    """The guest's script, as a module."""
    spec = importlib.util.spec_from_file_location("lab_identity", str(SCRIPT))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["lab_identity"] = module
    spec.loader.exec_module(module)
    return module


class Answers(BaseHTTPRequestHandler):
    """Instance metadata as IMDSv2 gives it; /flaky fails once."""

    failed = False

    def do_PUT(self) -> None:
        self._say(200, TOKEN)

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != TOKEN:
            self._say(401, "")
        elif self.path == "/latest/flaky" and not Answers.failed:
            Answers.failed = True
            self._say(503, "")
        elif self.path in ("/latest/user-data", "/latest/flaky"):
            self._say(200, "#!/bin/sh\n")
        else:
            self._say(404, "")

    def _say(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    Answers.failed = False
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "text"),
    [("user-data", "#!/bin/sh\n"), ("flaky", "#!/bin/sh\n"), ("meta-data/public-keys/0/openssh-key", None)],
)
def test_a_guest_asks_for_metadata(guest: ModuleType, port: int, path: str, text: str | None) -> None:
    metadata = guest.Metadata(f"http://127.0.0.1:{port}/latest", time.monotonic() + 20)
    assert metadata.get(path) == text


def test_a_guest_without_a_metadata_server_goes_on(guest: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    metadata = guest.Metadata(f"http://127.0.0.1:{closed_port()}/latest", time.monotonic())
    assert metadata.get("user-data") is None
    assert "no instance metadata (user-data)" in capsys.readouterr().err


def test_a_guest_reads_what_the_host_writes(guest: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "raw").write_bytes(identity("i-0abc", b"\x01\x02", 30.0))
    monkeypatch.setattr(guest, "FIRMWARE", tmp_path / "raw")
    told = guest.told()
    assert (told.name, bytes.fromhex(told.seed), told.patience) == ("i-0abc", b"\x01\x02", 30.0)


def test_host_keys_are_announced_as_cloud_init_does(guest: ModuleType) -> None:
    assert guest.announcement(["ssh-ed25519 AAAA root@a"]).splitlines() == [
        "",
        "-----BEGIN SSH HOST KEY KEYS-----",
        "ssh-ed25519 AAAA root@a",
        "-----END SSH HOST KEY KEYS-----",
    ]


def relayed(port: int, request: bytes) -> bytes:
    """What comes back through the relay, with one socket as its standard input and output, as QEMU starts it."""
    ours, its = socket.socketpair()
    with (
        ours,
        its,
        subprocess.Popen([sys.executable, "-I", "-S", str(RELAY), str(port)], stdin=its.fileno(), stdout=its.fileno()),
    ):
        its.close()
        with suppress(BrokenPipeError):  # the relay may have left already
            ours.sendall(request)
        ours.settimeout(20)
        answer = b""
        with suppress(ConnectionResetError):  # how the end looks when the relay left the request unread
            while data := ours.recv(65536):
                answer += data
        return answer


def test_the_relay_carries_both_ways(port: int) -> None:
    answer = relayed(port, b"PUT /latest/api/token HTTP/1.0\r\n\r\n")
    assert answer.endswith(f"\r\n\r\n{TOKEN}".encode())


def test_the_relay_closes_when_nobody_serves() -> None:
    assert relayed(closed_port(), b"GET / HTTP/1.0\r\n\r\n") == b""


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
