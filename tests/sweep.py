"""Which places a sweep tries, such as the calls at which a run is killed: one of each kind and no more than a dozen, or
with `--every` all; and with how many examples a property is tried.

A kind has many places that are alike, and the one that is tried is the first for the first kind, the second for the
second, and so on around: so those that are tried lie all over the run, and are the same every time.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager

EVERY = "--every"
_FEWEST_EXAMPLES = 10
_MOST_PLACES = 12
_every = False


def set_every(every: bool) -> None:
    """Let sweeps try every place from now on, or some."""
    global _every  # noqa: PLW0603 - what the command line said, for helpers that know of no pytest
    _every = every


@contextmanager
def all_places() -> Iterator[None]:
    """Try every place meanwhile, whatever the command line said."""
    before = _every
    set_every(True)
    try:
        yield
    finally:
        set_every(before)


def places(kinds: Sequence[Hashable], most: int = _MOST_PLACES) -> list[int]:
    """The places to try, by their indices and in order; `kinds` says of each place what kind it is of. Of more than
    `most`, so many are tried, evenly spread."""
    if _every:
        return list(range(len(kinds)))
    alike: dict[Hashable, list[int]] = {}
    for place, kind in enumerate(kinds):
        alike.setdefault(kind, []).append(place)
    found = sorted(those[number % len(those)] for number, those in enumerate(alike.values()))
    tried = min(len(found), most)
    return [found[number * len(found) // tried] for number in range(tried)]


def examples(most: int) -> int:
    """How many examples a property is tried with: so many with `--every`, else a fifth."""
    return most if _every else max(_FEWEST_EXAMPLES, most // 5)


def require_seen(seen: Mapping[str, Collection[object]], expected: Mapping[str, Collection[object]]) -> None:
    """What a sweep saw is what was expected: all of it if it tried every place, else nothing more than that."""
    unexpected = {where: what for where, what in seen.items() if not set(what) <= set(expected.get(where, ()))}
    assert not unexpected
    if _every:
        assert {where: set(what) for where, what in seen.items()} == {k: set(v) for k, v in expected.items()}
