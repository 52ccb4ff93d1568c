"""What holds for the tests of every folder.

`--every` lets sweeps ("killed at any call") try every place, and properties all their examples; without it sweeps try
one place of each kind and at most a dozen, and properties a fifth of the examples (tests/sweep.py).
`make check` goes without, `make test` with it: docs/design.md, "How it is tested", says what belongs where.
"""

from __future__ import annotations

import gc

import pytest
from hypothesis import HealthCheck, settings
from tests import sweep


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--every`."""
    parser.addoption(sweep.EVERY, action="store_true", help="sweeps try every call, not some")


def pytest_configure(config: pytest.Config) -> None:
    """Tell sweeps."""
    sweep.set_every(config.getoption(sweep.EVERY))
    # How long an example takes is the machine's affair, which may be busy.
    settings.register_profile(
        "ours",
        max_examples=sweep.examples(100),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        derandomize=True,  # the gate says the same of the same code; take it away to look for more
    )
    settings.load_profile("ours")


def pytest_collection_finish() -> None:
    """Search for garbage less often, and not in what stays: a tenth of the time went into that."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)
