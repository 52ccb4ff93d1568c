"""What our pool scripts do to a receiver, in memory and in microseconds, for tests that go through hundreds of days.

A stand-in for the scripts, told by their names and arguments; that they do this is shown by tests/fakes/world.py, where
the scripts themselves run. A day of tests/unit/runs is run on both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.fakes.cloud import FakeVolumes
from tests.fakes.host import bytes_of

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Result
from ec2zfs.model.volume import AttachmentState
from ec2zfs.tools.scripts import script

ABSENT, WRONG_KEY, NOT_FORMATTABLE, NOT_OPENABLE, NOT_IMPORTED = range(41, 46)


class _GiveUp(Exception):
    """A script ends early: with this status, and these words on standard error."""


@dataclass
class PoolMachine:
    """`headers`, `members`, `exported` and `used_by` stand on the volumes; `open` and `up` die with the machine.

    `left_open` counts how often the machine went down with the pool open.
    """

    volumes: FakeVolumes
    health: str = "ONLINE"
    headers: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    exported: bool = True
    used_by: str = ""
    open: dict[str, str] = field(default_factory=dict)
    up: bool = False
    left_open: int = 0

    @property
    def mappings(self) -> list[str]:
        """The open mappings."""
        return sorted(self.open)

    @property
    def imported(self) -> list[str]:
        """The imported pools."""
        return ["cloud"] if self.up else []

    def reboot(self) -> None:
        """Lose all that is in memory."""
        self.left_open += bool(self.up or self.open)
        self.open, self.up = {}, False

    def run(self, command: Command) -> Result:
        """Do what the script of this name does with these arguments."""
        shell, option, text, name, pool, *words = command.argv[command.argv.index("sh") :]
        name = name.removeprefix("ec2zfs-")
        assert (shell, option, text, pool) == ("sh", "-c", script(name), "cloud"), command.argv
        act = {"observe": self._observe, "status": self._status, "create": self._create, "lock": self._lock}
        try:
            said = self._open(words, bytes_of(command)) if name == "open" else act[name](words)
        except _GiveUp as failure:
            status, message = failure.args
            if status not in command.accept:
                raise CommandFailed("receiver", command.argv, status, message) from failure
            return Result(status, b"", message.encode())
        return Result(0, "".join(f"{line}\n" for line in said).encode(), b"")

    def _shown(self) -> set[str]:
        """The serials of the volumes that are attached."""
        bonds = [(volume.serial, volume.attachment) for volume in self.volumes.paid]
        return {serial for serial, bond in bonds if bond and bond.state is AttachmentState.ATTACHED}

    def _observe(self, words: Sequence[str]) -> Iterator[str]:
        yield "%volumes"
        for serial in words[2:]:
            if serial not in self._shown():
                continue
            yield f"volume {serial} /dev/{serial}"
            if serial in self.headers:
                yield from ("signature crypto_LUKS", "keyslots 1", f"label {self.headers[serial][0]}")
            else:
                yield "untouched"
        yield from self._status(())
        yield "%importable"
        if self.members and not self.up and set(self.members) <= self.open.keys():
            yield from ("   pool: cloud", "     id: 1000", "  state: ONLINE")

    def _status(self, _words: Sequence[str]) -> Iterator[str]:
        yield from ("%mappings", *self.mappings, "%pools")
        if self.up:
            yield f"cloud\t1000\t6442450944\t65536\t6442385408\t{self.health}"
        yield "%status"
        if self.up:
            yield from (f" state: {self.health}", "config:", "", "\tNAME STATE READ WRITE CKSUM")
            yield from (f"\tcloud {self.health} 0 0 0", f"\t  mirror-0 {self.health} 0 0 0")
            yield from (f"\t    /dev/mapper/{member} ONLINE 0 0 0" for member in self.members)
            yield from ("", "errors: No known data errors")

    def _create(self, words: Sequence[str]) -> Sequence[str]:
        assert not self.members, "a pool stands there already"
        assert "-f" not in words
        self.members = tuple(word.removeprefix("/dev/mapper/") for word in words if word.startswith("/dev/mapper/"))
        assert set(self.members) == self.open.keys()
        self.up, self.exported, self.used_by = True, False, words[0]
        return ()

    def _lock(self, _words: Sequence[str]) -> Sequence[str]:
        if self.up:
            self.up, self.exported = False, True
        self.open = {}
        return ()

    def _open(self, words: Sequence[str], keys: bytes) -> Sequence[str]:
        hostid, importing, _target, _absent, _seconds, *steps = words
        opened: list[str] = []
        try:
            for number, (verb, serial, mapping) in enumerate(zip(*[iter(steps)] * 3, strict=True)):
                self._ready(verb, serial, mapping, keys[64 * number : 64 * number + 64])
                if verb == "open" and mapping not in self.open:
                    self.open[mapping] = serial
                    opened.append(mapping)
            if importing != "no" and not self.up:
                self._import(hostid, force=importing == "force")
        except _GiveUp:
            for mapping in opened:
                del self.open[mapping]
            raise
        return ()

    def _ready(self, verb: str, serial: str, mapping: str, key: bytes) -> None:
        assert len(key) == 64, "one key for each step"
        if serial not in self._shown():
            raise _GiveUp(ABSENT, f"{mapping} ({serial})")
        if verb == "format":
            assert serial not in self.headers, "what is formatted already is never formatted again"
            self.headers[serial] = (mapping, key)
        elif self.headers.get(serial) != (mapping, key):
            raise _GiveUp(WRONG_KEY, mapping)

    def _import(self, hostid: str, *, force: bool) -> None:
        whole = self.members and set(self.members) <= self.open.keys()
        ours = self.exported or self.used_by == hostid or force
        if not whole or not ours:
            raise _GiveUp(NOT_IMPORTED, "Pool cloud was not imported.")
        self.up, self.exported, self.used_by = True, False, hostid
