"""A Redis for the tests of its store, and stores in it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from jackfield_session_redis import RedisOptions
from jackfield_session_redis.store import RedisStore
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that keeps nothing on disk, for every test that does not kill it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    """A store, ready for use."""
    async with open_store(redis_server.url) as store:
        yield store


def open_store(url: str, **options: object) -> RedisStore:
    """Make a store of the Redis at an address."""
    return RedisStore(RedisOptions(url=SecretStr(url), **options), logging.getLogger("test"))
