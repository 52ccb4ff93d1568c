"""From what the volumes hold to what is formatted, opened, imported and created."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.fakes.pools import PAIR, SIX, design, volume, volumes

from ec2zfs.errors import ConfigurationError, Refused
from ec2zfs.model.contents import ImportablePool, ReceiverView, SeenVolume
from ec2zfs.model.layout import Layout, Redundancy
from ec2zfs.model.pool import DeviceState, Member, MemberName, PoolDesign, PoolStatus, Vdev
from ec2zfs.model.volume import Retirement, Volume, VolumeState
from ec2zfs.plan.pool import (
    CreatePool,
    FormatVolume,
    Holding,
    ImportPool,
    OpenVolume,
    ProveKey,
    holding,
    plan_pool,
    plan_unlocking,
)

ONE = volume("v1s1", attached="attached")
TWO = volume("v1s2", attached="attached")
BOTH = [ONE, TWO]
MAPPINGS = (ONE.mapping, TWO.mapping)
OURS = ImportablePool("cloud", 77, "ONLINE")


def seen(of: Volume, signatures: str = "", keyslots: int | None = None, **facts: object) -> SeenVolume:
    label = str(facts.get("label", of.mapping if keyslots is not None else ""))
    path = f"/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{of.serial}"
    return SeenVolume(of.serial, path, tuple(signatures.split()), keyslots, label, bool(facts.get("untouched")))


def blank(of: Volume) -> SeenVolume:
    return seen(of, untouched=True)


def formatted(of: Volume) -> SeenVolume:
    return seen(of, "crypto_LUKS crypto_LUKS", 1)


def status(paths: list[list[str]], kind: str = "mirror") -> PoolStatus:
    vdevs = tuple(
        Vdev(
            f"{kind}-{number}",
            kind,
            DeviceState.ONLINE,
            tuple(Member(path, DeviceState.ONLINE) for path in group),
        )
        for number, group in enumerate(paths)
    )
    return PoolStatus("cloud", 77, DeviceState.ONLINE, vdevs, 0, 0, 0)


PATHS = [f"/dev/mapper/{name}" for name in MAPPINGS]
IMPORTED = status([PATHS])


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        # Each of these was seen when luksFormat was killed at one of its writes (cryptsetup 2.6).
        (seen(ONE, untouched=True), Holding.BLANK),
        (seen(ONE, "crypto_LUKS", untouched=True), Holding.BEGUN),
        (seen(ONE, "crypto_LUKS crypto_LUKS", 0, untouched=True), Holding.BEGUN),
        (seen(ONE, "crypto_LUKS crypto_LUKS", 1, untouched=True), Holding.OURS),
        (seen(ONE, "crypto_LUKS crypto_LUKS", 1), Holding.OURS),
        # And these may hold data.
        (seen(ONE), Holding.FOREIGN),  # no signature, but not blank
        (seen(ONE, "crypto_LUKS"), Holding.FOREIGN),  # a broken header before data
        (seen(ONE, "crypto_LUKS crypto_LUKS", 0), Holding.FOREIGN),  # erased key slots before data: there is a backup
        (seen(ONE, "crypto_LUKS crypto_LUKS", 1, label="cloud-v1s2-g1"), Holding.FOREIGN),  # another place's
        (seen(ONE, "crypto_LUKS crypto_LUKS", 1, label="(no"), Holding.FOREIGN),
        (seen(ONE, "crypto_LUKS ext4", 1), Holding.FOREIGN),
        (seen(ONE, "ext4", untouched=True), Holding.FOREIGN),
        (seen(ONE, "zfs_member"), Holding.FOREIGN),
        (seen(ONE, "gpt PMBR", untouched=True), Holding.FOREIGN),
        (seen(ONE, "unreadable", untouched=True), Holding.FOREIGN),
    ],
)
def test_what_a_volume_holds(what: SeenVolume, expected: Holding) -> None:
    assert holding(ONE, what, encrypted=True) is expected


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        (seen(ONE, untouched=True), Holding.BLANK),
        (seen(ONE, "gpt zfs_member PMBR"), Holding.MEMBER),
        (seen(ONE), Holding.FOREIGN),
        (seen(ONE, "crypto_LUKS", 1), Holding.FOREIGN),
        (seen(ONE, "ext4"), Holding.FOREIGN),
    ],
)
def test_what_a_volume_without_encryption_holds(what: SeenVolume, expected: Holding) -> None:
    assert holding(ONE, what, encrypted=False) is expected


@pytest.mark.parametrize(
    ("view", "plan"),
    [
        (
            ReceiverView((blank(ONE), blank(TWO))),
            [FormatVolume(ONE, Holding.BLANK), FormatVolume(TWO, Holding.BLANK), OpenVolume(ONE), OpenVolume(TWO)],
        ),
        (
            ReceiverView((formatted(ONE), seen(TWO, "crypto_LUKS", untouched=True))),
            [ProveKey(ONE), FormatVolume(TWO, Holding.BEGUN), OpenVolume(ONE), OpenVolume(TWO)],
        ),
        (
            ReceiverView((formatted(ONE), formatted(TWO))),
            [ProveKey(ONE), ProveKey(TWO), OpenVolume(ONE), OpenVolume(TWO)],
        ),
        (ReceiverView((formatted(ONE), formatted(TWO)), (ONE.mapping,)), [ProveKey(TWO), OpenVolume(TWO)]),
        (
            ReceiverView((formatted(ONE), formatted(TWO)), MAPPINGS),
            [CreatePool(design(PAIR), (("/dev/mapper/cloud-v1s1-g1", "/dev/mapper/cloud-v1s2-g1"),))],
        ),
        (ReceiverView((formatted(ONE), formatted(TWO)), MAPPINGS, importable=(OURS,)), [ImportPool("cloud", 77)]),
        (ReceiverView((formatted(ONE), formatted(TWO)), MAPPINGS, ("cloud",), IMPORTED), []),
    ],
    ids=["blank", "begun", "formatted", "half open", "open", "made before", "done"],
)
def test_the_next_actions(view: ReceiverView, plan: list[object]) -> None:
    assert list(plan_pool(design(PAIR), BOTH, view)) == plan


def test_members_stand_in_the_order_of_places() -> None:
    six = volumes(attached="attached")
    view = ReceiverView(tuple(map(formatted, six)), tuple(each.mapping for each in six))
    (create,) = plan_pool(design(SIX), list(reversed(six)), view)
    assert isinstance(create, CreatePool)
    assert [[path.rpartition("/")[2] for path in vdev] for vdev in create.vdevs] == [
        ["cloud-v1s1-g1", "cloud-v1s2-g1", "cloud-v1s3-g1"],
        ["cloud-v2s1-g1", "cloud-v2s2-g1", "cloud-v2s3-g1"],
    ]


def test_without_encryption_nothing_is_formatted_and_the_volumes_are_the_members() -> None:
    bare = design(PAIR, encrypted=False)
    (create,) = plan_pool(bare, BOTH, ReceiverView((blank(ONE), blank(TWO))))
    assert create == CreatePool(bare, ((blank(ONE).path, blank(TWO).path),))
    partitions = status([[f"{blank(ONE).path}-part1", f"{blank(TWO).path}-part1"]])
    on_disk = (seen(ONE, "gpt zfs_member"), seen(TWO, "gpt zfs_member"))
    assert plan_pool(bare, BOTH, ReceiverView(on_disk, importable=(OURS,))) == (ImportPool("cloud", 77),)
    assert plan_pool(bare, BOTH, ReceiverView(on_disk, (), ("cloud",), partitions)) == ()


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (ReceiverView((blank(ONE),)), r"v1s2 \(vol-0102.*\) does not show on the receiver"),
        (ReceiverView((blank(ONE), seen(TWO, "ext4"))), r"did not put there stands on v1s2 .*nothing was formatted"),
        (
            ReceiverView((formatted(ONE), formatted(TWO)), MAPPINGS, importable=(ImportablePool("tank", 5, "ONLINE"),)),
            r"hold these pools: tank \(GUID 5, ONLINE\); nothing was created",
        ),
        (
            ReceiverView(
                (formatted(ONE), formatted(TWO)), MAPPINGS, importable=(OURS, ImportablePool("cloud", 78, "DEGRADED"))
            ),
            r"cloud \(GUID 77, ONLINE\), cloud \(GUID 78, DEGRADED\)",
        ),
        (
            ReceiverView((blank(ONE), blank(TWO)), (), ("cloud",), status([["/dev/sdx", "/dev/sdy"]])),
            r"A pool named cloud \(GUID 77\) is imported on the receiver, and its members are not .*/dev/sdx, /dev/sdy",
        ),
        (
            ReceiverView((formatted(ONE), formatted(TWO)), MAPPINGS, ("cloud",), status([PATHS], "raidz1")),
            "Pool cloud exists as raidz1, not as 1 x mirror of 2 x 1 GiB",
        ),
    ],
)
def test_what_stands_in_the_way_is_refused(view: ReceiverView, words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan_pool(design(PAIR), BOTH, view)


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ([ONE], "there is none at v1s2"),
        ([], "there is none at v1s1, v1s2"),
        ([ONE, TWO, volume("v1s2", 2)], "has 2 places, but 3 volumes were found"),
    ],
)
def test_a_pool_is_made_of_one_volume_for_each_place(standing: list[Volume], words: str) -> None:
    with pytest.raises(Refused, match=words):
        plan_pool(design(PAIR), standing, ReceiverView())


@pytest.mark.parametrize("accepted", [False, True])
def test_unlocking_tests_the_key_and_opens_what_is_ours_and_leaves_it_to_zfs_what_is_missing(accepted: bool) -> None:
    for given in ([TWO, ONE], [TWO]):
        ordered = sorted(given, key=lambda each: each.place)
        plan = plan_unlocking(design(PAIR), given, accept_degraded=accepted)
        assert plan == (
            *(ProveKey(each, if_ours=True) for each in ordered),
            *(OpenVolume(each, if_ours=True) for each in ordered),
            ImportPool("cloud", degraded=accepted),
        )


def test_without_encryption_there_is_nothing_to_open() -> None:
    plan = plan_unlocking(design(PAIR, encrypted=False), BOTH, accept_degraded=False)
    assert plan == (ImportPool("cloud"),)


@pytest.mark.parametrize("given", [[], [replace(ONE, state=VolumeState.ERROR)]])
def test_a_pool_without_volumes_is_refused(given: list[Volume]) -> None:
    with pytest.raises(Refused, match=r"No volume of pool cloud is attached to the receiver\. Create the pool first"):
        plan_unlocking(design(PAIR), given, accept_degraded=True)


NEW = volume("v1s1", 2, attached="attached")
LEFT_EARLY = replace(ONE, retirement=Retirement())
LEFT = replace(ONE, retirement=Retirement(datetime(2026, 11, 23, tzinfo=UTC)))
DEAD = replace(ONE, state=VolumeState.ERROR)


@pytest.mark.parametrize(
    ("given", "tested", "opened"),
    [
        # One replaces the other: the new one may be formatted under another key.
        ([NEW, ONE, TWO], "v1s1-g1 v1s2-g1", "v1s1-g1 v1s1-g2? v1s2-g1"),
        # The old one left before the new one was a member.
        ([LEFT_EARLY, NEW, TWO], "v1s2-g1", "v1s1-g2? v1s2-g1"),
        # The new one was seen to be a member.
        ([LEFT, NEW, TWO], "v1s1-g2 v1s2-g1", "v1s1-g2 v1s2-g1"),
        # What EC2 gave up is no use, nor is what left the pool.
        ([DEAD, NEW, TWO], "v1s1-g2 v1s2-g1", "v1s1-g2 v1s2-g1"),
        ([ONE, replace(NEW, retirement=LEFT.retirement), TWO], "v1s1-g1 v1s2-g1", "v1s1-g1 v1s2-g1"),
        ([ONE, replace(NEW, retirement=Retirement()), TWO], "v1s1-g1 v1s2-g1", "v1s1-g1 v1s2-g1"),
        # Two in every place.
        (
            [ONE, NEW, TWO, volume("v1s2", 2)],
            "v1s1-g1 v1s2-g1",
            "v1s1-g1 v1s1-g2? v1s2-g1 v1s2-g2?",
        ),
    ],
)
def test_the_key_must_fit_but_for_volumes_on_their_way_in(given: list[Volume], tested: str, opened: str) -> None:
    plan = plan_unlocking(design(PAIR), given, accept_degraded=False)
    proofs = [each.volume for each in plan if isinstance(each, ProveKey)]
    openings = [each for each in plan if isinstance(each, OpenVolume)]
    assert [f"{each.place}-g{each.generation}" for each in proofs] == tested.split()
    assert [
        f"{each.volume.place}-g{each.volume.generation}{'?' if each.if_fits else ''}" for each in openings
    ] == opened.split()


def test_a_pool_is_made_without_the_volumes_that_left_it() -> None:
    plan = plan_pool(design(PAIR), [LEFT, NEW, TWO], ReceiverView((blank(NEW), blank(TWO))))
    assert [action.volume for action in plan if isinstance(action, FormatVolume)] == [NEW, TWO]


def test_actions_say_what_they_do_and_why() -> None:
    texts = [
        str(ProveKey(ONE)),
        str(FormatVolume(ONE, Holding.BLANK)),
        str(FormatVolume(ONE, Holding.BEGUN)),
        str(OpenVolume(ONE, if_ours=True)),
        str(OpenVolume(ONE, if_ours=True, if_fits=True)),
        str(ImportPool("cloud", 77)),
        str(CreatePool(design(SIX), ())),
    ]
    assert texts == [
        f"test the pool key on cloud-v1s1-g1 ({ONE.id})",
        f"format cloud-v1s1-g1 ({ONE.id}) with LUKS2: it holds nothing",
        f"format cloud-v1s1-g1 ({ONE.id}) with LUKS2: it holds {Holding.BEGUN.value}",
        f"open cloud-v1s1-g1 ({ONE.id}), if it bears our LUKS2 header",
        f"open cloud-v1s1-g1 ({ONE.id}), if it bears our LUKS2 header and the key fits",
        "import pool cloud (GUID 77)",
        "create pool cloud: 2 x raidz1 of 3 x 1 GiB",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("cloud-v2s5-g1", ("cloud", "v2s5", 1)),
        ("/dev/mapper/cloud-v12s40-g13", ("cloud", "v12s40", 13)),
        ("a-v1s1-g1-v2s2-g2", ("a-v1s1-g1", "v2s2", 2)),
        ("cloud-v0s1-g1", None),
        ("cloud-v1s1", None),
        ("swap", None),
    ],
)
def test_names_of_members(text: str, name: tuple[str, str, int] | None) -> None:
    parsed = MemberName.parse(text)
    assert (parsed and (parsed.pool, str(parsed.place), parsed.generation)) == name


@pytest.mark.parametrize("name", ["", "mirror2", "raidz", "1st", "a b", "x" * 31, "log", "spare-1", "-a", "a/b"])
def test_names_that_no_pool_can_have(name: str) -> None:
    with pytest.raises(ConfigurationError):
        PoolDesign(name, Layout(Redundancy.MIRROR, 1, 2, 1))
