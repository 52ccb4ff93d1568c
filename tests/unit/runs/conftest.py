from __future__ import annotations

import pytest

from ec2zfs.execute import opening, pool
from ec2zfs.tools import volume_keys


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_keys, "_COST", 2)
    for module in (opening, pool):
        monkeypatch.setattr(module, "DEVICE_SECONDS", 1)
