"""speech-assistant behind a balancer: which server answers, and what becomes of the calls of one that dies.

The tests of sessions, calls and telephones run behind one too.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from jackfield_transport_speech_assistant.book import LIVE_S
from tests.contracts.harness import refusal, until
from tests.contracts.speech import Replicas, end, new_session, newcomer, replicas, switching, talking, told
from tests.redis_server import RedisServer
from tests.transports.browser import Browser

pytestmark = pytest.mark.anyio


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as redis:
        yield redis


@pytest.fixture
def pair(tmp_path: Path, redis: RedisServer) -> Iterator[Replicas]:
    """Two servers, where everybody may have one session."""
    with replicas(tmp_path, redis, sessions_per_user=1) as pair:
        yield pair


def served_by(pair: Replicas, headers: Mapping[str, str]) -> list[str]:
    """Which replicas answer four requests."""
    answers = [pair.client.get("/scenarios", headers=headers).raise_for_status() for _ in range(4)]
    return [answer.headers["x-served-by"] for answer in answers]


@pytest.mark.contract("SA-18", "SA-48", "SA-49")
async def test_a_server_that_dies_takes_its_calls_along_and_no_more(
    pair: Replicas, redis: RedisServer
) -> None:
    ann = newcomer(pair)
    assert sorted(served_by(pair, ann)) == ["replica-0"] * 2 + ["replica-1"] * 2
    survivor, owner = pair.servers
    session = new_session(survivor, ann)
    async with talking(owner, ann, session, Browser(channel=True)):
        os.kill(owner.pid, signal.SIGKILL)
    until(lambda: set(served_by(pair, ann)) == {"replica-0"}, "the balancer asks the other one alone")

    refusal(pair.client.get("/realtime/session", headers=ann), 429, "too_many_sessions")
    redis.age(LIVE_S)
    refusal(end(pair, ann, session), 404, "session_not_found")
    again = new_session(pair, ann)
    async with talking(pair, ann, again, Browser(channel=True)):
        with switching(pair, ann, "gameshow_host") as socket:
            assert told(socket)["session_id"] == again["session_id"]
