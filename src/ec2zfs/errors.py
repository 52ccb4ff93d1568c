"""Everything that can go wrong in the operator's sight: one tree, a sentence and an exit code each.

A message says what failed, where, why and what to do next. Nothing here does any I/O.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class ExitCode(IntEnum):
    """The exit codes of `ec2zfs`, documented in docs/reference.md."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    CONFIGURATION = 3
    CREDENTIALS = 4
    CLOUD = 5
    HOST = 6
    HOST_KEY = 7
    COMMAND = 8
    REFUSED = 9
    POOL_KEY = 10
    LOCKED = 11
    REPLICATION = 12
    NO_SPACE = 13
    MISSING_TOOL = 14
    POOL_UNWELL = 15
    STAGING = 16
    INTERRUPTED = 130


class Ec2zfsError(Exception):
    """A failure that the operator can understand: the sentence, and what to do about it."""

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(Ec2zfsError):
    """The configuration file is missing, malformed or contradicts itself."""

    exit_code = ExitCode.CONFIGURATION


class CredentialsError(Ec2zfsError):
    """AWS credentials are missing, expired or not allowed to do what is needed."""

    exit_code = ExitCode.CREDENTIALS


class CloudError(Ec2zfsError):
    """The EC2 API refused or failed; `code` is its error code, `action` the API action."""

    exit_code = ExitCode.CLOUD

    def __init__(self, message: str, *, hint: str = "", code: str = "", action: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.action = action


class NoCapacity(CloudError):
    """EC2 has no machine (or no spot machine) of the type in the zone just now."""


class NotInTime(CloudError):
    """EC2 has not come to an end with what it was asked for; it may still do so."""


class ModificationTooSoon(CloudError):
    """EC2 takes another modification of a volume later; `not_before` is when, in UTC."""

    def __init__(self, message: str, *, not_before: datetime, hint: str = "", code: str = "", action: str = "") -> None:
        super().__init__(message, hint=hint, code=code, action=action)
        self.not_before = not_before


class HostError(Ec2zfsError):
    """A host cannot be reached, or stopped answering."""

    exit_code = ExitCode.HOST


class HostKeyChanged(HostError):
    """A host showed another ssh key than the one that EC2's console vouched for."""

    exit_code = ExitCode.HOST_KEY


class HostKeyUnknown(HostError):
    """A host shows an ssh key that nobody has vouched for."""

    exit_code = ExitCode.HOST_KEY


class CommandFailed(Ec2zfsError):
    """A command on a host exited with a failure."""

    exit_code = ExitCode.COMMAND

    def __init__(self, host: str, argv: tuple[str, ...], status: int, stderr: str, *, hint: str = "") -> None:
        self.host = host
        self.argv = argv
        self.status = status
        self.stderr = stderr
        ended = f"was ended by signal {-status}" if status < 0 else f"exited with {status}"
        said = stderr.strip() or "it printed nothing"
        super().__init__(f"On {host}, `{_shown(argv)}` {ended}: {said[-2000:]}", hint=hint)


def _shown(argv: tuple[str, ...]) -> str:
    """The command as far as it helps to recognise it; a script is not printed."""
    if argv[:2] == ("sh", "-c"):
        return " ".join(("sh -c …", *argv[3:6]))[:100]
    return " ".join(argv[:3]).split("\n", 1)[0][:100]


class CommandTimeout(CommandFailed):
    """A command on a host did not end within its time limit and was killed."""

    def __init__(self, host: str, argv: tuple[str, ...], seconds: float) -> None:
        super().__init__(host, argv, -9, f"it did not end within {seconds:g} s and was killed")


class MissingTool(Ec2zfsError):
    """A program that we need is not installed on a host."""

    exit_code = ExitCode.MISSING_TOOL


class Refused(Ec2zfsError):
    """What was asked for would destroy, or cannot be done with the layout or state at hand; nothing was changed."""

    exit_code = ExitCode.REFUSED


class WrongPoolKey(Ec2zfsError):
    """The pool key does not open the volumes; nothing was opened."""

    exit_code = ExitCode.POOL_KEY


class AlreadyRunning(Ec2zfsError):
    """Another run holds the lock of this pool."""

    exit_code = ExitCode.LOCKED


class PoolUnwell(Ec2zfsError):
    """What was asked for is done, but the pool is degraded or has errors."""

    exit_code = ExitCode.POOL_UNWELL


class ReplicationConflict(Ec2zfsError):
    """Source and target have gone separate ways; nothing was sent from there on."""

    exit_code = ExitCode.REPLICATION


class ReplicationIncomplete(Ec2zfsError):
    """Several datasets were not replicated, each for a reason of its own; the others were."""

    exit_code = ExitCode.REPLICATION


class StagingIncomplete(Ec2zfsError):
    """Some sources were not staged, each for a reason of its own, or some of their files were not; the others were."""

    exit_code = ExitCode.STAGING


class RestoreIncomplete(Ec2zfsError):
    """Something that was to be restored is not there, or without some of its metadata; all else is restored."""


class NoSpace(Ec2zfsError):
    """The target pool is full, or would be."""

    exit_code = ExitCode.NO_SPACE


class RecipientRefused(ConfigurationError):
    """Nothing may be encrypted to a recipient: no public key, one that has expired or was revoked, or an identity."""


class Unreadable(Ec2zfsError):
    """A file cannot be read, or is no regular file; others can still be."""


class Unwritable(Ec2zfsError):
    """A file cannot be written, for another reason than a full disk; others can still be."""


class AlreadyThere(Refused):
    """A file stands where one was to be made; it was left as it is."""


class WrongIdentity(Ec2zfsError):
    """A file is encrypted to others than the identity that was given; nothing was written."""


class Damaged(Ec2zfsError):
    """A ciphertext was altered or cut off, or is none; nothing of it was kept."""


class Interrupted(Ec2zfsError):
    """The operator pressed Ctrl-C, or the process was asked to end."""

    exit_code = ExitCode.INTERRUPTED
