"""What the SDK raises, as the one error that callers know."""

from __future__ import annotations

from typing import Final

from redis import exceptions

from jackfield import StoreUnavailable

FAILURES: Final = (exceptions.RedisError, exceptions.RedisClusterException, OSError)
"""What the SDK raises when Redis cannot be used; the second is no kind of the first."""

_REASONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (exceptions.AuthenticationError, "refused the credentials. Mend `username` and `password`"),
    (exceptions.AuthenticationWrongNumberOfArgsError, "refused the credentials. Leave out `username`"),
    (exceptions.NoPermissionError, "forbids its user a command, a key or a channel. Mend its ACL"),
    (exceptions.OutOfMemoryError, "is full. Raise its `maxmemory`"),
    (exceptions.ReadOnlyError, "is a replica. Name the primary, or use redis+sentinel://"),
    (exceptions.BusyLoadingError, "is still loading its data"),
)


def unavailable(where: str, error: Exception) -> StoreUnavailable:
    """Say why Redis did not do what was asked, and quote neither keys nor values."""
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return StoreUnavailable(f"Redis at {where} {reason}.")
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return StoreUnavailable(f"Redis at {where} did not answer in time.")
    if isinstance(error, OSError | exceptions.ConnectionError):
        reason = str(error).rstrip(".") or type(error).__name__
        return StoreUnavailable(f"Redis at {where} cannot be reached: {reason}.")
    if isinstance(error, exceptions.RedisClusterException):
        return StoreUnavailable(f"Redis at {where} is no cluster, or none that answers and is whole.")
    code = str(error).partition(" ")[0]  # the rest may quote keys and values
    known = code if code.isalpha() and code.isupper() else type(error).__name__
    return StoreUnavailable(f"Redis at {where} did not do what it was asked: {known}.")


def cause(error: Exception) -> Exception | None:
    """Give what may be logged as the cause: not what Redis answered, which may quote keys and values."""
    return None if isinstance(error, exceptions.ResponseError) else error
