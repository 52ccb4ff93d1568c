"""How a command ends: every failure becomes a sentence on stderr and an exit code, never a bare traceback."""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from ec2zfs.cli.interrupts import interruptible
from ec2zfs.cli.streams import lasting_streams
from ec2zfs.errors import Ec2zfsError, ExitCode, Interrupted


def run_to_its_end(arguments: argparse.Namespace) -> int:
    """Run the handler that the command line chose. `--verbose` shows commands, and where an error came from."""
    with lasting_streams() as stdout, _shown_commands() if arguments.verbose else nullcontext():
        code = _ended(arguments)
        stdout.flush()
        return code if stdout.failure is None else _unread(code, stdout.failure)


def _ended(arguments: argparse.Namespace) -> int:
    try:
        with interruptible():
            return int(arguments.handler(arguments))
    except Ec2zfsError as error:
        _report(arguments, error)
        return error.exit_code
    except KeyboardInterrupt:
        _report(arguments, Interrupted("Interrupted.", hint="Run the command again to carry on from where it was."))
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported as one
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"
        _report(
            arguments, Ec2zfsError(f"This is a bug in ec2zfs: {said}", hint="Please report it with the lines above.")
        )
        return ExitCode.FAILURE


def _unread(code: int, failure: OSError) -> int:
    """The exit code when what was printed did not arrive. That a reader left (`| head`) is not worth a word."""
    if not isinstance(failure, BrokenPipeError):
        print(f"ec2zfs: what was to be printed could not be written: {failure.strerror}.", file=sys.stderr)
    return code or ExitCode.FAILURE


@contextmanager
def _shown_commands() -> Iterator[None]:
    """Print the commands that hosts/ is about to run, to stderr, as a shell does with `set -x`."""
    import logging

    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("+ %(message)s"))
    commands = logging.getLogger("ec2zfs.commands")
    commands.setLevel(logging.DEBUG)
    commands.addHandler(handler)
    try:
        yield
    finally:
        commands.removeHandler(handler)


def _report(arguments: argparse.Namespace, error: Ec2zfsError) -> None:
    if arguments.verbose and error.__traceback__ is not None:
        traceback.print_exception(error)
    notes = getattr(error, "__notes__", [])
    if arguments.json:
        document = {
            "event": "error",
            "error": type(error).__name__,
            "message": error.message,
            "hint": error.hint,
            "notes": notes,
            "exit_code": int(error.exit_code),
        }
        print(json.dumps(document), file=sys.stderr)
    else:
        print(f"ec2zfs: {error}", *notes, sep="\n", file=sys.stderr)
