"""On which terms files are staged, by the configuration: whose keys, under which names, on which machine, by whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ec2zfs.errors import ConfigurationError, Refused

if TYPE_CHECKING:
    from ec2zfs.config import Configuration
    from ec2zfs.staging.terms import Terms


def staging_terms(configuration: Configuration) -> Terms:
    """The configured recipients, judged, and how the files are to be called.

    Raises `ConfigurationError` for a file of keys that cannot be read, `RecipientRefused` as `judged` does, and
    `Refused` where we are not root at the site.
    """
    from ec2zfs.encryption.recipients import judged
    from ec2zfs.staging.terms import NameMode, Terms

    _require_site_and_root(configuration)
    section = configuration.staging
    return Terms(judged(_text(each) for each in section.recipients), NameMode(section.names))


def _require_site_and_root(configuration: Configuration) -> None:
    """Raise `Refused` unless this is the site, and we may read every file there."""
    if configuration.site.connection != "local":
        raise Refused(
            "Staging reads and encrypts the files of the site, which is another machine (site.connection).",
            hint="Run ec2zfs on the file server.",
        )
    if os.geteuid() != 0:
        raise Refused("Staging reads every file of the sources, so it has to run as root.")


def _text(recipient: str) -> str:
    """The key, or the keys in the file that is named."""
    if not recipient.startswith(("/", "~/")):
        return recipient
    path = Path(recipient).expanduser()
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The recipients in {path} are no text.", hint="Export the key as one: `gpg --armor --export NAME`."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"The recipients in {path} cannot be read: {error.strerror}.") from error
