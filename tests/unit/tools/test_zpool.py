"""What zpool prints, recorded from OpenZFS 2.3.2, and what we make of it; the arguments with which a pool is made."""

from __future__ import annotations

from pathlib import Path

from ec2zfs.model.contents import ImportablePool
from ec2zfs.model.layout import Redundancy
from ec2zfs.tools.zpool import ListedPool, create_arguments, importable_pools, listed_pools

RECORDED = Path(__file__).with_name("recorded")
LISTED = ListedPool("cloud", 5693525438822538466, 5905580032, 835584, 5904744448, "ONLINE")


def test_list() -> None:
    text = "cloud\t5693525438822538466\t5905580032\t835584\t5904744448\tONLINE\nlost\t12\t-\t-\t-\tUNAVAIL\n"
    assert listed_pools(text) == (LISTED, ListedPool("lost", 12, 0, 0, 0, "UNAVAIL"))
    assert listed_pools("") == ()


def test_import() -> None:
    text = (RECORDED / "import.txt").read_text()
    other = text.replace("pool: cloud", "pool: tank").replace("id: 5693525438822538466", "id: 7")
    assert importable_pools(text + "\n" + other.replace("state: ONLINE", "state: UNAVAIL")) == (
        ImportablePool("cloud", 5693525438822538466, "ONLINE"),
        ImportablePool("tank", 7, "UNAVAIL"),
    )
    assert importable_pools("") == ()


def test_create_arguments() -> None:
    vdevs = [["/dev/mapper/a", "/dev/mapper/b"], ["/dev/mapper/c", "/dev/mapper/d"]]
    words = create_arguments("cloud", Redundancy.MIRROR, vdevs)
    assert " ".join(words) == (
        "-o ashift=12 -o autoexpand=off -o cachefile=none -o compatibility=openzfs-2.1-linux "
        "-O acltype=posix -O atime=off -O canmount=off -O compression=lz4 -O mountpoint=none -O recordsize=1M "
        "-O xattr=sa -R /mnt cloud mirror /dev/mapper/a /dev/mapper/b mirror /dev/mapper/c /dev/mapper/d"
    )
    assert "-f" not in words
