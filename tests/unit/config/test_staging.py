"""The section on staging: what it takes, and that it never shows an identity that somebody put there."""

from __future__ import annotations

import pytest
from tests.unit.config.test_faults import RIGHT, said

from ec2zfs.config import parse


def staging(*lines: str) -> str:
    return RIGHT + "\n".join(("[staging]", *lines, ""))


def test_nothing_is_staged_unless_it_is_asked_for() -> None:
    section = parse(RIGHT).staging
    assert (section.dataset, section.recipients, section.names, section.full_walk_days) == (None, (), "plain", 7)
    assert parse(RIGHT).sources[0].staged


def test_a_dataset_with_recipients() -> None:
    found = parse(staging('dataset = "vault/staged"', 'recipients = ["/etc/keys.asc"]', 'names = "encrypted"')).staging
    assert (found.dataset, found.recipients, found.names) == ("vault/staged", ("/etc/keys.asc",), "encrypted")


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (('dataset = "vault"',), "staging.recipients are needed where staging has a dataset"),
        (('dataset = "vault"', 'recipients = ["keys.asc"]'), "staging.recipients[1] must be age1…, an armoured"),
        (('dataset = "vault"', 'recipients = ["age1a"]', 'names = "none"'), 'must be "plain" or "encrypted"'),
        (('dataset = "vault"', 'recipients = ["age1a"]', "full_walk_days = 0"), "must be at least 1; it is 0"),
        (('dataset = "tank"', 'recipients = ["age1a"]'), "staging must be apart from what it stages, but tank"),
        (('dataset = "tank/home/x"', 'recipients = ["age1a"]'), "tank/home/x overlaps tank/home"),
        (('dataset = "vault@one"', 'recipients = ["age1a"]'), "must be the name of a dataset"),
        ((f'dataset = "{"v" * 245}"', 'recipients = ["age1a"]'), "has at most 255 characters"),
    ],
)
def test_what_cannot_be(lines: tuple[str, ...], fault: str) -> None:
    (told,) = said(staging(*lines))
    assert fault in told


@pytest.mark.parametrize(
    "given",
    [
        '["AGE-SECRET-KEY-1HIDDEN"]',
        '["age1a", "age-secret-key-1HIDDEN"]',
        '"AGE-SECRET-KEY-1HIDDEN"',
        '["-----BEGIN PGP PRIVATE KEY BLOCK-----\\nHIDDEN"]',
    ],
)
def test_an_identity_is_refused_and_shown_nowhere(given: str) -> None:
    (told,) = said(staging('dataset = "vault"', f"recipients = {given}"))
    assert "whoever has it can decrypt everything, so it must not be on this machine." in told
    assert "HIDDEN" not in told
