"""Stores in a Redis, for tests."""

from __future__ import annotations

import logging
from typing import Any

from pydantic import SecretStr

from jackfield.contracts.session import StoredMessage, Windows
from jackfield.testing.session import moment
from jackfield_session_redis import RedisOptions
from jackfield_session_redis.store import RedisStore


def make_store(url: str, **options: Any) -> RedisStore:
    """Make a store of the Redis at an address."""
    return RedisStore(RedisOptions(url=SecretStr(url), **options), logging.getLogger("redis-test"))


def pair(name: str) -> list[StoredMessage]:
    """Make a question and its answer."""
    question = StoredMessage(f"question {name}", "text", moment(1), is_user=True)
    return [question, StoredMessage(f"answer {name}", "text", moment(2), is_user=False)]


async def keep(store: Windows, key: str, name: str = "1", *, ttl_s: float = 60.0) -> bool:
    """Append a pair."""
    return await store.append(key, pair(name), max_messages=1000, ttl_s=ttl_s)


async def kept(store: Windows, key: str) -> list[str]:
    """What a conversation holds."""
    window = await store.load(key)
    return [message.content for message in window.messages] if window else []
