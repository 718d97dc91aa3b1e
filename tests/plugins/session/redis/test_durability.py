"""What the Redis store asks of a Redis that is declared persistent."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from jackfield import StoreUnavailable
from tests.plugins.session.redis.stores import keep, kept, make_store
from tests.redis_server import DURABLE, RedisServer

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

WEAK = {
    "no file": (["--appendonly", "no"], 'appendonly "no" instead of "yes"'),
    "every second": (["--appendonly", "yes", "--appendfsync", "everysec"], 'appendfsync "everysec"'),
    "eviction": ([*DURABLE, "--maxmemory-policy", "allkeys-lru"], 'maxmemory-policy "allkeys-lru"'),
    "no telling": ([*DURABLE, "--rename-command", "CONFIG", ""], "may forbid CONFIG"),
}


@pytest.mark.parametrize(("arguments", "reason"), WEAK.values(), ids=WEAK)
async def test_what_is_weaker_is_refused_unless_the_loss_is_accepted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, arguments: Sequence[str], reason: str
) -> None:
    with RedisServer(tmp_path, arguments) as server:
        with pytest.raises(StoreUnavailable, match=reason) as refusal:
            await make_store(server.url, persistent=True).__aenter__()
        assert "accept_loss = true" in str(refusal.value)
        with caplog.at_level(logging.WARNING):
            async with make_store(server.url, persistent=True, accept_loss=True) as store:
                await keep(store, "key")
        assert reason in caplog.text
        async with make_store(server.url) as store:
            await keep(store, "key")


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    with RedisServer(tmp_path, DURABLE) as server:
        async with make_store(server.url, persistent=True) as store:
            await keep(store, "key")
            server.kill()
        server.start()
        async with make_store(server.url, persistent=True) as store:
            assert await kept(store, "key") == ["question 1", "answer 1"]


async def test_a_redis_that_is_away_stops_the_start_of_a_persistent_store(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await make_store(server.url, persistent=True).__aenter__()
