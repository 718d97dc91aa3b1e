"""What a service answers with an error, in the categories of `jackfield.errors`.

The shapes are those of OpenAI, which most services with models have taken over. What a service says in
words is not passed on: it may quote the conversation or a part of the key.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
)

_NAME: Final = re.compile(r"[\w.-]{1,64}")
_TOO_LONG: Final = re.compile(
    r"context (length|size|window)|maximum context|prompt is too long", re.IGNORECASE
)
_TOO_LONG_CODES: Final = {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length"}
_FILTER_CODES: Final = {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"}
_UNPAID_CODES: Final = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"}
_BUSY_CODES: Final = {"rate_limit_exceeded", "rate_limit_error", "too_many_requests"}
_SETTING_CODES: Final = {"model_not_found", "unsupported_parameter", "unsupported_value", "unknown_parameter"}
"""Refusals that are due to the options and not to the request, so that another provider may do better."""
_NOT_SERVED: Final = (404, 405)
_REQUEST_ID_HEADERS: Final = ("x-request-id", "apim-request-id")


def refusal(status: int, body: object, headers: Mapping[str, str]) -> ProviderError:
    """The category of an answer with an error status.

    `body` is the JSON of the answer, or of its member `error`; anything else says nothing. Names of
    `headers` are in lower case.
    """
    if isinstance(body, Mapping) and "error" in body:
        body = body["error"]
    what = f"answered {status}"
    for name in _REQUEST_ID_HEADERS:
        if _NAME.fullmatch(request_id := headers.get(name, "")):
            what += f", request {request_id}"
            break
    return _categorised(status, _Said(body), _retry_after_s(headers), what)


def error_in_answer(error: object) -> ProviderError:
    """The category of an `error` object in the middle of an answer that began well."""
    if not isinstance(error, Mapping):
        error = {"message": error}
    code = error.get("code")
    return _categorised(code if isinstance(code, int) else 500, _Said(error), None, "broke off its answer")


class _Said:
    """What an error object says, as far as programs can read it."""

    def __init__(self, error: object) -> None:
        error = error if isinstance(error, Mapping) else {}
        inner = error.get("innererror")
        inner = inner if isinstance(inner, Mapping) else {}
        names = (error.get("code"), error.get("type"), inner.get("code"))
        self.names = [name for name in names if isinstance(name, str) and _NAME.fullmatch(name)]
        self._message = error.get("message")

    def has(self, codes: set[str]) -> bool:
        return not codes.isdisjoint(self.names)

    @property
    def is_about_length(self) -> bool:
        return isinstance(self._message, str) and _TOO_LONG.search(self._message) is not None


def _categorised(status: int, said: _Said, retry_after_s: float | None, what: str) -> ProviderError:
    names = ", ".join(dict.fromkeys(said.names))
    told = f"The service {what}{f' ({names})' if names else ''}"
    if said.has(_FILTER_CODES):
        return ContentFiltered(f"{told}: its content filter stopped the request.")
    if said.has(_TOO_LONG_CODES) or (status in (400, 413, 422, 500) and said.is_about_length):
        return ContextTooLong(f"{told}: the prompt does not fit the model; set context_tokens.")
    if said.has(_UNPAID_CODES):
        return ProviderUnauthorized(f"{told}: the account has nothing left to spend.")
    if status == 429 or said.has(_BUSY_CODES):
        return ProviderRateLimited(f"{told}: too many requests or tokens.", retry_after_s=retry_after_s)
    if status in (401, 403):
        return ProviderUnauthorized(f"{told}: check the key and what it may use.")
    if status < 400 or status in _NOT_SERVED or said.has(_SETTING_CODES):
        return ProviderBadReply(f"{told}: check the address, the model and the options.")
    if status in (408, 409) or status >= 500:
        return ProviderUnavailable(f"{told}.", retry_after_s=retry_after_s)
    return ProviderRefused(f"{told}: it does not accept the request.")


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that the service asks to wait; OpenAI and Azure also say it in milliseconds."""
    try:
        if milliseconds := headers.get("retry-after-ms"):
            return max(0.0, float(milliseconds) / 1000)
        if (told := headers.get("retry-after")) is None:
            return None
        if told.strip().isdigit():
            return float(told)
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time())
    except ValueError:
        return None
