"""relay-chat with the extension `cache`: configured answers, and answers that are given again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.contracts.harness import ServerFactory, Tree, TrialServer
from tests.redis_server import RedisServer

HOURS = "From nine to five."
FAQ = [{"questions": ["When are you open?", "Opening hours"], "answer": HOURS}]


@pytest.fixture(scope="module")
def cached(start: ServerFactory) -> TrialServer:
    """A server with an FAQ and a cache of answers."""
    return start("cached", {"extension": [{"use": "cache", "options": {"faq": FAQ}}]})


def answer(response: httpx.Response) -> tuple[str, str | None]:
    """What was answered, and what is said of the cache."""
    assert response.status_code == 200, response.text
    return response.json()["message"], response.headers.get("x-cache")


@pytest.mark.contract("RC-28")
def test_a_configured_question_is_answered_without_the_model(cached: TrialServer) -> None:
    with cached.noting("llm") as asked:
        response = cached.chat(sessionId="faq", message="when are you OPEN")

    assert answer(response) == (HOURS, "HIT")
    assert response.headers["x-jackfield-providers"] == "llm=cache"
    assert asked == []
    window = cached.window(sessionId="faq")
    assert window
    assert [message["content"] for message in window["messages"]] == ["when are you OPEN", HOURS]


@pytest.mark.contract("RC-28")
def test_a_configured_question_may_come_later_in_a_session(cached: TrialServer) -> None:
    cached.chat(sessionId="later", message="Hello")
    with cached.noting("llm") as asked:
        assert answer(cached.chat(sessionId="later", message="When are you open?")) == (HOURS, "HIT")

    assert asked == []


@pytest.mark.contract("RC-29")
def test_the_same_first_message_asks_the_model_once(cached: TrialServer) -> None:
    first = answer(cached.chat(sessionId="one", message="Tell me a story"))
    with cached.noting("llm") as asked:
        second = answer(cached.chat(sessionId="two", message="tell me a STORY!"))

    assert first == ("You said: Tell me a story", "MISS")
    assert second == ("You said: Tell me a story", "HIT")
    assert asked == []


@pytest.mark.contract("RC-29")
def test_a_message_with_context_always_asks_the_model(cached: TrialServer) -> None:
    for session in ("context one", "context two"):
        name = session.replace(" ", "-")
        cached.chat(sessionId=name, message=session)
        with cached.noting("llm") as asked:
            assert answer(cached.chat(sessionId=name, message="And then?")) == ("You said: And then?", None)
        assert asked[0]["event"] == "asked"


@pytest.mark.contract("RC-29")
def test_a_spoken_first_message_may_be_answered_from_the_cache(cached: TrialServer, webm: bytes) -> None:
    first, second = (answer(cached.say(webm, sessionId=f"spoken-{n}")) for n in (1, 2))

    assert first == ("You said: Will it rain tomorrow?", "MISS")
    assert second == ("You said: Will it rain tomorrow?", "HIT")


@pytest.mark.contract("RC-29")
def test_nothing_is_kept_where_no_cache_is_configured(server: TrialServer) -> None:
    for session in ("no-cache-1", "no-cache-2"):
        with server.noting("llm") as asked:
            assert answer(server.chat(sessionId=session, message="Again")) == ("You said: Again", None)
        assert asked


@pytest.mark.contract("RC-29")
def test_servers_on_one_store_share_answers(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        config: Tree = {
            "session": {"use": "redis", "options": {"folder": None, "url": redis.url}},
            "extension": [{"use": "cache", "options": {"shared": True}}],
        }
        with TrialServer(tmp_path / "one", config) as one, TrialServer(tmp_path / "two", config) as two:
            said = answer(one.chat(sessionId="one", message="Hello"))
            with two.noting("llm") as asked:
                again = answer(two.chat(sessionId="two", message="Hello"))

    assert (said[1], again) == ("MISS", (said[0], "HIT"))
    assert asked == []
