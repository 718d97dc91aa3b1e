"""A Redis for the tests of its store, and a store in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from jackfield_session_redis.store import RedisStore
from tests.plugins.session.redis.stores import make_store
from tests.redis_server import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A server that keeps nothing on disk, for every test that does not kill it."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def store(redis_server: RedisServer) -> AsyncIterator[RedisStore]:
    """A store, ready for use."""
    async with make_store(redis_server.url) as store:
        yield store
