"""relay-chat with its sessions in Redis: they outlive the server, and Redis may go away and come back."""

from __future__ import annotations

import base64
import os
import signal
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import httpx
import pytest

from tests.contracts.harness import ROOT, Tree, TrialServer, refusal, until
from tests.redis_server import DURABLE, RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis that keeps what it acknowledges."""
    with RedisServer(tmp_path / "redis", DURABLE) as server:
        yield server


def in_redis(redis: RedisServer) -> Tree:
    """The configuration of a server with its sessions there."""
    options = {"folder": None, "url": redis.url, "persistent": True}
    return {"session": {"use": "redis", "max_messages": 10_000, "options": options}}


def contents(server: TrialServer, session: str) -> list[str]:
    """What a session holds."""
    window = server.window(sessionId=session)
    return [message["content"] for message in window["messages"]] if window else []


@pytest.mark.contract("RC-30", "RC-07")
def test_a_conversation_goes_on_after_a_restart_of_the_server(redis: RedisServer, tmp_path: Path) -> None:
    with TrialServer(tmp_path / "one", in_redis(redis)) as server:
        assert server.chat(message="My name is Ann").status_code == 200
    with TrialServer(tmp_path / "two", in_redis(redis)) as server, server.noting("llm") as asked:
        server.chat(message="What is my name?")
    assert [message for message in asked[0]["messages"] if message[0] != "system"] == [
        ["user", "My name is Ann"],
        ["assistant", "You said: My name is Ann"],
        ["user", "What is my name?"],
    ]


@pytest.mark.contract("RC-30")
def test_two_servers_share_a_conversation(redis: RedisServer, tmp_path: Path) -> None:
    with (
        TrialServer(tmp_path / "one", in_redis(redis)) as one,
        TrialServer(tmp_path / "two", in_redis(redis)) as two,
    ):
        one.chat(message="first")
        two.chat(message="second")
        assert contents(one, "session_1703123456789_0.123456789")[::2] == ["first", "second"]


@pytest.mark.contract("RC-30")
def test_a_killed_server_loses_no_message_that_it_answered(redis: RedisServer, tmp_path: Path) -> None:
    answered: dict[str, list[str]] = {f"session-{number}": [] for number in range(4)}

    def talk(server: TrialServer, session: str) -> None:
        """Chat until the server is gone."""
        while True:
            message = f"message {len(answered[session])} of {session} to {server.folder.name}"
            try:
                response = server.chat(sessionId=session, message=message)
            except httpx.TransportError:
                return
            assert response.status_code == 200, response.text
            answered[session].append(message)

    def reached(wanted: int) -> bool:
        return sum(map(len, answered.values())) >= wanted

    for number in range(3):
        with (
            TrialServer(tmp_path / f"server-{number}", in_redis(redis)) as server,
            ThreadPoolExecutor() as talkers,
        ):
            wanted = sum(map(len, answered.values())) + 12
            talks = [talkers.submit(talk, server, session) for session in answered]
            until(partial(reached, wanted), "messages are answered")
            os.kill(server.pid, signal.SIGKILL)
            for each in talks:
                each.result()
    with TrialServer(tmp_path / "last", in_redis(redis)) as server:
        for session, messages in answered.items():
            held = contents(server, session)
            assert held[1::2] == [f"You said: {question}" for question in held[::2]]
            unanswered = [question for question in held[::2] if question not in messages]
            assert len(unanswered) <= 3, "at most one a kill was stored and not answered any more"
            assert [question for question in held[::2] if question in messages] == messages


@pytest.mark.contract("RC-30", "RC-14")
def test_without_redis_a_message_is_refused_until_it_is_back(redis: RedisServer, tmp_path: Path) -> None:
    with TrialServer(tmp_path / "server", in_redis(redis)) as server:
        assert server.chat(message="before").status_code == 200
        redis.kill()
        refusal(server.chat(message="meanwhile"), 503, "store_unavailable")
        assert server.client.get("/health").status_code == 503
        redis.start()
        assert server.chat(message="after").status_code == 200
        until(lambda: server.client.get("/health").status_code == 200, "it is healthy again")
        assert contents(server, "session_1703123456789_0.123456789")[::2] == ["before", "after"]


@pytest.mark.contract("RC-27", "RC-30")
def test_with_a_key_redis_has_nothing_readable_of_what_was_said(redis: RedisServer, tmp_path: Path) -> None:
    config = in_redis(redis)
    config["session"]["encryption_key"] = base64.b64encode(bytes(range(32))).decode()
    with TrialServer(tmp_path / "server", config) as server:
        server.chat(message="Marmalade, please")
        assert contents(server, "session_1703123456789_0.123456789")[0] == "Marmalade, please"
        assert redis.ask("KEYS", "jackfield:window:*").startswith("*1")
    redis.kill()
    written = b"".join(file.read_bytes() for file in redis.folder.rglob("*.aof"))
    assert b"jackfield:window:" in written
    assert b"armalade" not in written


@pytest.mark.contract("RC-30")
def test_the_example_keeps_its_conversations_in_redis(redis: RedisServer, tmp_path: Path) -> None:
    example = tomllib.loads((ROOT / "examples" / "redis.toml").read_text())
    options = {**example["session"]["options"], "folder": None}
    config = {"session": {**example["session"], "options": options}}
    with TrialServer(tmp_path / "server", config, {"REDIS_URL": redis.url}) as server:
        server.chat(message="hello")
        assert redis.ask("KEYS", "jackfield:window:*").startswith("*1")


@pytest.mark.contract("RC-30")
def test_a_redis_that_may_lose_messages_stops_the_start(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        with pytest.raises(RuntimeError) as failure:
            TrialServer(tmp_path / "server", in_redis(redis)).__enter__()
        last = str(failure.value).splitlines()[-1]
        assert last.startswith('jackfield: [session] "redis" cannot start: Redis at 127.0.0.1')
        assert 'appendonly "no"' in last
        assert "accept_loss = true" in last
