"""Hosts with ZFS in memory: interpret the very argv that `tools/zfs*.py` builds, with zfs's own words when they refuse.

    site, receiver = ZfsHost("site"), ZfsHost("receiver")
    site.zfs.create("tank"); site.zfs.snapshot("tank", "one", size=100)
    Replicator(site, receiver, "cloud", Fixed(Carriage(WorldTransport())), Silent(), selection)

`ZfsHost.run` is the `Host` seam, `WorldTransport.carry` the `Transport` seam; `hook` hears of each event and may raise,
to kill whoever drives. What must never happen (`receive -F`, an encrypted source sent plain, and unless it `may_repair`
a rollback, or the destruction of snapshots other than by pruning) fails at once as an AssertionError. They can be
used by several threads, and heed a `Halt` as real ones do.
"""

from __future__ import annotations

import itertools
import shlex
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from tests.fakes import zfs_look, zfs_properties
from tests.fakes.zfs_changes import CHANGES, local_values
from tests.fakes.zfs_pool import Pool, Stream, ZfsSays, token_contents

from ec2zfs.errors import CommandFailed
from ec2zfs.hosts.halting import heed
from ec2zfs.hosts.host import Command, Result, Stage
from ec2zfs.model.line import Line
from ec2zfs.transport.transport import unwatched


def unheard(event: str) -> None:
    """A hook that lets everything pass."""


_zfs = threading.RLock()
"""ZFS does one thing after the other; hooks are called without it."""


@dataclass
class ZfsHost:
    """A host on which `zfs`, `zstream` and our scripts run, on a pool in memory."""

    name: str
    zfs: Pool = field(default_factory=Pool)
    hook: Callable[[str], object] = unheard
    commands: list[tuple[str, ...]] = field(default_factory=list)
    may_repair: bool = False
    version: str = "2.3.2-2~bpo12+2"

    def run(self, command: Command) -> Result:
        heed()
        self.commands.append(command.argv)
        stdin = command.stdin if isinstance(command.stdin, bytes) else b""
        status, out, err = self._interpreted(command.argv, stdin.decode("utf-8", "surrogateescape"))
        result = Result(status, out.encode("utf-8", "surrogateescape"), err.encode())
        if status not in command.accept:
            raise self.explain(command, status, result.stderr)
        return result

    def exec_argv(self, command: Command) -> NoReturn:
        raise AssertionError(f"the fake runs {shlex.join(command.argv)} by WorldTransport only")

    def end(self, argv: Sequence[str]) -> None:
        """Nothing of it runs on after its call."""

    def explain(self, command: Command, status: int, stderr: bytes) -> CommandFailed:
        return CommandFailed(self.name, command.argv, status, stderr.decode())

    def _interpreted(self, argv: Sequence[str], stdin: str) -> tuple[int, str, str]:
        if argv[:2] == ("sh", "-c") and argv[3] == "zfs_look.sh":
            return zfs_look.script(self.zfs, self._bare, argv[4:], stdin.splitlines())
        if argv[:2] == ("sh", "-c"):
            return self._script(argv[3], argv[4:], stdin)
        if argv[0] == "xargs" and "zfs_marks.sh" in argv:
            return self._marks(stdin.split("\0")[:-1])
        if argv[0] == "xargs":
            return 0, "".join(zfs_properties.setting_script(self._bare, item) for item in stdin.split("\0")[:-1]), ""
        self.hook(f"{self.name}: before {shlex.join(argv)}")
        try:
            with _zfs:
                answer = self._tool(argv)
        except ZfsSays as refusal:
            answer = (1, refusal.out, f"{refusal}\n")
        self.hook(f"{self.name}: after {shlex.join(argv)}")
        return answer

    def _script(self, name: str, words: Sequence[str], stdin: str) -> tuple[int, str, str]:
        lines = stdin.splitlines()
        if name == "zfs_snapshot.sh":
            return self._interpreted(("zfs", "snapshot", *words, *lines), "")
        if name == "zfs_each.sh":
            each = [self._interpreted(("zfs", *words, line), "") for line in lines]
            failed = any(status for status, _, _ in each)
            return (123 if failed else 0), "".join(out for _, out, _ in each), "".join(err for _, _, err in each)
        if name == "zfs_identify.sh":
            pairs = (line.split("\t") for line in lines)
            sets = [self._interpreted(("zfs", "set", f"{words[0]}={value}", each), "") for each, value in pairs]
            return max(status for status, _, _ in sets), "", "".join(err for _, _, err in sets)
        if name == "zfs_destroy.sh":
            return 0, "".join(f"{self._destroyed(words, *line.split(chr(9)))}\n" for line in lines), ""
        if name == "zfs_sizes.sh":
            sends = (("zfs", "send", "-nP", *line.split("\t")) for line in lines)
            return 0, "".join("stream\n" + self._interpreted(send, "")[1] for send in sends), ""
        if name == "zfs_properties.sh":
            return zfs_properties.listing_script(self._bare, lines)
        if name == "zfs_hold.sh":
            return self._hold_script(words, stdin.splitlines())
        assert name == "zfs_mark.sh", name
        return self._mark(*words)

    def _mark(self, snapshot: str, cursor: str, *outdated: str) -> tuple[int, str, str]:
        if self._interpreted(("zfs", "list", "-H", "-t", "bookmark", "-o", "name", cursor), "")[0]:
            made = self._interpreted(("zfs", "bookmark", snapshot, cursor), "")
            if made[0]:
                return made
        for bookmark in outdated:
            self._interpreted(("zfs", "destroy", bookmark), "")
        return 0, "", ""

    def _marks(self, items: Sequence[str]) -> tuple[int, str, str]:
        told = ""
        for snapshot, *rest in (item.split("\n") for item in items):
            status, _, err = self._mark(snapshot, *rest)
            told += f"{snapshot}\t{err.replace(chr(10), ' ')}\n" if status else ""
        return 0, told, ""

    def _bare(self, argv: Sequence[str]) -> tuple[int, str, str]:
        return self._interpreted(argv, "")

    def _destroyed(self, words: Sequence[str], names: str, meant: str) -> str:
        marked_by, *preview = words
        dataset, _, shorts = names.partition("@")
        asked = ("zfs", "list", "-Hp", "-t", "snapshot", "-o", f"guid,{marked_by}")
        status, out, _ = self._interpreted((*asked, *(f"{dataset}@{short}" for short in shorts.split(","))), "")
        if status or sorted(out.replace("\t", ":").splitlines()) != meant.split(","):
            return "changed"
        status, out, err = self._interpreted(("zfs", "destroy", "-vp", *preview, names), "")
        return f"kept\t{err.replace(chr(10), ' ')}" if status else f"destroyed\t{out.split()[-1]}"

    def _hold_script(self, words: Sequence[str], names: list[str]) -> tuple[int, str, str]:
        verb, *rest = words
        if verb == "list":
            listed = ("zfs", "list", "-Hp", "-d", "1", "-t", "snapshot", "-o", "name,userrefs", *names)
            rows = (line.split("\t") for line in self._interpreted(listed, "")[1].splitlines())
            held = [name for name, refs in rows if int(refs)]
            return self._unless_so(("zfs", "holds", "-Hp", *held)) if held else (0, "", "")
        pool, *roots = rest
        if verb == "hold":
            for root in roots:
                self._flag(root, pool, add=True)
        answer = self._unless_so(("zfs", verb, f"ec2zfs:{pool}", *names)) if names else (0, "", "")
        if verb == "release" and not answer[0]:
            for root in roots:
                self._flag(root, pool, add=False)
        return answer

    def _unless_so(self, argv: Sequence[str]) -> tuple[int, str, str]:
        _, out, err = self._interpreted(argv, "")
        so = ("does not exist", "tag already exists on this dataset", "no such tag on this dataset")
        strange = "".join(f"{line}\n" for line in err.splitlines() if not any(words in line for words in so))
        return int(bool(strange)), out, strange

    def _flag(self, root: str, pool: str, *, add: bool) -> None:
        told = self._interpreted(("zfs", "get", "-Hp", "-o", "value", "ec2zfs:holds", root), "")[1].strip()
        known = [] if told == "-" else told.split(",")
        if add and pool in known:
            return
        left = [*known, pool] if add else [each for each in known if each != pool]
        value = f"ec2zfs:holds={','.join(left)}"
        change = ("set", value) if left else ("inherit", "ec2zfs:holds")
        self._interpreted(("zfs", *change, root), "")

    def _tool(self, argv: Sequence[str]) -> tuple[int, str, str]:
        tool, verb, *words = argv
        if (tool, verb) == ("zstream", "token"):
            return 0, token_contents(words[0]), ""
        assert tool == "zfs", argv
        if verb in CHANGES:
            assert self.may_repair or verb != "rollback", argv
            return 0, CHANGES[verb](self.zfs, words), ""
        do = {
            "version": lambda _words: f"zfs-{self.version}\nzfs-kmod-{self.version}\n",
            "list": self._list,
            "get": self._get,
            "snapshot": self._snapshot,
            "bookmark": lambda words: self.zfs.bookmark(*words),
            "destroy": self._destroy,
            "hold": lambda words: self.zfs.hold(words[0], words[1:]),
            "release": lambda words: self.zfs.release(words[0], words[1:]),
            "holds": self._holds,
            "set": lambda words: zfs_properties.set_properties(self.zfs, words),
            "inherit": lambda words: zfs_properties.inherit(self.zfs, words),
            "create": self._create,
            "receive": self._receive_abort,
            "send": self._send_size,
        }[verb]
        return 0, do(words) or "", ""

    def _list(self, words: list[str]) -> str:
        options, names = _parsed(words, flags=("-H", "-Hp", "-r"), values=("-t", "-o", "-s", "-d"))
        depth = None if "-r" in options else int(options.get("-d", "0"))
        if not names:
            names, depth = [name for name in self.zfs.datasets if "/" not in name], None
        return self.zfs.listing(names, options["-t"].split(","), options["-o"].split(","), depth)

    def _get(self, words: list[str]) -> str:
        if "-r" in words:
            return local_values(self.zfs, words)
        if "-s" in words:
            return zfs_properties.get(self.zfs, words)
        options, names = _parsed(words, flags=("-Hp",), values=("-o",))
        prop, name = names
        assert options["-o"] == "value"
        return self.zfs.listing([name], ["filesystem", "volume"], [prop], 0)

    def _holds(self, words: list[str]) -> str:
        assert words[0] in ("-H", "-Hp"), words
        return self.zfs.holds(words[1:], seconds=words[0] == "-Hp")

    def _snapshot(self, words: list[str]) -> None:
        options, names = _parsed(words, flags=(), values=("-o",), repeated=True)
        self.zfs.take(names, dict(word.split("=", 1) for word in options.get("-o", "").split("\n")))

    def _destroy(self, words: list[str]) -> str | None:
        if "@" in words[-1]:
            options, (names,) = _parsed(words, flags=("-vp", "-n"), values=())
            assert self.may_repair or "-vp" in options, words
            told = self.zfs.destroy_snapshots(names, preview="-n" in options)
            return told if "-vp" in options else None
        assert len(words) == 1, words
        assert "#ec2zfs_" in words[0], f"only cursor bookmarks may ever be destroyed, not {words[0]}"
        self.zfs.destroy_bookmark(words[0])
        return None

    def _create(self, words: list[str]) -> None:
        options, names = _parsed(words, flags=(), values=("-o",), repeated=True)
        self.zfs.create(names[0], properties=dict(word.split("=", 1) for word in options["-o"].split("\n")))

    def _receive_abort(self, words: list[str]) -> None:
        flag, name = words
        assert flag == "-A", words
        self.zfs.abort(name)

    def _send_size(self, words: list[str]) -> str:
        assert words[0] == "-nP", words
        stream = self.stream(("zfs", "send", *words[1:]))
        return f"full\t{stream.name}\t{stream.size}\nsize\t{stream.size - stream.offset}\n"

    def stream(self, argv: Sequence[str]) -> Stream:
        """What `zfs send` prints."""
        options, names = _parsed(list(argv[2:]), flags=("-L", "-e", "-c", "-w"), values=("-i", "-t"))
        if "-t" in options:
            return self.zfs.resumed(options["-t"])
        if "-w" not in options:
            assert {"-L", "-e", "-c"} <= options.keys(), argv
        return self.zfs.stream(names[0], options.get("-i"), raw="-w" in options)

    def receive(self, argv: Sequence[str], stream: Stream) -> str:
        """Let `zfs receive` begin; returns the name of its target."""
        options, names = _parsed(list(argv[2:]), flags=("-s", "-u"), values=("-o", "-x"), repeated=True)
        assert {"-s", "-u"} <= options.keys(), argv
        properties = dict(word.split("=", 1) for word in options["-o"].split("\n"))
        assert properties["readonly"] == "on", argv
        self.zfs.receive(names[0], stream, properties)
        return names[0]


@dataclass
class WorldTransport:
    """Carries streams between two `ZfsHost`s; `hook` hears before, in the middle and after each.

    `break_at`: of each stream by its number from 1, the error that it meets half way.
    """

    hook: Callable[[str], object] = unheard
    break_at: dict[int, BaseException] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)
    number: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def carry(
        self,
        sender: Stage,
        receiver: Stage,
        meter: Callable[[int], None],
        watch: Callable[[Line], None] = unwatched,
    ) -> None:
        assert isinstance(sender.host, ZfsHost)
        assert isinstance(receiver.host, ZfsHost)
        heed()
        self.hook("stream: before")
        failing, target = sender, ""
        try:
            with _zfs:
                stream = sender.host.stream(sender.command.argv)
                failing = receiver
                half = (stream.offset + stream.size) // 2
                target = receiver.host.receive(receiver.command.argv, stream)
                receiver.host.zfs.receive_upto(target, stream, half)
            meter(half - stream.offset)
            self.hook("stream: half way")
            if broken := self.break_at.get(next(self.number)):
                raise broken
            heed()
            with _zfs:
                receiver.host.zfs.receive_upto(target, stream, stream.size)
        except ZfsSays as refusal:
            raise failing.host.explain(failing.command, 1, str(refusal).encode()) from refusal
        finally:
            if target:
                receiver.host.zfs.receive_ends(target)
        meter(stream.size - half)
        self.carried.append(shlex.join(sender.command.argv[2:]))
        self.hook("stream: after")


def _parsed(
    words: Sequence[str], flags: Sequence[str], values: Sequence[str], *, repeated: bool = False
) -> tuple[dict[str, str], list[str]]:
    """Options and names; a repeated option's values are joined by line breaks. An unknown option is a defect."""
    options: dict[str, str] = {}
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in flags:
            options[option] = ""
            continue
        assert option in values, f"{option} in {words}"
        value = rest.pop(0)
        options[option] = f"{options[option]}\n{value}" if repeated and option in options else value
    return options, rest
