"""Two servers over one Redis: they count requests together and take turns in a conversation."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from tests.redis_server import RedisServer
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(60)

DELAY_S = 0.1
"""How long the model takes for a word."""

CONFIG = """
[server]
port = 0
[llm]
use = "echo"
options.delay_s = 0.1
[session]
use = "redis"
options.url = "{url}"
max_messages = 100
[limits]
user_per_minute = 40
session_per_minute = 40
[[transport]]
use = "relay_chat"
"""

FORM = {"message": "Hello", "type": "text", "sessionId": "s", "userId": "ada", "username": "Ada"}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def servers(redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    folder = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        config = folder / "jackfield.toml"
        config.write_text(CONFIG.format(url=redis.url))
        yield [
            stack.enter_context(ServerProcess(folder / name, [str(config)], {})) for name in ("one", "two")
        ]


def asked(servers: list[ServerProcess], count: int, **changes: str) -> list[int]:
    """Statuses of requests that are sent at once, to one server and the other by turns."""
    statuses: list[int] = []

    def ask(at: int) -> None:
        form = {**FORM, **changes, "message": f"Message {at}"}
        statuses.append(httpx.post(f"{servers[at % 2].url}/chat", data=form, timeout=30).status_code)

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return statuses


def test_turns_of_one_conversation_wait_for_each_other_on_both_servers(servers: list[ServerProcess]) -> None:
    began_s = time.monotonic()

    assert asked(servers, 6, sessionId="both", userId="bob") == [200] * 6

    assert time.monotonic() - began_s > 6 * 2 * DELAY_S, "turns ran at the same time"


def test_requests_on_both_servers_count_together(servers: list[ServerProcess]) -> None:
    statuses = asked(servers, 50, userId="carol", sessionId="busy")

    assert statuses.count(200) <= 40
    assert 429 in statuses
