"""The pool as it would be if all were well: what a preview supposes while the pool is locked."""

from __future__ import annotations

import pytest
from tests.fakes.pools import PAIR, SIX, design, volume, volumes
from tests.fakes.standing import NOW, standing

from ec2zfs.model.layout import GIB, Layout
from ec2zfs.model.pool import raw_size
from ec2zfs.plan.supposition import supposed


@pytest.mark.parametrize(("layout", "gib"), [(SIX, 3), (PAIR, 1)], ids=["raidz", "mirror"])
def test_a_vdev_is_as_large_as_in_an_open_pool(layout: Layout, gib: int) -> None:
    pool = supposed(design(layout), volumes(layout), 6, NOW).pool

    assert [vdev.size for vdev in pool.vdevs] == [gib * GIB] * layout.vdevs
    assert pool.size == standing(layout).pool.size


@pytest.mark.parametrize(("spare", "attached"), [(0, ""), (1, "v1s1"), (6, "v1s1 v1s2")])
def test_what_is_on_its_way_in_is_attached_as_far_as_it_fits(spare: int, attached: str) -> None:
    new = [volume("v1s1", 2, attached="attached"), volume("v1s2", 2)]
    stands = supposed(design(PAIR), [*volumes(PAIR), *new], spare, NOW)

    assert [each.generation for each in stands.pool.members] == [1, 1]
    hanging = [each for each in stands.current if stands.attached(each)]
    assert [each.generation for each in hanging] == [1, 1] + [2] * len(attached.split())
    assert " ".join(str(each.place) for each in hanging if each.generation == 2) == attached
    assert len(stands.current) == 4


@pytest.mark.parametrize(
    ("kind", "members", "gib"),
    [("mirror", 2, 5), ("mirror", 3, 5), ("raidz1", 8, 40), ("raidz3", 5, 25), ("disk", 1, 5)],
)
def test_the_raw_size_of_a_vdev(kind: str, members: int, gib: int) -> None:
    assert raw_size(kind, members, 5) == gib * GIB
