"""What a request to the API asks for, read from WSGI's environment: service, action, body.

Changes nothing but the body's stream, which it reads and puts back.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

Environ = dict[str, Any]

_SCOPE = re.compile(r"Credential=[^/]*/\d{8}/(?P<region>[^/]*)/(?P<service>[^/]*)/")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Asked:
    """A service (`ec2`) and one of its actions (`CreateVolume`)."""

    service: str
    action: str

    @property
    def iam_action(self) -> str:
        """The action as IAM policies name it: `ec2:CreateVolume`."""
        return f"{self.service}:{self.action}"


def asked(environ: Environ) -> Asked:
    """What the request asks for; the service is S3 when the request is not signed, as moto takes it."""
    scope = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    service = scope["service"] if scope else "s3"
    if str(environ.get("CONTENT_TYPE", "")).startswith(_FORM):
        fields = parse_qs(body(environ).decode("utf-8", "replace"))
        if "Action" in fields:
            return Asked(service, fields["Action"][0])
    return Asked(service, _rest_action(service, environ))


def body(environ: Environ) -> bytes:
    """The whole body; the stream can be read again."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    content: bytes = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(content)
    return content


def _rest_action(service: str, environ: Environ) -> str:
    from moto.core.request import Request
    from moto.core.routing import get_service_router
    from werkzeug.exceptions import NotFound

    try:
        operation, _ = get_service_router(service).match(Request(environ))
    except (NotFound, NotImplementedError):
        return f"{environ['REQUEST_METHOD']} {environ.get('PATH_INFO', '')}"
    return str(operation.name)
