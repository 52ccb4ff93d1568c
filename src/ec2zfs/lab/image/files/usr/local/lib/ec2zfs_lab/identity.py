"""Tells a machine of the lab who it is; stands in for cloud-init, and exists in the lab only.

The host says in QEMU's firmware configuration for which instance this machine runs. While the name there is empty the
machine is a template whose memory is about to be saved: it waits, and after the resume finds the name of the instance
that it has become. A name that the root disk does not know yet is a first boot: everything that must be an instance's
own is made then, from fresh entropy. It runs inside the guest, with Debian's own python3 and its standard library.
"""

# ruff: noqa: INP001, S310 - a script of the guest, not a module of the package
from __future__ import annotations

import calendar
import fcntl
import json
import os
import secrets
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

FIRMWARE = Path("/sys/firmware/qemu_fw_cfg/by_name/opt/ec2zfs/identity/raw")
STATE = Path("/var/lib/ec2zfs-lab")
METADATA = "http://169.254.169.254/latest"
HOST_KEYS = ("ecdsa", "ed25519")
RNDADDENTROPY, RNDRESEEDCRNG, RTC_RD_TIME = 0x40085203, 0x5207, 0x80247009


@dataclass(frozen=True)
class Identity:
    """What the host says: the instance's name (empty: wait), fresh entropy, seconds to wait for metadata."""

    name: str
    seed: str
    patience: float
    waiting: str


def main() -> None:
    """Wait for a name, then make this machine that instance if it is not yet."""
    identity = told()
    if not identity.name:
        rehearse()
        print(identity.waiting, flush=True)
        while not (identity := told()).name:
            time.sleep(0.1)
        stir(bytes.fromhex(identity.seed))
        renew_zfs()
        set_clock()
    known = STATE / "instance-id"
    if known.exists() and known.read_text() == identity.name:
        return
    become(identity)
    known.write_text(identity.name)
    os.sync()


def told() -> Identity:
    """What the firmware configuration says now; the host may have changed it while this machine was saved."""
    return Identity(**json.loads(FIRMWARE.read_text()))


def rehearse() -> None:
    """Run what a first boot runs, so that it lies in memory when that is saved."""
    import urllib.request  # noqa: F401 - what asks the metadata imports it again, without work

    directory = Path("/run/ec2zfs-lab-rehearsal")
    directory.mkdir()
    for kind in HOST_KEYS:
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(directory / kind))
    Path("/run/sshd").mkdir(exist_ok=True)
    run("/usr/sbin/sshd", "-t", "-f", "/dev/null", "-h", str(directory / "ed25519"))
    run("rm", "-r", str(directory))
    run("sync")


def stir(seed: bytes) -> None:
    """Make the random generator this machine's own: all that resume from one memory would draw the same host keys."""
    with Path("/dev/urandom").open("wb") as device:
        fcntl.ioctl(device, RNDADDENTROPY, struct.pack("ii", 8 * len(seed), len(seed)) + seed)
        fcntl.ioctl(device, RNDRESEEDCRNG)


def renew_zfs() -> None:
    """Load ZFS anew: it has a random generator of its own, seeded when it is loaded, from which all GUIDs come."""
    run("modprobe", "-r", "zfs")
    run("modprobe", "zfs")


def set_clock() -> None:
    """Set the clock from the hardware's, which ran on: a restored memory believes in the time at which it was saved."""
    with Path("/dev/rtc0").open("rb") as clock:
        second, minute, hour, day, month, year, *_ = struct.unpack("9i", fcntl.ioctl(clock, RTC_RD_TIME, bytes(36)))
    moment = (year + 1900, month + 1, day, hour, minute, second, 0, 0, 0)
    time.clock_settime(time.CLOCK_REALTIME, calendar.timegm(moment))


def become(identity: Identity) -> None:
    """A first boot: ids, name, users' keys, host keys and user data, both for later units of systemd."""
    STATE.mkdir(parents=True, exist_ok=True)
    Path("/etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
    Path("/etc/hostid").write_bytes(secrets.token_bytes(4))
    metadata = Metadata(METADATA, time.monotonic() + identity.patience)
    hostname = metadata.get("meta-data/local-hostname") or identity.name
    name_host(hostname.split(".")[0])
    authorise(metadata.get("meta-data/public-keys/0/openssh-key") or "")
    (STATE / "host-keys").write_text(announcement(make_host_keys()))
    script = metadata.get("user-data") or ""
    if script.startswith("#!"):
        path = STATE / "user-data"
        path.touch(mode=0o700)
        path.write_text(script)


class Metadata:
    """The instance metadata service, version 2: a token first, then questions; `deadline` in monotonic seconds."""

    def __init__(self, endpoint: str, deadline: float) -> None:
        self.endpoint = endpoint
        self.deadline = deadline
        self.token: str | None = None

    def get(self, path: str) -> str | None:
        """The text at `path`, or None: it does not exist, or nobody answers before the deadline."""
        import urllib.error  # not above: a later boot asks for nothing, and would be a second longer

        while True:
            try:
                if self.token is None:
                    self.token = self.ask("PUT", "api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "600"})
                return self.ask("GET", path, {"X-aws-ec2-metadata-token": self.token})
            except urllib.error.HTTPError as error:
                error.close()
                if error.code == 404:
                    return None
                problem: OSError = error
            except OSError as error:
                problem = error
            if time.monotonic() > self.deadline:
                print(f"lab: no instance metadata ({path}): {problem}", file=sys.stderr, flush=True)
                return None
            time.sleep(0.3)

    def ask(self, method: str, path: str, headers: dict[str, str]) -> str:
        """One request; HTTPError or another OSError when it fails."""
        import urllib.request

        request = urllib.request.Request(f"{self.endpoint}/{path}", headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            text: str = answer.read().decode()
            return text


def name_host(name: str) -> None:
    """Set the host name now and for later boots."""
    Path("/etc/hostname").write_text(f"{name}\n")
    Path("/etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n::1 localhost ip6-localhost\n")
    Path("/proc/sys/kernel/hostname").write_text(name)


def authorise(key: str) -> None:
    """Let the key pair's owner in, as `admin` like Debian's own EC2 images, and as root (in the lab only)."""
    for user, home in (("admin", Path("/home/admin")), ("root", Path("/root"))):
        directory = home / ".ssh"
        directory.mkdir(mode=0o700, exist_ok=True)
        (directory / "authorized_keys").write_text(f"{key.strip()}\n")
        run("chown", "-R", f"{user}:", str(directory))


def make_host_keys() -> list[str]:
    """New host keys; their public halves, a line each."""
    keys = []
    for kind in HOST_KEYS:
        path = Path(f"/etc/ssh/ssh_host_{kind}_key")
        path.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(path))
        keys.append(path.with_suffix(".pub").read_text().strip())
    return keys


def announcement(keys: list[str]) -> str:
    """The public host keys as cloud-init prints them on the console at a first boot, and only then (fact 21)."""
    return "\n".join(["", "-----BEGIN SSH HOST KEY KEYS-----", *keys, "-----END SSH HOST KEY KEYS-----", ""])


def run(*argv: str) -> None:
    """Run a program; its failure is ours."""
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
