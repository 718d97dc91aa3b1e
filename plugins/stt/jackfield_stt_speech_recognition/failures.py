"""What went wrong, in the categories of providers."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from urllib.error import HTTPError

from jackfield.errors import (
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)


def provider_error(engine: str, error: Exception) -> ProviderError:
    """Give the category of an exception that SpeechRecognition let through.

    It keeps the answer's status in the exception behind its own. No text of a service is quoted.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, HTTPError):
            cause.close()  # its connection, which SpeechRecognition leaves open
    status = next((status for cause in causes if (status := _status(cause))), None)
    if status is not None:
        return _of_status(engine, status, causes)
    if any(isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__ for cause in causes):
        return ProviderTimedOut(f"The engine {engine} did not answer in time.")
    if isinstance(error, ValueError | LookupError | TypeError | AttributeError):
        return ProviderBadReply(
            f"The engine {engine} gave an answer that cannot be understood ({type(error).__name__})."
        )
    return ProviderUnavailable(f"The engine {engine} cannot be reached ({type(causes[-1]).__name__}).")


def _of_status(engine: str, status: int, causes: list[BaseException]) -> ProviderError:
    message = f"The engine {engine} answered with status {status}."
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return ProviderUnauthorized(f"{message} Check its key.")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return ProviderRateLimited(message, retry_after_s=_retry_after_s(causes))
    if status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.GATEWAY_TIMEOUT):
        return ProviderTimedOut(message)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return ProviderUnavailable(message, retry_after_s=_retry_after_s(causes))
    return ProviderBadReply(message)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those behind it, also what urllib gives as a reason."""
    found: BaseException | None = error
    while found is not None:
        yield found
        reason = getattr(found, "reason", None)
        found = found.__cause__ or found.__context__ or (reason if isinstance(reason, OSError) else None)


def _status(error: BaseException) -> int | None:
    for name in ("code", "status_code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and 400 <= status < 600:
            return int(status)
    return None


def _retry_after_s(causes: list[BaseException]) -> float | None:
    for cause in causes:
        headers = getattr(cause, "headers", None) or getattr(
            getattr(cause, "response", None), "headers", None
        )
        if headers and (told := headers.get("Retry-After")):
            try:
                return max(0.0, float(told))
            except ValueError:  # it is a date
                return None
    return None
