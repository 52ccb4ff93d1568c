"""Failures on demand: which calls of the API fail, wait, or leave their resource broken, and how often.

Only the local EC2 knows these; the product is not told and has no switch for them. Touches nothing outside this
process, and never decides what a failure means.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import floor

ANY = "*"


class FaultKind(StrEnum):
    """What goes wrong.

    `fail`: a call is refused with an error code. `lose-answer`: a call takes effect, and then its answer is an error.
    `delay`: a call waits first, until the faults are taken back at the latest. `hang-attach`: a volume stays in
    `attaching`. `volume-error`: a new volume ends in `error` instead of `available` (fact 11: a bad key does that).
    """

    FAIL = "fail"
    LOSE_ANSWER = "lose-answer"
    DELAY = "delay"
    HANG_ATTACH = "hang-attach"
    VOLUME_ERROR = "volume-error"


@dataclass(frozen=True)
class Fault:
    """One failure to come.

    `target`: an API action (`CreateVolume`) for calls, a volume id for volumes, `*` for any. `times`: how often it
    still happens (None: until it is taken back). `skip`: how many matching calls pass first. `seconds`: of a delay.
    `share`: it happens to so much of the calls that it could, evenly spread: of ten calls with 0.3 to the fourth, the
    seventh and the tenth.
    """

    kind: FaultKind
    target: str = ANY
    code: str = "InternalError"
    message: str = ""
    times: int | None = 1
    skip: int = 0
    seconds: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class ErrorAnswer:
    """What the API answers instead of doing what it was asked."""

    code: str
    message: str
    status: int


# HTTP status and words as in the EC2 API reference's error tables; `{action}` is the IAM action. What is not here is a
# client error: 400, and the code itself as its message.
_ANSWERS = {
    "RequestLimitExceeded": (503, "Request limit exceeded."),
    "ServiceUnavailable": (503, "The request has failed due to a temporary failure of the server."),
    "Unavailable": (503, "The service is unavailable. Please try again shortly."),
    "SlowDown": (503, "Please reduce your request rate."),
    "InternalError": (500, "An internal error has occurred"),
    "InsufficientInstanceCapacity": (
        500,
        "We currently do not have sufficient capacity in the Availability Zone you requested.",
    ),
    "UnauthorizedOperation": (
        403,
        (
            "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/lab is not "
            "authorized to perform: {action} because no identity-based policy allows the {action} action. "
            "Encoded authorization failure message: bGFi"
        ),
    ),
    "AccessDenied": (403, "User: arn:aws:iam::123456789012:user/lab is not authorized to perform: {action}"),
    "AuthFailure": (401, "AWS was not able to validate the provided access credentials"),
    "InvalidClientTokenId": (403, "The security token included in the request is invalid."),
    "ExpiredToken": (403, "The security token included in the request is expired"),
    "RequestExpired": (400, "Request has expired."),
    "OptInRequired": (401, "You are not subscribed to this service."),
    "SpotMaxPriceTooLow": (400, "Your Spot request price is lower than the minimum required Spot request price."),
    "MaxSpotInstanceCountExceeded": (400, "Max spot instance count exceeded"),
    "VcpuLimitExceeded": (400, "You have requested more vCPU capacity than your current vCPU limit allows."),
    "VolumeLimitExceeded": (400, "You have exceeded your maximum volume limit."),
}


def error_answer(code: str, iam_action: str, message: str = "") -> ErrorAnswer:
    """The status and words with which EC2 gives an error code; `iam_action` like `ec2:CreateVolume`."""
    status, words = _ANSWERS.get(code, (400, code))
    return ErrorAnswer(code, message or words.format(action=iam_action), status)


@dataclass(eq=False)
class _Waiting:
    """A failure to come, and how many calls it could have happened to."""

    fault: Fault
    seen: int = 0

    def meets(self) -> bool:
        """Whether it happens to this call; one that is skipped is counted as skipped."""
        if self.fault.skip:
            self.fault = replace(self.fault, skip=self.fault.skip - 1)
            return False
        self.seen += 1
        return floor(self.seen * self.fault.share) > floor((self.seen - 1) * self.fault.share)


@dataclass
class Faults:
    """The failures to come, in the order in which they were asked for. Safe to use from several threads."""

    _waiting: list[_Waiting] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _taken_back: threading.Event = field(default_factory=threading.Event)

    def add(self, fault: Fault) -> None:
        """Let it happen from now on."""
        with self._lock:
            self._waiting.append(_Waiting(fault))

    def clear(self) -> None:
        """Take all of them back; calls that wait go on."""
        with self._lock:
            self._waiting.clear()
            self._taken_back.set()
            self._taken_back = threading.Event()

    def waiting(self) -> tuple[Fault, ...]:
        """Those that can still happen."""
        with self._lock:
            return tuple(each.fault for each in self._waiting)

    def strike(self, kind: FaultKind, target: str) -> Fault | None:
        """The first fault of the kind that meets the target now, counted as having happened; None if all is well."""
        with self._lock:
            for each in self._waiting:
                fault = each.fault
                if fault.kind is kind and fault.target in (ANY, target) and each.meets():
                    self._spend(each)
                    return fault
        return None

    def delay(self, action: str) -> None:
        """Wait if a fault says so."""
        taken_back = self._taken_back
        fault = self.strike(FaultKind.DELAY, action)
        if fault:
            taken_back.wait(fault.seconds)

    def _spend(self, waiting: _Waiting) -> None:
        times = waiting.fault.times
        if times is None:
            return
        if times <= 1:
            self._waiting.remove(waiting)
        else:
            waiting.fault = replace(waiting.fault, times=times - 1)
