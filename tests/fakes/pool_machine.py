"""What our pool scripts do to a receiver, in memory and in microseconds, for tests that go through hundreds of days.

A stand-in for the scripts, told by their names and arguments; that they do this is shown by tests/fakes/world.py, where
the scripts themselves run. A day of tests/unit/runs is run on both. Its pools are encrypted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.fakes.cloud import FakeVolumes
from tests.fakes.host import bytes_of
from tests.fakes.small_zfs import MAPPER, SmallZfs, ZfsRefused

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.host import Command, Result
from ec2zfs.model.layout import GIB, Redundancy
from ec2zfs.model.volume import Volume, VolumeState
from ec2zfs.tools.scripts import script

ABSENT, WRONG_KEY, NOT_FORMATTABLE, NOT_OPENABLE, NOT_IMPORTED, DEGRADED = range(41, 47)
FAILED = 1
_KINDS = frozenset(Redundancy)


class _GiveUp(Exception):
    """A script ends early: with this status, and these words on standard error."""


@dataclass
class PoolMachine:
    """`headers`, `zfs`, `exported` and `used_by` stand on the volumes; `open` and `up` die with the machine.

    `left_open` counts how often the machine went down with the pool open. `health` is the pool's, where it is not what
    its members make it. `sizes` are the bytes of the open mappings, `stale` those whose device went away. `dead` are
    the serials of volumes that cannot be read any more, and `lost` the state of a member whose volume was pulled.
    """

    volumes: FakeVolumes
    health: str = "ONLINE"
    headers: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    zfs: SmallZfs = field(default_factory=SmallZfs)
    exported: bool = True
    used_by: str = ""
    open: dict[str, str] = field(default_factory=dict)
    up: bool = False
    left_open: int = 0
    sizes: dict[str, int] = field(default_factory=dict)
    stale: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    lost: str = "REMOVED"

    @property
    def members(self) -> tuple[str, ...]:
        """The mappings of the pool's members, vdev by vdev."""
        return tuple(leaf.name for leaf in self.zfs.leaves)

    @members.setter
    def members(self, names: Sequence[str]) -> None:
        for leaf, name in zip(self.zfs.leaves, names, strict=True):
            leaf.name = name

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
        self.sizes, self.stale = {}, set()

    def fail(self, mapping: str, state: str = "FAULTED", *, for_good: bool = False) -> None:
        """ZFS loses a member; `for_good`: its volume cannot be read any more, whoever tries."""
        self.zfs.fail(mapping, state, errors=25 * (state == "FAULTED"))
        if for_good:
            self.dead.add(self.open[mapping])

    def run(self, command: Command) -> Result:
        """Do what the script of this name does with these arguments."""
        shell, option, text, name, pool, *words = command.argv[command.argv.index("sh") :]
        name = name.removeprefix("ec2zfs-")
        assert (shell, option, text, pool) == ("sh", "-c", script(name), "cloud"), command.argv
        self._notice()
        said, status, message = bytearray(), 0, ""
        try:
            for line in self._script(name, words, command):
                said += f"{line}\n".encode()
        except (_GiveUp, ZfsRefused) as failure:
            status, message = failure.args if isinstance(failure, _GiveUp) else (FAILED, str(failure))
            if status not in command.accept:
                raise CommandFailed("receiver", command.argv, status, message) from failure
        return Result(status, bytes(said), message.encode())

    def _script(self, name: str, words: Sequence[str], command: Command) -> Iterable[str]:
        match name:
            case "open":
                return self._open(words, bytes_of(command))
            case "reopen":
                return self._reopen(words, bytes_of(command))
            case "expand":
                return self._expand(words, bytes_of(command))
            case "members":
                return self._change(words)
        act = {"observe": self._observe, "status": self._status, "create": self._create, "lock": self._lock}
        return act[name](words)

    def _volume(self, serial: str) -> Volume | None:
        """The volume of a serial, while it is attached."""
        volume = self.volumes.of_serial(serial)
        return volume if volume and volume.attached else None

    def _readable(self, serial: str) -> bool:
        volume = self._volume(serial)
        return volume is not None and volume.state is not VolumeState.ERROR and serial not in self.dead

    def _usable(self) -> set[str]:
        """The mappings through which something can be read."""
        return {name for name, serial in self.open.items() if name not in self.stale and self._readable(serial)}

    def _notice(self) -> None:
        """What the kernel and ZFS notice of volumes that are gone."""
        gone = {name for name, serial in self.open.items() if self._volume(serial) is None}
        self.stale |= gone
        usable = self._usable() if self.up else set()
        for leaf in self.zfs.leaves if self.up else ():
            if leaf.state == "ONLINE" and leaf.name not in usable:
                self.fail(leaf.name, self.lost if leaf.name in self.stale else "FAULTED")

    def _observe(self, words: Sequence[str]) -> Iterator[str]:
        yield "%volumes"
        for serial in words[2:]:
            if self._volume(serial) is None:
                continue
            yield f"volume {serial} /dev/{serial}"
            if not self._readable(serial):
                yield "signature unreadable"
            elif serial in self.headers:
                yield from ("signature crypto_LUKS", "keyslots 1", f"label {self.headers[serial][0]}")
            else:
                yield "untouched"
        yield from self._status(())
        yield "%importable"
        if not self.up and self.zfs.importable(self._usable()):
            yield from ("   pool: cloud", "     id: 1000", "  state: ONLINE")

    def _status(self, words: Sequence[str]) -> Iterator[str]:
        yield from ("%mappings", *self.mappings, "%opened")
        slots = "0" if "detail" in words else "-"
        for name in self.mappings:
            stale = name in self.stale
            yield f"{name} {self._size(name)} 4096 {'stale -' if stale else f'- {slots}'}"
        yield "%pools"
        if not self.up:
            return
        size = sum(vdev.size for vdev in self.zfs.vdevs)
        health = self.zfs.health if self.health == "ONLINE" else self.health
        yield f"cloud\t1000\t{size}\t65536\t{size - 65536}\t{health}"
        yield from ("%status", *self.zfs.status("cloud", health))
        yield from ("%vdevs", *self.zfs.sizes("cloud", health, self._present()))
        yield from ("%scrubbed", self.zfs.scrubbed)
        self.zfs.look()

    def _present(self) -> dict[str, int]:
        """The sizes of the mappings that ZFS can use."""
        return {name: self._size(name) for name in self._usable()}

    def _size(self, mapping: str) -> int:
        """As large as the volume was when it was opened, or last resized."""
        volume = self._volume(self.open[mapping])
        return self.sizes.setdefault(mapping, volume.size_gib * GIB if volume else 0)

    def _create(self, words: Sequence[str]) -> Sequence[str]:
        assert not self.members, "a pool stands there already"
        assert "-f" not in words
        tree = words[words.index("cloud") + 1 :]
        starts = [index for index, word in enumerate(tree) if word in _KINDS]
        for start, end in zip(starts, [*starts[1:], len(tree)], strict=True):
            self.zfs.add(tree[start], tree[start + 1 : end], self._present())
        assert set(self.members) == self.open.keys()
        self.up, self.exported, self.used_by = True, False, words[0]
        return ()

    def _lock(self, _words: Sequence[str]) -> Sequence[str]:
        if self.up:
            self.up, self.exported = False, True
        self.open, self.sizes, self.stale = {}, {}, set()
        return ()

    def _open(self, words: Sequence[str], keys: bytes) -> Iterator[str]:
        hostid, importing, _target, lacking, _seconds, *steps = words
        opened: list[str] = []
        told: list[str] = []
        try:
            for number, (verb, serial, mapping) in enumerate(_threes(steps)):
                why = self._left_out(verb, serial, mapping, keys[64 * number : 64 * number + 64], lacking)
                told.append(why)
                if why and verb != "prove":
                    yield f"{mapping} {why}"
                elif not why and verb in ("open", "try", "offer") and mapping not in self.open:
                    self._map(mapping, serial)
                    opened.append(mapping)
            self._require_a_fit(told, steps)
            if importing != "no" and not self.up:
                self._import(hostid, force=importing == "force", lacking=lacking)
        except _GiveUp:
            for mapping in opened:
                self._unmap(mapping)
            raise

    def _require_a_fit(self, told: Sequence[str], steps: Sequence[str]) -> None:
        if "locked" in told and "" not in told:
            raise _GiveUp(WRONG_KEY, steps[3 * told.index("locked") + 2])

    def _left_out(self, verb: str, serial: str, mapping: str, key: bytes, lacking: str) -> str:
        """Do a step, unless there is nothing to do, and say why."""
        if self._volume(serial) is None:
            if lacking == "refuse":
                raise _GiveUp(ABSENT, f"{mapping} ({serial})")
            return "absent"
        if verb in ("prove", "try", "offer"):
            if not self._readable(serial) or self.headers.get(serial, ("",))[0] != mapping:
                return "unmarked"
            if verb != "prove" and mapping in self.stale and self._in_use(mapping):
                return "stale"
        if verb in ("open", "try", "offer") and mapping in self.stale:
            self._close(mapping, NOT_OPENABLE)
        try:
            self._ready(verb, serial, mapping, key)
        except _GiveUp as failure:
            if verb == "offer" and failure.args[0] == WRONG_KEY:
                return "locked"
            raise
        return ""

    def _ready(self, verb: str, serial: str, mapping: str, key: bytes) -> None:
        assert len(key) == 64, "one key for each step"
        if verb == "format":
            assert serial not in self.headers, "what is formatted already is never formatted again"
            self.headers[serial] = (mapping, key)
        elif not self._readable(serial):
            raise _GiveUp(NOT_OPENABLE, f"{mapping} (/dev/{serial}) could not be opened.")
        elif self.headers.get(serial) != (mapping, key):
            raise _GiveUp(WRONG_KEY, mapping)

    def _import(self, hostid: str, *, force: bool, lacking: str) -> None:
        if lacking == "refuse" and self.zfs.importable(self._usable()) and not self.zfs.whole(self._usable()):
            raise _GiveUp(DEGRADED, "Pool cloud would be DEGRADED.")
        ours = self.exported or self.used_by == hostid or force
        if not ours or not self.zfs.importable(self._usable()):
            raise _GiveUp(NOT_IMPORTED, "Pool cloud was not imported.")
        self.up, self.exported, self.used_by = True, False, hostid
        self.zfs.load(self._usable())

    def _change(self, words: Sequence[str]) -> Sequence[str]:
        self._require_pool()
        left = list(words)
        while left:
            word, first = left.pop(0), left.pop(0)
            match word:
                case "replace":
                    self._replace(first, left.pop(0))
                case "add":
                    kind, paths = left[0], left[1 : 1 + int(first)]
                    del left[: 1 + int(first)]
                    if not self.zfs.knows(paths[0]):
                        self.zfs.add(kind, paths, self._present())
                case _:
                    if not self._do_to_member(word, first):
                        self._do_to_pool(word, first)
        return ()

    def _replace(self, old: str, path: str) -> None:
        if not self.zfs.knows(path):
            self.zfs.replace(old, path, self._present())

    def _do_to_member(self, word: str, argument: str) -> bool:
        """The words of members.sh that take one argument, a member's or mapping's name; whether it is one of them."""
        match word:
            case "offline":
                self.zfs.offline(argument)
            case "detach":
                if any(argument in (leaf.path, leaf.guid) for leaf in self.zfs.leaves):
                    self.zfs.detach(argument)
            case "close":
                self._close(argument, FAILED)
            case _:
                return False
        return True

    def _do_to_pool(self, word: str, argument: str) -> None:
        zfs = self.zfs
        match word:
            case "resilver":
                zfs.resilver()
            case "clear":
                zfs.clear(self._usable())
            case "scrub":
                zfs.scrub()
            case "pause":
                if zfs.scan == ("scrub", "running"):
                    zfs.pause()
            case "scrubbed":
                zfs.scrubbed = argument
            case _:
                raise AssertionError(f"members.sh knows no word {word}")

    def _reopen(self, words: Sequence[str], keys: bytes) -> Sequence[str]:
        self._require_pool()
        for number, (handle, serial, mapping) in enumerate(_threes(words)):
            if self._volume(serial) is None:
                continue
            if mapping in self.stale:
                self._freed(handle, mapping)
            if mapping not in self.open:
                if not self._readable(serial):
                    continue
                self._ready("open", serial, mapping, keys[64 * number : 64 * number + 64])
                self._map(mapping, serial)
            self.zfs.online(handle, self._usable())
            self.zfs.clear(self._usable(), handle)
        return ()

    def _freed(self, handle: str, mapping: str) -> None:
        """Let ZFS give the rest of a mapping up, if it can spare it, and close it."""
        if self._in_use(mapping):
            try:
                self.zfs.offline(handle)
            except ZfsRefused as refusal:
                raise _GiveUp(NOT_OPENABLE, f"{mapping} is open on a device that is gone, and in use.") from refusal
        self._unmap(mapping)

    def _expand(self, words: Sequence[str], keys: bytes) -> Iterator[str]:
        self._require_pool()
        for number, (serial, mapping, size) in enumerate(_threes(words)):
            volume = self._volume(serial)
            if volume is None or volume.size_gib * GIB < int(size):
                raise _GiveUp(ABSENT, f"{mapping} ({serial}) does not show {size} bytes.")
            self._ready("open", serial, mapping, keys[64 * number : 64 * number + 64])
            self.sizes[mapping] = volume.size_gib * GIB
            self.zfs.expand(MAPPER + mapping, self._present())
        return self._status(())

    def _require_pool(self) -> None:
        if not self.up:
            raise _GiveUp(FAILED, "Pool cloud is not imported.")

    def _map(self, mapping: str, serial: str) -> None:
        self.open[mapping] = serial
        self._size(mapping)

    def _in_use(self, mapping: str) -> bool:
        return self.up and any(leaf.name == mapping and leaf.state == "ONLINE" for leaf in self.zfs.leaves)

    def _close(self, mapping: str, status: int) -> None:
        if self._in_use(mapping):
            raise _GiveUp(status, f"Device {mapping} is still in use.")
        self._unmap(mapping)

    def _unmap(self, mapping: str) -> None:
        self.open.pop(mapping, None)
        self.sizes.pop(mapping, None)
        self.stale.discard(mapping)


def _threes(words: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    return zip(*[iter(words)] * 3, strict=True)
