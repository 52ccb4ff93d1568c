from __future__ import annotations

from functools import lru_cache

import pytest

from ec2zfs.execute import members, opening, pool
from ec2zfs.tools import volume_keys
from ec2zfs.tools.observation import receiver_view

READ_ONCE = lru_cache(maxsize=4096)(receiver_view)
"""What scripts print is the same in most of the thousands of runs; it is text to frozen values, so once is enough."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)
    for module in (members, pool):
        monkeypatch.setattr(module, "receiver_view", READ_ONCE)
