"""A `PoolMachine` whose volumes have key slots, and which understands rekey.sh.

That the script does this is shown by tests/unit/execute/test_rekeying.py, where it runs itself, and by
tests/contract/test_rekeying.py, where cryptsetup does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.fakes.host import bytes_of
from tests.fakes.pool_machine import PoolMachine

from ec2zfs.hosts.host import Command, Result
from ec2zfs.hosts.secret import Secret
from ec2zfs.tools.scripts import script
from ec2zfs.tools.volume_keys import KEY_BYTES, VolumeKeys

Slots = dict[int, bytes]


@dataclass
class KeyMachine(PoolMachine):
    """`slots` are the keys of each volume by the numbers of their slots, once one was added or removed."""

    slots: dict[str, Slots] = field(default_factory=dict)

    def opened_by(self, key: Secret) -> set[str]:
        """The mappings whose volumes the pool key opens."""
        keys = VolumeKeys(key, "cloud")
        headers = ((serial, mapping) for serial, (mapping, _) in self.headers.items())
        return {name for serial, name in headers if keys.key(name).reveal() in self._held(serial).values()}

    def run(self, command: Command) -> Result:
        """Do what the script of this name does with these arguments."""
        text, name, _pool, *words = command.argv[command.argv.index("sh") + 2 :]
        if name != "ec2zfs-rekey":
            return super().run(command)
        assert text == script("rekey")
        phase, _seconds, *volumes = words
        keys = bytes_of(command)
        given = iter([keys[at : at + KEY_BYTES] for at in range(0, len(keys), KEY_BYTES)])
        act = {"look": self._look, "add": self._add, "remove": self._remove}[phase]
        said = list(act([(serial, volumes[at + 1]) for at, serial in enumerate(volumes) if at % 2 == 0], given))
        assert next(given, None) is None, "every key was taken"
        return Result(0, "".join(f"{line}\n" for line in said).encode(), b"")

    def _look(self, volumes: list[tuple[str, str]], given: Iterator[bytes]) -> Iterator[str]:
        for serial, mapping in volumes:
            yield f"{mapping} {self._slot(serial, next(given))} {self._slot(serial, next(given))}"

    def _add(self, volumes: list[tuple[str, str]], given: Iterator[bytes]) -> Iterator[str]:
        for serial, _ in volumes:
            added, held, *again = (next(given) for _ in range(4))
            assert again == [added, added]
            if self._slot(serial, added) == "-":
                assert self._slot(serial, held) != "-"
                slots = self._held(serial)
                self.slots[serial] = {**slots, next(each for each in range(1, 32) if each not in slots): added}
        yield from ()

    def _remove(self, volumes: list[tuple[str, str]], given: Iterator[bytes]) -> Iterator[str]:
        staying = [next(given) for _ in volumes]
        assert all(self._slot(serial, key) != "-" for (serial, _), key in zip(volumes, staying, strict=True))
        for (serial, _), stays in zip(volumes, staying, strict=True):
            leaving, again = next(given), next(given)
            assert again == stays
            assert leaving != stays
            self.slots[serial] = {slot: key for slot, key in self._held(serial).items() if key != leaving}
        yield from ()

    def _held(self, serial: str) -> Slots:
        return self.slots.get(serial, {0: self.headers[serial][1]})

    def _slot(self, serial: str, key: bytes) -> str:
        return next((str(slot) for slot, each in self._held(serial).items() if each == key), "-")

    def _ready(self, verb: str, serial: str, mapping: str, key: bytes) -> None:
        """As any machine, but any of the keys opens."""
        if verb == "format":
            super()._ready(verb, serial, mapping, key)
        else:
            formatted = self.headers
            opens = serial in formatted and key in self._held(serial).values()
            self.headers = {**formatted, serial: (mapping, key)} if opens else {**formatted, serial: (mapping, b"")}
            try:
                super()._ready(verb, serial, mapping, key)
            finally:
                self.headers = formatted
