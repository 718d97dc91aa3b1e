"""Whether Redis keeps what it has acknowledged."""

from __future__ import annotations

import logging
from typing import Final

from jackfield import StoreUnavailable
from jackfield_session_redis.link import Link
from jackfield_session_redis.options import RedisOptions

_WANTED: Final = {"appendonly": "yes", "appendfsync": "always"}
_POLICY: Final = "maxmemory-policy"


async def check_durability(link: Link, options: RedisOptions, logger: logging.Logger) -> None:
    """Make sure that Redis is as lasting as the options say.

    :raises StoreUnavailable: when it is not, or does not tell, and no loss is accepted.
    """
    if not options.persistent:
        return
    reason = await _weakness(link)
    if reason is None:
        return
    if not options.accept_loss:
        raise StoreUnavailable(
            f"Redis at {link.where} is declared `persistent`, and {reason}. Mend its configuration, or "
            "accept that it may lose what it has acknowledged: accept_loss = true."
        )
    logger.warning("Redis at %s may lose what it has acknowledged: %s", link.where, reason)


async def _weakness(link: Link) -> str | None:
    """Say why Redis may lose something, None when it does not."""
    for name, wanted in _WANTED.items():
        for value in await _configured(link, name):
            if value is None:
                return f"does not tell its setting {name} (a managed service may forbid CONFIG)"
            if value != wanted:
                return f'has {name} "{value}" instead of "{wanted}"'
    for value in await _configured(link, _POLICY):
        if value is not None and value.startswith("allkeys"):
            return f'has {_POLICY} "{value}", which deletes stored messages when memory is short'
    return None


async def _configured(link: Link, name: str) -> list[str | None]:
    """Read a setting of every server; None where it is not told."""
    return [_value(answer) for answer in await link.ask_everywhere("CONFIG", "GET", name)]


def _value(answer: object) -> str | None:
    if isinstance(answer, list) and len(answer) == 2 and isinstance(answer[1], bytes):
        return answer[1].decode(errors="replace")
    return None
