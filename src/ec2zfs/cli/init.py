"""`ec2zfs init`: writes a sample configuration. Never overwrites a file."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ec2zfs.cli.verbs import Verbs


def register(verbs: Verbs) -> None:
    """Add the verb."""
    from ec2zfs.cli.verbs import add_verb

    parser = add_verb(verbs, "init", "write a sample configuration", _init)
    parser.add_argument("path", metavar="PATH", nargs="?", help="where to; by default where ec2zfs looks for it")


def _init(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from ec2zfs.cli.output import chosen_output
    from ec2zfs.cli.places import configuration_path
    from ec2zfs.config.sample import sample
    from ec2zfs.errors import Refused

    path = Path(arguments.path) if arguments.path else configuration_path(arguments.config)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            path.chmod(0o600)
            file.write(sample())
    except FileExistsError:
        raise Refused(f"{path} exists already.", hint="Name another file, or move it out of the way.") from None
    except OSError as error:
        raise Refused(
            f"{path} cannot be written: {error.strerror}.", hint="Name another file: `ec2zfs init PATH`."
        ) from None
    output = chosen_output(arguments)
    output.result("configuration", {"path": str(path)})
    output.say("Now edit it: every key says what it is; the values are examples.")
    return 0
