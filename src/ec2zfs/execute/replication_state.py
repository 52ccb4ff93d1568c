"""Sees both sides of replication: the sources at the site, the copies on the receiver, and what partial ones hold.

The number of executions does not grow with the number of datasets or snapshots. It changes nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from ec2zfs.errors import CommandFailed, ConfigurationError, Refused
from ec2zfs.hosts.host import Host
from ec2zfs.model.sighting import Look
from ec2zfs.model.snapshot import Dataset
from ec2zfs.model.source import Source
from ec2zfs.tools.zfs import Zfs, missing_datasets
from ec2zfs.tools.zfs_look import histories, look, noted
from ec2zfs.tools.zfs_streams import decoded

_MOST_NAMED = 1 << 20
"""Bytes of names in one command; Linux takes twice as many, the environment among them."""
_BESIDE_A_NAME = 9
"""What the kernel adds to each: its end, and where it stands."""


def source_datasets(site: Host, sources: Sequence[Source]) -> tuple[Dataset, ...]:
    """All datasets of the sources with their histories, each once; `ConfigurationError` when one does not exist."""
    zfs, found = Zfs(site), dict[str, Dataset]()
    try:
        for recursive in (True, False):
            names = [source.dataset for source in sources if source.recursive is recursive]
            found |= {dataset.name: dataset for dataset in zfs.datasets(names, recursive=recursive)}
    except CommandFailed as error:
        missing = missing_datasets(error)
        if missing:
            raise missing_sources(site, missing) from error
        raise
    return tuple(found.values())


def target_datasets(site: Host, receiver: Host, pool: str) -> tuple[Dataset, ...]:
    """All datasets of the cloud pool, with their resume tokens decoded at the site; `Refused` without the pool."""
    try:
        targets = Zfs(receiver).datasets((pool,), recursive=True)
    except CommandFailed as error:
        if missing_datasets(error):
            raise Refused(f"The pool {pool} is not imported on {receiver.name}.", hint="Unlock it first.") from error
        raise
    return tuple(with_token(site, target) for target in targets)


def source_look(site: Host, sources: Sequence[Source]) -> Look:
    """All datasets of the sources without their histories; `ConfigurationError` when one does not exist."""
    try:
        tree = look(site, [source.dataset for source in sources if source.recursive])
        alone = [source.dataset for source in sources if not source.recursive]
        return tree | look(site, alone, recursive=False) if alone else tree
    except CommandFailed as error:
        missing = missing_datasets(error)
        if missing:
            raise missing_sources(site, missing) from error
        raise


def pool_note(receiver: Host, pool: str) -> str:
    """What a run noted on the cloud pool ("": nothing); `Refused` without the pool."""
    try:
        return noted(receiver, pool)
    except CommandFailed as error:
        if missing_datasets(error):
            raise Refused(f"The pool {pool} is not imported on {receiver.name}.", hint="Unlock it first.") from error
        raise


def pool_look(receiver: Host, pool: str, alone: Collection[str] = ()) -> Look:
    """All datasets of the cloud pool without their histories, or only those that are known to be `alone` in it, unless
    one of them is gone."""
    try:
        if alone and sum(len(name) + _BESIDE_A_NAME for name in alone) < _MOST_NAMED:
            return look(receiver, sorted(alone), recursive=False)
    except CommandFailed as error:
        if not missing_datasets(error):
            raise
    return look(receiver, (pool,))


def listed(host: Host, seen: Look, known: Mapping[str, Dataset], among: Collection[str]) -> tuple[Dataset, ...]:
    """The datasets of a look: those `known` as they are, and those `among` which are listed with their histories."""
    rest = [each.dataset for name, each in seen.sightings.items() if name in among and name not in known]
    found = {**known, **{each.name: each for each in histories(host, rest)}}
    return tuple(found.get(name, each.dataset) for name, each in seen.sightings.items())


def with_token(site: Host, target: Dataset) -> Dataset:
    """The target with what its resume token says, read at the site: nothing is asked of the receiver about itself."""
    return replace(target, partial=decoded(site, target.partial)) if target.partial else target


def missing_sources(site: Host, missing: Iterable[str]) -> ConfigurationError:
    """The error for sources that do not exist, with the nearest datasets that do."""
    words = ", ".join(missing)
    existing = Zfs(site).names()
    near = difflib.get_close_matches(words, existing, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`zfs list` there shows what there is."
    return ConfigurationError(f"On {site.name} there is no dataset {words} to back up.", hint=hint)
