"""The WSGI application before moto's: faults, delays, the count of calls, S3's guards, and the lab's own questions.

EC2 calls go to moto one at a time, since moto's objects know no locks; waiting happens before that.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from ec2zfs.lab.api.answers import Answer, error
from ec2zfs.lab.api.calls import Call
from ec2zfs.lab.api.control import PREFIX, Control
from ec2zfs.lab.api.corrections.checksums import wrong_checksum
from ec2zfs.lab.api.corrections.object_memory import ObjectMemory
from ec2zfs.lab.api.local import LocalEc2
from ec2zfs.lab.api.request import Asked, Environ, asked
from ec2zfs.lab.faults import FaultKind, error_answer

StartResponse = Callable[..., object]

_ERROR_CODE = re.compile(rb"<Code>([^<]*)</Code>")


class Gateway:
    """Every request of the server comes here."""

    def __init__(self, local: LocalEc2, control: Control) -> None:
        self._local = local
        self._control = control
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._memory = ObjectMemory(local.settings.object_bytes)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ.get("PATH_INFO", "").startswith(PREFIX):
            return _send(self._control.answer(environ), start_response)
        began, at = time.monotonic(), time.time()
        what = asked(environ)
        status, content = self._answer(what, environ, start_response)
        found = _ERROR_CODE.search(content) if status >= 400 else None
        code = found[1].decode() if found else ""
        self._local.calls.record(Call(at, what.service, what.action, status, time.monotonic() - began, code))
        return [content]

    def _answer(self, what: Asked, environ: Environ, start_response: StartResponse) -> tuple[int, bytes]:
        self._wait(what)
        refusal = self._refusal(what, environ)
        if refusal is None:
            lost = self._local.faults.strike(FaultKind.LOSE_ANSWER, what.action)
            if lost is None:
                return self._from_moto(what, environ, start_response)
            self._from_moto(what, environ, _nobody)
            refusal = error(what.service, error_answer(lost.code, what.iam_action, lost.message))
        _send(refusal, start_response)
        return refusal.status, refusal.body

    def _wait(self, what: Asked) -> None:
        time.sleep(self._local.settings.call_seconds)
        self._local.faults.delay(what.action)

    def _refusal(self, what: Asked, environ: Environ) -> Answer | None:
        fault = self._local.faults.strike(FaultKind.FAIL, what.action)
        if fault:
            return error(what.service, error_answer(fault.code, what.iam_action, fault.message))
        if what.service != "s3":
            return None
        wrong = wrong_checksum(environ) or self._memory.full(environ)
        return error(what.service, wrong) if wrong else None

    def _from_moto(self, what: Asked, environ: Environ, start_response: StartResponse) -> tuple[int, bytes]:
        seen: list[int] = []

        def listening(status: str, headers: list[tuple[str, str]], *rest: object) -> object:
            seen.append(int(status.split(maxsplit=1)[0]))
            return start_response(status, headers, *rest)

        one_at_a_time: AbstractContextManager[Any] = self._local.lock if what.service == "ec2" else nullcontext()
        with one_at_a_time:
            answer = self._moto(environ, listening)
        try:
            content = b"".join(answer)
        finally:
            if hasattr(answer, "close"):
                answer.close()
        return seen[0], content


def _send(answer: Answer, start_response: StartResponse) -> list[bytes]:
    headers = [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    start_response(answer.status_line, headers)
    return [answer.body]


def _nobody(_status: str, _headers: list[tuple[str, str]], *_rest: object) -> None:
    """Hear an answer that will be lost."""
