"""The derivation of the volumes' keys. The values are pinned: another value would lock every existing pool out."""

from __future__ import annotations

import hashlib

from ec2zfs.hosts.secret import Secret
from ec2zfs.tools.hostid import host_id
from ec2zfs.tools.volume_keys import KEY_BYTES, VolumeKeys

KEYS = VolumeKeys(Secret(b"correct horse battery staple, four words"), "cloud")
"""Made once: it costs a tenth of a second."""


def digest(secret: Secret) -> str:
    return hashlib.sha256(secret.reveal()).hexdigest()[:16]


def test_the_derivation_never_changes() -> None:
    assert len(KEYS.key("cloud-v1s1-g1")) == KEY_BYTES == 64
    assert [digest(KEYS.key(name)) for name in ("cloud-v1s1-g1", "cloud-v2s5-g3")] == [
        "d0a169d7f9f80ec4",
        "ebfc1b363b38d9e9",
    ]


def test_every_place_generation_pool_and_pool_key_has_keys_of_its_own() -> None:
    names = ("cloud-v1s1-g1", "cloud-v1s2-g1", "cloud-v1s1-g2")
    others = (
        VolumeKeys(Secret(b"correct horse battery staple, four words"), "other"),
        VolumeKeys(Secret(b"correct horse battery staple, four wordS"), "cloud"),
    )
    found = [digest(keys.key(name)) for keys in (KEYS, *others) for name in names]
    assert len(set(found)) == 9


def test_records_stand_one_after_the_other() -> None:
    records = KEYS.records(["cloud-v1s1-g1", "cloud-v1s2-g1"]).reveal()
    assert records == KEYS.key("cloud-v1s1-g1").reveal() + KEYS.key("cloud-v1s2-g1").reveal()


def test_the_host_id_follows_from_the_pool_alone() -> None:
    assert host_id("cloud") == "0a4e9b23"
    assert len({host_id(name) for name in ("cloud", "clouds", "tank")}) == 3
