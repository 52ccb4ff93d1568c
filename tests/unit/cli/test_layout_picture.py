"""The pool as a picture: its lines and its legend. The colour of each block: test_pool_status.py."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console
from tests.fakes.pools import SIX
from tests.fakes.standing import FORTY, standing

from ec2zfs.cli.layout_picture import AWAY, GOOD, LEGEND, LOST, WORKING, picture_of
from ec2zfs.model.standing import Standing

HEALTHY = standing()


def styled(stands: Standing) -> list[list[tuple[str, str]]]:
    """The blocks of each line of the picture, with their colours."""
    return [
        [(line.plain[span.start : span.end].strip(), str(span.style)) for span in line.spans]
        for line in picture_of(stands).split("\n")
    ]


def test_it_has_a_line_for_each_vdev_a_block_for_each_volume_and_a_legend() -> None:
    *vdevs, legend = styled(HEALTHY)
    assert vdevs == [[("s1-g1", GOOD), ("s2-g1", GOOD), ("s3-g1", GOOD)]] * 2
    assert [style for _, style in legend] == [style for _, style in LEGEND] == [GOOD, WORKING, LOST, AWAY]


def test_a_vdev_that_is_yet_to_come_is_grey() -> None:
    wider = replace(HEALTHY, design=replace(HEALTHY.design, layout=replace(SIX, vdevs=3)))
    assert styled(wider)[2] == [("s1", AWAY), ("s2", AWAY), ("s3", AWAY)]


def test_a_vdev_of_eight_fits_on_a_line_of_a_terminal() -> None:
    usual = Console(file=io.StringIO(), width=80, color_system=None)
    with usual.capture() as captured:
        usual.print(picture_of(standing(FORTY)))
    lines = captured.get().splitlines()
    assert [line.split()[-1] for line in lines[:5]] == ["s8-g1"] * 5
