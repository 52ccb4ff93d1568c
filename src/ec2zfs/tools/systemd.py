"""systemd on a receiver: the timer that powers it off when its controller has gone (dead_man.sh)."""

from __future__ import annotations

from importlib.resources import files

from ec2zfs.hosts.host import Command, Host


def power_off_after(host: Host, seconds: int) -> None:
    """Have the machine power off that many seconds from now, and not when it was to before (fact 18).

    There is no moment without a timer. Runs as root. Raises `HostError` when the machine cannot be reached.
    """
    script = (files("ec2zfs.tools") / "dead_man.sh").read_text("utf-8")
    host.run(Command.of("sh", "-c", script, "ec2zfs-dead-man", str(seconds), timeout=30.0))
