"""The service as the SDK sees it: how it is reached, and what its failures are to the core."""

from __future__ import annotations

import re
from typing import Any, Final

import azure.cognitiveservices.speech as sdk  # type: ignore[import-untyped]  # it has no types

from jackfield import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield_azure_speech_account import AccountOptions

_NO_RETRIES: Final = {
    "SPEECH-Error-RetryConnectionFailures": "false",
    "SPEECH-Error-MaxRetryCount": "0",  # after refusals that are not for good: 429, 500
    "SpeechSynthesis_MaxRetryTimes": "0",
}
_FAILURES: Final[dict[str, tuple[type[ProviderError], str]]] = {
    "AuthenticationFailure": (ProviderUnauthorized, "Check `key`; it belongs to one `region` or `host`."),
    "Forbidden": (ProviderUnauthorized, "Check the resource's quota and network rules."),
    "BadRequest": (ProviderBadReply, "Check that it knows the languages and voices that are asked for."),
    "TooManyRequests": (ProviderRateLimited, "The resource serves a bounded number of requests at once."),
    "ServiceTimeout": (ProviderTimedOut, "It did not answer in time."),
    "ConnectionFailure": (ProviderUnavailable, "Check `region` or `host`, and the network."),
}
_STATUS: Final = re.compile(r"\((\d{3})\)|[Ee]rror code: (\d{3,4})\b")


def speech_config(account: AccountOptions) -> Any:  # Any: the SDK has no types
    """Make what recognisers and synthesisers are built from."""
    place = {"host": account.host} if account.host else {"region": account.region}
    config = sdk.SpeechConfig(subscription=account.key and account.key.get_secret_value(), **place)
    # Whoever waits decides whether to try again, and whom to ask instead.
    for name, value in _NO_RETRIES.items():
        config.set_property_by_name(name, value)
    return config


def failure(code: str, details: str) -> ProviderError:
    """Turn a cancellation into an error.

    `code` is the SDK's name for it. Of `details`, which may quote what was sent, only a number is told.
    """
    kind, fix = _FAILURES.get(code, (ProviderUnavailable, "It may do better a little later."))
    found = _STATUS.search(details)
    status = f", {found[1] or found[2]}" if found else ""
    return kind(f"Azure Speech failed ({code}{status}). {fix}")
