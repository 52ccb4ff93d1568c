"""Errors of the API written down as each service writes them. Values to bytes; decides nothing."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from xml.sax.saxutils import escape

from ec2zfs.lab.faults import ErrorAnswer

STATUS_WORDS = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    content_type: str
    body: bytes

    @property
    def status_line(self) -> str:
        """`503 Service Unavailable` without the protocol."""
        words = STATUS_WORDS.get(self.status, "Service Unavailable" if self.status == 503 else "Error")
        return f"{self.status} {words}"


def json_answer(content: object, status: int = 200) -> Answer:
    """Any value as JSON."""
    return Answer(status, "application/json", json.dumps(content).encode())


def error(service: str, fault: ErrorAnswer) -> Answer:
    """An error as EC2, S3, or another service (query protocol) words it."""
    code, message, request = escape(fault.code), escape(fault.message), uuid.uuid4()
    core = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "ec2":
        text = f"<Response><Errors><Error>{core}</Error></Errors><RequestID>{request}</RequestID></Response>"
    elif service == "s3":
        text = f"<Error>{core}<RequestId>{request}</RequestId></Error>"
    elif service == "ebs":
        return json_answer({"__type": fault.code, "Message": fault.message}, fault.status)
    else:
        kind = "<Type>Sender</Type>"
        text = f"<ErrorResponse><Error>{kind}{core}</Error><RequestId>{request}</RequestId></ErrorResponse>"
    return Answer(fault.status, "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())
