"""Many files through worker processes: each in its place whole, or nothing new there; killed at any moment too."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from blake3 import blake3
from tests.contract.encryption_keys import age_identity, age_recipient

from ec2zfs.encryption.files import performed
from ec2zfs.encryption.identities import Identity, recognised
from ec2zfs.encryption.interface import NOWHERE, Content, Done, Failed, Recipients, Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.recipients import judged
from ec2zfs.encryption.streams import Sink, Source
from ec2zfs.encryption.workers import Workers
from ec2zfs.errors import AlreadyThere, Damaged, Ec2zfsError, NoSpace, RecipientRefused, Unreadable, Unwritable
from ec2zfs.hosts.halting import Halt, Halted
from ec2zfs.hosts.secret import Secret

NAMES = [b"plain", b"\xff\xfe\x80 latin", "größe 文書".encode(), b"new\nline\ttab\\", b"x" * 255, b"-rf", b" "]
LARGE = 9 << 20
"""Of which another thread writes and hashes what comes."""


@pytest.fixture(scope="module")
def identity() -> Secret:
    """An identity of age, the quicker format to make keys for."""
    return age_identity()


@pytest.fixture(scope="module")
def recipients(identity: Secret) -> Recipients:
    """Its recipient."""
    return judged([age_recipient(identity)])


@pytest.fixture(scope="module")
def encrypting(recipients: Recipients) -> Iterator[Workers]:
    """Two workers for all tests that leave them alive."""
    with Workers(Orders(recipients, durable=False), 2) as workers:
        yield workers


@pytest.fixture(scope="module")
def decrypting(identity: Secret) -> Iterator[Workers]:
    """A worker that decrypts."""
    with Workers(Orders(recognised(identity), durable=True), 1) as workers:
        yield workers


@pytest.fixture
def places(tmp_path: Path) -> Callable[[str], Path]:
    """Directories by name."""
    for name in ("plain", "staged", "restored"):
        (tmp_path / name).mkdir()
    return lambda name: tmp_path / name


def _tasks(before: Path, after: Path, *, replace: bool = False) -> list[Task]:
    return [Task(str(each), str(after / each.name), replace) for each in sorted(before.iterdir())]


def _failure(outcomes: list[Done | Failed]) -> Ec2zfsError:
    (outcome,) = outcomes
    assert isinstance(outcome, Failed)
    return outcome.error


def test_names_of_any_bytes_go_and_come_back(
    encrypting: Workers, decrypting: Workers, places: Callable[[str], Path]
) -> None:
    for name in NAMES:
        (places("plain") / os.fsdecode(name)).write_bytes(name * 100)
    staged = list(encrypting.outcomes(_tasks(places("plain"), places("staged"))))
    restored = list(decrypting.outcomes(_tasks(places("staged"), places("restored"))))
    assert {os.fsencode(path.name): path.read_bytes() for path in places("restored").iterdir()} == {
        name: name * 100 for name in NAMES
    }
    assert all(isinstance(outcome, Done) for outcome in staged + restored)


def test_both_contents_are_told_with_their_digests(encrypting: Workers, places: Callable[[str], Path]) -> None:
    for number in range(100):
        (places("plain") / str(number)).write_bytes(bytes(number))
    (places("plain") / "large").write_bytes(bytes(5 << 20))
    outcomes = list(encrypting.outcomes(_tasks(places("plain"), places("staged"))))
    assert len(outcomes) == 101
    for outcome in outcomes:
        assert isinstance(outcome, Done)
        assert outcome.read == _read(outcome.task.source)
        assert outcome.written == _read(outcome.task.target)
        assert Path(outcome.task.target).stat().st_mode & 0o777 == 0o600


def _read(path: str) -> Content:
    data = Path(path).read_bytes()
    return Content(len(data), blake3(data).digest())


def test_a_file_is_never_overwritten_unasked(encrypting: Workers, places: Callable[[str], Path]) -> None:
    (places("plain") / "a").write_bytes(b"new")
    (places("staged") / "a").write_bytes(b"old")
    error = _failure(list(encrypting.outcomes(_tasks(places("plain"), places("staged")))))
    assert isinstance(error, AlreadyThere)
    assert (places("staged") / "a").read_bytes() == b"old"
    (outcome,) = encrypting.outcomes(_tasks(places("plain"), places("staged"), replace=True))
    assert isinstance(outcome, Done)
    assert (places("staged") / "a").read_bytes() != b"old"
    assert len(list(places("staged").iterdir())) == 1


def test_what_cannot_be_read_or_written_is_named_and_stops_nothing(
    encrypting: Workers, places: Callable[[str], Path]
) -> None:
    plain, staged = places("plain"), places("staged")
    (plain / "link").symlink_to("/etc/passwd")
    os.mkfifo(plain / "fifo")
    (plain / "directory").mkdir()
    (plain / "good").write_bytes(b"good")
    tasks = [*_tasks(plain, staged), Task(str(plain / "gone"), str(staged / "gone"))]
    tasks.append(Task(str(plain / "good"), str(staged / "nowhere" / "x")))
    tasks.append(Task(str(plain / "good"), str(staged / ("y" * 256))))
    outcomes = list(encrypting.outcomes(tasks))
    failed = {Path(outcome.task.target).name: outcome.error for outcome in outcomes if isinstance(outcome, Failed)}
    assert {name for name, error in failed.items() if isinstance(error, Unreadable)} == {
        "link", "fifo", "directory", "gone"
    }  # fmt: skip
    assert {name for name, error in failed.items() if isinstance(error, Unwritable)} == {"x", "y" * 256}
    assert [path.name for path in staged.iterdir()] == ["good"]
    assert f"{plain}/gone cannot be read: No such file or directory." == failed["gone"].message


def test_what_was_altered_leaves_nothing(
    encrypting: Workers, decrypting: Workers, places: Callable[[str], Path]
) -> None:
    (places("staged") / "a").write_bytes(b"age-encryption.org/v1\nrubbish")
    assert isinstance(_failure(list(decrypting.outcomes(_tasks(places("staged"), places("restored"))))), Damaged)
    (places("plain") / "a").write_bytes(bytes(LARGE))
    (staged,) = encrypting.outcomes(_tasks(places("plain"), places("staged"), replace=True))
    assert isinstance(staged, Done)
    os.truncate(places("staged") / "a", LARGE)
    assert isinstance(_failure(list(decrypting.outcomes(_tasks(places("staged"), places("restored"))))), Damaged)
    assert list(places("restored").iterdir()) == []


@pytest.mark.parametrize("size", [1 << 20, LARGE])
def test_a_full_disk_leaves_nothing(recipients: Recipients, places: Callable[[str], Path], size: int) -> None:
    (places("plain") / "a").write_bytes(bytes(size))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Workers(Orders(recipients, durable=False), 1) as workers:
        resource.prlimit(workers.numbers[0], resource.RLIMIT_FSIZE, (100_000, before[1]))
        error = _failure(list(workers.outcomes(_tasks(places("plain"), places("staged")))))
    assert isinstance(error, NoSpace)
    assert error.message == f"There is no room for {places('staged')}/a: File too large."
    assert list(places("staged").iterdir()) == []


def test_orders_that_cannot_be_followed_are_told_in_words(tmp_path: Path) -> None:
    with (
        pytest.raises(Ec2zfsError, match="age identity cannot be read"),
        Workers(
            Orders(
                Identity(recognised(Secret(b"AGE-SECRET-KEY-1")).format, Secret(b"AGE-SECRET-KEY-1X")), durable=False
            ),
            1,
        ) as workers,
    ):
        list(workers.outcomes([Task(str(tmp_path), str(tmp_path))]))


def test_a_worker_that_dies_is_named(recipients: Recipients, places: Callable[[str], Path]) -> None:
    (places("plain") / "a").write_bytes(b"a")
    with Workers(Orders(recipients, durable=False), 1) as workers:
        os.kill(workers.numbers[0], signal.SIGKILL)
        with pytest.raises(Ec2zfsError, match=r"worker process ended.* exit code -9"):
            list(workers.outcomes(_tasks(places("plain"), places("staged"))))


@pytest.mark.parametrize("dead", [0, 2])
def test_the_others_end_when_one_dies_at_the_end(recipients: Recipients, dead: int) -> None:
    workers = Workers(Orders(recipients, durable=False), 3)
    with pytest.raises(Ec2zfsError, match=r"worker process ended.* exit code -9"), workers:
        _dead(workers.numbers[dead])
    for number in workers.numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def _dead(number: int) -> None:
    os.kill(number, signal.SIGKILL)
    os.waitid(os.P_PID, number, os.WEXITED | os.WNOWAIT)


def test_workers_end_when_they_are_halted(recipients: Recipients, places: Callable[[str], Path]) -> None:
    (places("plain") / "a").write_bytes(b"a")
    halt = Halt()
    halt.order()
    halt.obey()
    try:
        with pytest.raises(Halted), Workers(Orders(recipients, durable=False), 1) as workers:
            list(workers.outcomes(_tasks(places("plain"), places("staged"))))
    finally:
        Halt().obey()
    with pytest.raises(ProcessLookupError):
        os.kill(workers.numbers[0], 0)


def test_work_that_is_broken_off_leaves_nothing(recipients: Recipients, places: Callable[[str], Path]) -> None:
    with (places("plain") / "a").open("wb") as large:
        large.truncate(64 << 30)

    def tasks() -> Iterator[Task]:
        yield from _tasks(places("plain"), places("staged"))
        _awaited(places("staged"))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Workers(Orders(recipients, durable=False), 2) as workers:
        list(workers.outcomes(tasks()))
    assert list(places("staged").iterdir()) == []


_CUT_OFF = """
import sys
from ec2zfs.encryption.interface import Task
from ec2zfs.encryption.orders import Orders
from ec2zfs.encryption.recipients import judged
from ec2zfs.encryption.workers import Workers
key, source, target = sys.argv[1:]
with Workers(Orders(judged([key]), durable=False), 1) as workers:
    print(*workers.numbers, flush=True)
    list(workers.outcomes([Task(source, target, replace=True)]))
"""


def test_killed_in_the_middle_of_a_replacement_the_old_one_stands(
    recipients: Recipients, places: Callable[[str], Path]
) -> None:
    with (places("plain") / "a").open("wb") as large:
        large.truncate(64 << 30)
    (old := places("staged") / "a").touch()
    argv = [sys.executable, "-c", _CUT_OFF, recipients.keys[0].key, str(places("plain") / "a"), str(old)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout
        worker = Path("/proc", controller.stdout.readline().strip())
        _awaited(places("staged"))
        assert worker.exists()
        controller.kill()
    _until(lambda: not worker.exists())
    assert old.read_bytes() == b""


def _awaited(directory: Path) -> str:
    _until(lambda: any(each.stat().st_size for each in directory.iterdir()))
    return next(directory.iterdir()).name


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("fault", [RecipientRefused("x"), KeyboardInterrupt()])
def test_whatever_ends_an_encryption_nothing_is_left(tmp_path: Path, fault: BaseException) -> None:
    (tmp_path / "a").write_bytes(b"a")

    def carry(source: Source, sink: Sink) -> None:
        sink.write(source.head(1) * 100_000)
        raise fault

    with pytest.raises(type(fault)):
        performed(Task(f"{tmp_path}/a", f"{tmp_path}/b"), carry, durable=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    with pytest.raises(type(fault)):
        performed(Task(f"{tmp_path}/a", f"{tmp_path}/a", replace=True), carry, durable=True)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"a"]


def test_many_large_files_take_no_more_memory_than_few(encrypting: Workers, places: Callable[[str], Path]) -> None:
    """Each is streamed, and leaves no buffer behind."""
    (worker,) = encrypting.numbers[:1]
    for number in range(40):
        with (places("plain") / str(number)).open("wb") as file:
            file.truncate(LARGE if number % 2 else 5 << 20)
    outcomes = encrypting.outcomes(_tasks(places("plain"), places("staged")))
    peaks = [_peak(worker) for outcome in outcomes if isinstance(outcome, Done)]
    assert len(peaks) == 40
    assert peaks[-1] - peaks[7] < 12 << 20


def _peak(worker: int) -> int:
    """The most memory that a process has had, in bytes."""
    (line,) = (line for line in Path(f"/proc/{worker}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


def test_zeros_become_holes_where_that_is_asked_for(
    encrypting: Workers, identity: Secret, places: Callable[[str], Path]
) -> None:
    content = bytes(3 << 20) + b"middle" + bytes(9 << 20)
    (places("plain") / "sparse").write_bytes(content)
    assert all(isinstance(each, Done) for each in encrypting.outcomes(_tasks(places("plain"), places("staged"))))
    with Workers(Orders(recognised(identity), durable=False, holes=True), 1) as workers:
        (outcome,) = workers.outcomes(_tasks(places("staged"), places("restored")))
    assert isinstance(outcome, Done)
    assert outcome.written == _read(outcome.task.target)
    assert (places("restored") / "sparse").read_bytes() == content
    assert (places("restored") / "sparse").stat().st_blocks * 512 < 1 << 20


def test_what_goes_nowhere_is_told_with_its_digests(
    encrypting: Workers, decrypting: Workers, places: Callable[[str], Path]
) -> None:
    (places("plain") / "a").write_bytes(b"x" * 1000)
    (staged,) = encrypting.outcomes(_tasks(places("plain"), places("staged")))
    (outcome,) = decrypting.outcomes([Task(str(places("staged") / "a"), NOWHERE)])
    assert isinstance(staged, Done)
    assert isinstance(outcome, Done)
    assert (outcome.read, outcome.written) == (staged.written, staged.read)
    assert [each.name for each in places("staged").iterdir()] == ["a"]
