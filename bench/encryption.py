"""Files encrypted by ours, in OpenPGP and in age, and by a `gpg` that is started for each: the same files, in one run.

2,000 of 4 KiB, 200 of 1 MiB, and a large one; then the large one is decrypted by both. Ours includes starting and
ending its workers, one a core, and the digests of what is read and written, which `gpg` does not make. They take turns,
so that a busy machine is slow for both: after each part of gpg's files ours does all, and the median of that counts.
Memory is the largest sum of what all of our processes have resident, the gpg that they start too. All stands in memory
(/dev/shm). Exits with 1 if a limit is broken.

python -m bench.encryption [MIB of the large file [ROUNDS]]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.contract.encryption_keys import Gnupg, age_identity, age_recipient

from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.encryption.interface import Done, Recipients, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.recipients import judged
from ec2zfs.encryption.workers import Workers

LARGE_MIB = 2048
ROUNDS = 4
LIMIT_MIB = 150
SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Case:
    """So many files of one size, and how many times as fast as gpg each format is to be."""

    count: int
    size: int
    openpgp: float
    age: float


Way = Callable[[Sequence[Path], Path], None]

CASES = (Case(2000, 4 << 10, 30, 50), Case(200, 1 << 20, 2, 6))


@dataclass(frozen=True)
class Keys:
    """Who encrypts to whom."""

    gnupg: Gnupg
    recipients: dict[str, Recipients]
    identities: dict[str, Identity]


class Memory:
    """The largest sum of resident memory of this process and all that descend from it."""

    def __init__(self) -> None:
        self.peak_mib = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.peak_mib = max(self.peak_mib, sum(map(_resident, _descendants(os.getpid()))) / (1 << 20))


def _descendants(number: int) -> Iterator[int]:
    yield number
    for listed in Path(f"/proc/{number}/task").glob("*/children"):
        try:
            children = listed.read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _descendants(int(child))


def _resident(number: int) -> int:
    try:
        return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def ours(key: Recipients | Identity, files: Sequence[Path], after: Path) -> None:
    """Encrypt or decrypt the files, workers and all."""
    with Workers(Orders(key, durable=False)) as workers:
        outcomes = list(workers.outcomes(Task(str(file), f"{after}/{file.name}") for file in files))
    assert len(outcomes) == len(files)
    assert all(isinstance(outcome, Done) for outcome in outcomes), outcomes


def by_gpg(gnupg: Gnupg, words: Sequence[str], files: Sequence[Path], after: Path) -> None:
    """Have gpg do it, started for each file."""
    common = ("gpg", "--homedir", str(gnupg.home), "--batch", "--quiet", "--trust-model", "always")
    for file in files:
        subprocess.run((*common, "--output", str(after / file.name), *words, str(file)), check=True)


def timed(files: Sequence[Path], rounds: int, ways: dict[str, Way]) -> dict[str, float]:
    """Seconds of each way over all files: gpg's sum over its parts, the median of the others."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for start in range(rounds):
        for name, way in ways.items():
            part = files[start::rounds] if name == "gpg" else files
            with tempfile.TemporaryDirectory(dir=files[0].parent.parent) as after:
                began = time.perf_counter()
                way(part, Path(after))
                taken[name].append(time.perf_counter() - began)
    return {name: sum(each) if name == "gpg" else statistics.median(each) for name, each in taken.items()}


def encrypting(keys: Keys) -> dict[str, Way]:
    """The three ways to encrypt."""
    words = ("--compress-algo", "none", "--recipient", "alice", "--encrypt")
    return {
        "gpg": lambda files, after: by_gpg(keys.gnupg, words, files, after),
        "OpenPGP": lambda files, after: ours(keys.recipients["OpenPGP"], files, after),
        "age": lambda files, after: ours(keys.recipients["age"], files, after),
    }


def compared(name: str, taken: dict[str, float], size: int, limits: dict[str, float]) -> bool:
    """Print how many times as fast as gpg each is; whether the limits hold."""
    held = True
    for way, seconds in taken.items():
        times = taken["gpg"] / seconds
        fits = way not in limits or times >= limits[way]
        held &= fits
        limit = f"   limit {limits[way]:g} x{'' if fits else '   BROKEN'}" if way in limits else ""
        print(
            f"{name:<16} {way:<14} {seconds:8.2f} s {size / seconds / 1e6:8.1f} MB/s {times:6.1f} x{limit}", flush=True
        )
    return held


def small(keys: Keys, directory: Path, case: Case, rounds: int) -> bool:
    """Many files of one size."""
    plain = directory / "plain"
    plain.mkdir()
    files = [plain / str(number) for number in range(case.count)]
    for file in files:
        file.write_bytes(os.urandom(case.size))
    taken = timed(files, rounds, encrypting(keys))
    shutil.rmtree(plain)
    name = f"{case.count} x {case.size >> 10} KiB"
    return compared(name, taken, case.count * case.size, {"OpenPGP": case.openpgp, "age": case.age})


def large(keys: Keys, directory: Path, mib: int) -> bool:
    """One large file there and back, with the memory of ours."""
    plain = directory / "plain"
    plain.mkdir()
    file = plain / "large"
    with file.open("wb") as output:
        for _ in range(mib):
            output.write(os.urandom(1 << 20))
    held = compared(f"1 x {mib} MiB", timed([file], 1, encrypting(keys)), mib << 20, {"OpenPGP": 1, "age": 1.5})
    for way in ("OpenPGP", "age"):
        held &= there_and_back(keys, way, file, directory)
    return held


def there_and_back(keys: Keys, way: str, file: Path, directory: Path) -> bool:
    """Encrypt and decrypt it in one way; print the memory of both, and how fast the decryption is."""
    staged, restored = directory / f"staged-{way}", directory / f"restored-{way}"
    staged.mkdir()
    restored.mkdir()
    with Memory() as there:
        ours(keys.recipients[way], [file], staged)
    back = Memory()

    def decrypt(files: Sequence[Path], after: Path) -> None:
        with back:
            ours(keys.identities[way], files, after)

    ways: dict[str, Way] = {f"{way}, back": decrypt}
    if way == "OpenPGP":
        ways = {"gpg": lambda files, after: by_gpg(keys.gnupg, ("--decrypt",), files, after), **ways}
    taken = timed([staged / "large"], 1, ways)
    for name, seconds in taken.items():
        print(f"{'decrypted':<16} {name:<14} {seconds:8.2f} s {file.stat().st_size / seconds / 1e6:8.1f} MB/s")
    shutil.rmtree(staged)
    print(
        f"{'memory':<16} {way:<14} {there.peak_mib:.0f} MiB there, {back.peak_mib:.0f} MiB back   limit {LIMIT_MIB} MiB"
    )
    return max(there.peak_mib, back.peak_mib) <= LIMIT_MIB


@contextmanager
def prepared() -> Iterator[tuple[Keys, Path]]:
    """Keys, and a directory in memory."""
    with tempfile.TemporaryDirectory(prefix="ec2zfs-bench-", dir="/dev/shm") as directory:
        gnupg = Gnupg.made(Path(directory) / "gnupg")
        secret = age_identity()
        recipients = {"OpenPGP": judged([gnupg.public("alice")]), "age": judged([age_recipient(secret)])}
        identities = {"OpenPGP": recognised(gnupg.secret("alice")), "age": recognised(secret)}
        try:
            yield Keys(gnupg, recipients, identities), Path(directory)
        finally:
            gnupg.end()


def main() -> int:
    """Measure, print, and say whether the limits hold."""
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else LARGE_MIB
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else ROUNDS
    with prepared() as (keys, directory):
        held = [small(keys, directory, case, rounds) for case in CASES]
        held.append(large(keys, directory, mib))
    return int(not all(held))


if __name__ == "__main__":
    sys.exit(main())
