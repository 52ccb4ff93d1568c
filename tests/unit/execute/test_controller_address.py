from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from ec2zfs.errors import CloudError, ConfigurationError
from ec2zfs.execute.controller_address import allowed_range


@contextmanager
def service(answer: bytes, status: int = 200) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name in the base class
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("configured", "range_"),
    [("203.0.113.7/32", "203.0.113.7/32"), ("203.0.113.0/24", "203.0.113.0/24"), ("2001:db8::7", "2001:db8::7/128")],
)
def test_configured(configured: str, range_: str) -> None:
    assert allowed_range(configured, service="http://127.0.0.1:1/") == range_


@pytest.mark.parametrize("configured", ["203.0.113.7/24", "here", ""])
def test_no_range(configured: str) -> None:
    with pytest.raises(ConfigurationError, match=r"receiver\.allow_from"):
        allowed_range(configured)


@pytest.mark.parametrize(
    ("answer", "range_"), [(b"203.0.113.7\n", "203.0.113.7/32"), (b"2001:db8::7", "2001:db8::7/128")]
)
def test_asked(answer: bytes, range_: str) -> None:
    with service(answer) as url:
        assert allowed_range("auto", url) == range_


@pytest.mark.parametrize(("answer", "status"), [(b"<html>login</html>", 200), (b"", 200), (b"203.0.113.7", 500)])
def test_no_answer(answer: bytes, status: int) -> None:
    with service(answer, status) as url, pytest.raises(CloudError, match="cannot be learned") as error:
        allowed_range("auto", url)
    assert "receiver.allow_from" in error.value.hint


def test_nobody_there() -> None:
    with pytest.raises(CloudError, match="cannot be learned"):
        allowed_range("auto", "http://127.0.0.1:1/", timeout=1)
