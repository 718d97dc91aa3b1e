"""From the URL of a bucket to a client of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pydantic import SecretStr

from jackfield.audio.clips.outages import outage_of
from jackfield.errors import ConfigError, Problem

if TYPE_CHECKING:
    from obstore.store import ObjectStore

_RETRIES: Final = 2
"""An idle connection that the store has closed is found out by using it."""
_IDLE_S: Final = 120
"""Longer than between two clean-ups, so that the next clip need not wait for a connection."""


def connect(url: str, options: Mapping[str, SecretStr], *, request_s: float) -> ObjectStore:
    """Make a client of the bucket that a URL names: `s3://BUCKET/PREFIX`, `az://...`, `gs://...`.

    Opens nothing. What `options` do not say is taken from the environment, as the library does. A request
    ends after `request_s` seconds.

    :raises ConfigError: when the library is missing, or something is wrong with the settings.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        message = "Clips in an object store need the package obstore, which cannot be imported."
        raise ConfigError([Problem("audio.url", message, "pip install 'jackfield[object-store]'")]) from error
    settings = {name: secret.get_secret_value() for name, secret in options.items()}
    given = {name: value for name, value in settings.items() if value}
    limit = timedelta(seconds=request_s)
    try:
        store: ObjectStore = from_url(
            url,
            config=given,  # type: ignore[call-overload]  # its keys are the file's; the library checks them
            client_options={
                "allow_http": _names_plain_http(given),
                "pool_idle_timeout": timedelta(seconds=_IDLE_S),
                "timeout": limit,
            },
            retry_config={"max_retries": _RETRIES, "retry_timeout": limit},
        )
    except (BaseError, ValueError) as error:
        # Without its cause: the library's words may hold what was set.
        raise ConfigError([_problem(error, url)]) from None
    return store


def _names_plain_http(options: Mapping[str, str]) -> bool:
    """Whether somebody has asked for a store without TLS, as there are on one's own network."""
    named = [value for name, value in os.environ.items() if name.startswith(("AWS_", "AZURE_", "GOOGLE_"))]
    return any(value.startswith("http://") for value in [*options.values(), *named])


def _problem(error: Exception, url: str) -> Problem:
    scheme = urlsplit(url).scheme
    outage = outage_of(error)
    section = f"audio.options.{outage.setting}" if outage.setting else "audio.url"
    return Problem(section, f"{url} cannot be used: {outage.reason}.", outage.fix(scheme))
