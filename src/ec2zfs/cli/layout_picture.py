"""The pool as a picture for a terminal: a line for each vdev, a block for each volume, coloured by its state.

The text table beside it says the same without colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from ec2zfs.model.pool import DeviceState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ec2zfs.model.layout import Place
    from ec2zfs.model.pool import Member
    from ec2zfs.model.standing import Standing

GOOD, WORKING, LOST, AWAY = "black on green", "black on yellow", "white on red", "white on bright_black"
LEGEND = (
    ("online", GOOD),
    ("resilvering, being replaced, degraded or with errors", WORKING),
    ("lost", LOST),
    ("offline or absent", AWAY),
)


def picture_of(standing: Standing) -> Text:
    """One line a vdev, also for one of the design that the pool does not have yet, and the legend."""
    lines = [_line(f"v{number} {vdev.name}", _blocks(standing, vdev.members)) for number, vdev in standing.vdevs()]
    absent = [place for place in standing.design.layout.places() if place.vdev > len(standing.pool.vdevs)]
    missing = [
        _line(f"v{number} -", [(f"s{each.slot}", AWAY) for each in absent if each.vdev == number])
        for number in dict.fromkeys(place.vdev for place in absent)
    ]
    return Text("\n").join([*lines, *missing, _legend()])


def style_of(member: Member) -> str:
    """The colour of a member."""
    match member.state:
        case DeviceState.ONLINE:
            return WORKING if member.replacing or member.resilvering or member.errors else GOOD
        case DeviceState.DEGRADED:
            return WORKING
        case DeviceState.OFFLINE:
            return AWAY
        case _:
            return LOST


def _line(name: str, blocks: Sequence[tuple[str, str]]) -> Text:
    """A line with its vdev's name to the left. A vdev of eight fits into 80 columns."""
    text = Text(f"{name:<12} ")
    for words, style in blocks:
        text.append(f" {words} ", style)
        text.append(" ")
    return text


def _blocks(standing: Standing, members: Sequence[Member]) -> list[tuple[str, str]]:
    labels = (_label(standing.place_of(each), standing.generation_of(each), each.name) for each in members)
    return [(label, style_of(member)) for label, member in zip(labels, members, strict=True)]


def _label(place: Place | None, generation: int, name: str) -> str:
    return f"s{place.slot}" + (f"-g{generation}" if generation else "") if place else name


def _legend() -> Text:
    text = Text()
    for words, style in LEGEND:
        text.append(" ", style)
        text.append(f" {words}  ")
    return text
