"""`ec2zfs lab`: the local EC2, for demonstrations and tests. Everything it makes is in one directory and one cache."""

from __future__ import annotations

import argparse

from ec2zfs.cli.verbs import add_group, add_verb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

    from ec2zfs.cli.verbs import Handler, Verbs

INSTANCE_FAULTS = {
    "kill-machine": "let the machine of an instance die",
    "drop-network": "pull the network cable of an instance",
    "restore-network": "plug the network cable in again",
    "recommend-rebalance": "recommend a spot instance to be rebalanced",
}


def register(verbs: Verbs) -> None:
    """Add the verb with its own verbs."""
    lab = add_group(verbs, "lab", "run a local EC2 with real machines")
    _add(lab, "build", "build the machines' image, unless it is in the cache", _build)
    up = _add(lab, "up", "bring the lab up, and wait until it is", _up)
    up.add_argument("--no-site", action="store_true", help="without the site's machine")
    up.add_argument("--memory", metavar="MIB", type=int, default=2048, help="memory of each machine in MiB (2048)")
    up.add_argument("--call-seconds", metavar="S", type=float, default=0.0, help="time of every API call (0)")
    up.add_argument("--region", default="us-east-1", help="the region it plays (us-east-1)")
    _add(lab, "status", "show what there is", _status)
    ssh = _add(lab, "ssh", "log in to the site or an instance, or run a command there", _ssh)
    ssh.add_argument("machine", metavar="MACHINE", nargs="?", default="site", help="instance id, or site (site)")
    ssh.add_argument("command", metavar="COMMAND", nargs=argparse.REMAINDER, help="instead of a shell")
    _add(lab, "down", "take the lab down; nothing stays but the cache", _down)
    _add(lab, "env", "print the environment that turns AWS SDKs to the lab, for eval", _env)
    _register_faults(lab)


def _register_faults(lab: Verbs) -> None:
    fault = add_group(lab, "fault", "let something go wrong")
    for name, summary in (
        ("fail", "refuse calls of an action with an error code"),
        ("lose-answer", "let calls take effect and then fail"),
    ):
        parser = _add(fault, name, summary, _call_fault)
        parser.add_argument("action", metavar="ACTION", help="API action, such as CreateVolume; * for any")
        parser.add_argument("code", metavar="CODE", nargs="?", default="InternalError", help="such as ExpiredToken")
        _counted(parser)
    delay = _add(fault, "delay", "let calls of an action wait", _call_fault)
    delay.add_argument("action", metavar="ACTION", help="API action; * for any")
    delay.add_argument("seconds", metavar="SECONDS", type=float)
    _counted(delay)
    for name, summary in (
        ("hang-attach", "let the next volume hang in attaching"),
        ("volume-error", "let the next new volume end in error"),
    ):
        parser = _add(fault, name, summary, _call_fault)
        parser.add_argument("action", metavar="VOLUME", nargs="?", default="*", help="volume id; any by default")
        _counted(parser)
    for name, summary in INSTANCE_FAULTS.items():
        _add(fault, name, summary, _instance_fault).add_argument("instance", metavar="INSTANCE")
    spot = _add(fault, "interrupt-spot", "take a spot instance back after its notice", _instance_fault)
    spot.add_argument("instance", metavar="INSTANCE")
    spot.add_argument("--notice", metavar="S", type=float, help="seconds of notice (120)")
    _add(fault, "list", "show what will still go wrong", _list_faults)
    _add(fault, "clear", "let nothing go wrong any more", _clear_faults)


def _add(verbs: Verbs, name: str, summary: str, handler: Handler) -> argparse.ArgumentParser:
    parser = add_verb(verbs, name, summary, handler)
    parser.add_argument("--directory", metavar="DIR", help="the lab's directory (one of the user's own in /var/tmp)")
    return parser


def _counted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--times", metavar="N", type=int, default=1, help="how often (1); 0: until taken back")
    parser.add_argument("--skip", metavar="N", type=int, default=0, help="how many pass before (0)")
    parser.add_argument(
        "--share", metavar="S", type=float, default=1.0, help="to which share of them, evenly spread (1)"
    )


def _directory(arguments: argparse.Namespace) -> Path:
    from pathlib import Path

    from ec2zfs.lab.paths import run_directory

    return Path(arguments.directory).absolute() if arguments.directory else run_directory()


def _build(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.output import chosen_output
    from ec2zfs.lab.image.build import build
    from ec2zfs.lab.image.recipe import recipe
    from ec2zfs.lab.paths import cache_directory

    output = chosen_output(arguments)
    image = build(recipe(), cache_directory(), output.say)
    output.result("image", {"directory": str(image.directory), "kernel": image.kernel, "zfs": image.zfs})
    return 0


def _up(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.output import chosen_output
    from ec2zfs.lab.daemon import Options
    from ec2zfs.lab.laboratory import up

    output = chosen_output(arguments)
    options = Options(
        region=arguments.region,
        memory_mib=arguments.memory,
        call_seconds=arguments.call_seconds,
        site=not arguments.no_site,
    )
    lab = up(_directory(arguments), options, output.say)
    output.result("lab", {"endpoint": lab.endpoint, "directory": lab.directory, "image": lab.image_id})
    return 0


def _status(arguments: argparse.Namespace) -> int:
    from ec2zfs.cli.output import chosen_output
    from ec2zfs.lab.client import LabClient
    from ec2zfs.lab.laboratory import running

    output = chosen_output(arguments)
    lab = running(_directory(arguments))
    output.result("lab", {"endpoint": lab.endpoint, "directory": lab.directory, "image": lab.image_id})
    if lab.site:
        output.result("site", {"address": lab.site.address, "port": lab.site.port, "user": lab.site.user})
    status = LabClient(lab.endpoint).status()
    output.table("instances", status["instances"])
    output.table("volumes", status["volumes"])
    return 0


def _ssh(arguments: argparse.Namespace) -> int:
    from ec2zfs.lab.laboratory import running
    from ec2zfs.lab.login import log_in

    command = arguments.command[1:] if arguments.command[:1] == ["--"] else arguments.command
    log_in(running(_directory(arguments)), arguments.machine, command)


def _down(arguments: argparse.Namespace) -> int:
    from ec2zfs.lab.laboratory import down

    down(_directory(arguments))
    return 0


def _env(arguments: argparse.Namespace) -> int:
    import shlex

    from ec2zfs.lab.laboratory import running

    for name, value in running(_directory(arguments)).environment().items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _call_fault(arguments: argparse.Namespace) -> int:
    from ec2zfs.lab.client import LabClient
    from ec2zfs.lab.faults import Fault, FaultKind
    from ec2zfs.lab.laboratory import running

    fault = Fault(
        FaultKind(arguments.subverb),
        arguments.action,
        code=getattr(arguments, "code", "InternalError"),
        times=arguments.times or None,
        skip=arguments.skip,
        seconds=getattr(arguments, "seconds", 0.0),
        share=arguments.share,
    )
    LabClient(running(_directory(arguments)).endpoint).add(fault)
    return 0


def _instance_fault(arguments: argparse.Namespace) -> int:
    from ec2zfs.lab.client import LabClient
    from ec2zfs.lab.laboratory import running

    client = LabClient(running(_directory(arguments)).endpoint)
    client.strike(arguments.subverb, arguments.instance, getattr(arguments, "notice", None))
    return 0


def _list_faults(arguments: argparse.Namespace) -> int:
    from dataclasses import asdict

    from ec2zfs.cli.output import chosen_output
    from ec2zfs.lab.client import LabClient
    from ec2zfs.lab.laboratory import running

    faults = LabClient(running(_directory(arguments)).endpoint).faults()
    chosen_output(arguments).table("faults", [asdict(fault) for fault in faults])
    return 0


def _clear_faults(arguments: argparse.Namespace) -> int:
    from ec2zfs.lab.client import LabClient
    from ec2zfs.lab.laboratory import running

    LabClient(running(_directory(arguments)).endpoint).clear_faults()
    return 0
