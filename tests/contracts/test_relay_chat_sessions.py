"""relay-chat, section 8: what a session remembers, for whom and for how long."""

from __future__ import annotations

import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from jackfield.config.sections import SessionSection
from jackfield.contracts.session import StoredMessage
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.contracts.harness import FORM, ServerFactory, TrialServer, refusal, until


@pytest.fixture(scope="module")
def brief(start: ServerFactory) -> TrialServer:
    """A server whose sessions live for three seconds, in the store that comes along."""
    memory = {"use": "memory", "options": {"sweep_s": 0.2}, "ttl_seconds": 3}
    return start("brief", {"session": merged_over_trial(memory)})


def merged_over_trial(session: dict[str, object]) -> dict[str, object]:
    """The trial store's own option is none of the memory store's."""
    options = session.get("options") or {}
    assert isinstance(options, dict)
    return {**session, "options": {"folder": None, **options}}


@pytest.mark.contract("RC-07", "RC-44")
def test_messages_of_one_session_share_context(server: TrialServer) -> None:
    server.chat(sessionId="context", message="My name is Ann")
    with server.noting("llm") as asked:
        server.chat(sessionId="context", message="What is my name?")

    assert [message for message in asked[0]["messages"] if message[0] != "system"] == [
        ["user", "My name is Ann"],
        ["assistant", "You said: My name is Ann"],
        ["user", "What is my name?"],
    ]


@pytest.mark.contract("RC-07", "RC-25")
@pytest.mark.parametrize("other", [{"sessionId": "another"}, {"userId": "somebody else"}])
def test_another_session_or_user_shares_nothing(server: TrialServer, other: dict[str, str]) -> None:
    server.chat(sessionId="mine", message="My name is Ann")
    with server.noting("llm") as asked:
        server.chat(**{"sessionId": "mine", "message": "What is my name?", **other})

    assert "Ann" not in str(asked)


@pytest.mark.contract("RC-08")
def test_a_session_keeps_the_newest_ten_messages(server: TrialServer) -> None:
    for number in range(6):
        server.chat(sessionId="twelve", message=f"number {number}")

    window = server.window(sessionId="twelve")
    assert window is not None
    assert [message["content"] for message in window["messages"]] == [
        text for number in range(1, 6) for text in (f"number {number}", f"You said: number {number}")
    ]


@pytest.mark.contract("RC-08")
def test_the_model_sees_ten_messages_with_the_current_one(server: TrialServer) -> None:
    for number in range(6):
        server.chat(sessionId="window", message=f"number {number}")
    with server.noting("llm") as asked:
        server.chat(sessionId="window", message="the current one")

    seen = [message for message in asked[0]["messages"] if message[0] != "system"]
    assert len(seen) <= 10
    assert seen[-1] == ["user", "the current one"]
    assert seen[-2] == ["assistant", "You said: number 5"]


@pytest.mark.contract("RC-11")
def test_stored_messages_say_what_when_and_who(server: TrialServer, webm: bytes) -> None:
    server.chat(sessionId="stored", message="typed")
    server.say(webm, sessionId="stored")

    window = server.window(sessionId="stored")
    assert window is not None
    assert set(window) == {"messages", "user_preferences"}
    assert [(m["content"], m["type"], m["is_user"]) for m in window["messages"]] == [
        ("typed", "text", True),
        ("You said: typed", "text", False),
        ("Will it rain tomorrow?", "voice", True),
        ("You said: Will it rain tomorrow?", "voice", False),
    ]
    for message in window["messages"]:
        at = datetime.fromisoformat(message["timestamp"])
        assert at.utcoffset() == timedelta(0)
        assert abs(time.time() - at.timestamp()) < 60


@pytest.mark.contract("RC-12")
def test_twenty_at_once_in_one_session_lose_nothing_and_stay_in_pairs(start: ServerFactory) -> None:
    server = start("crowd", {"session": {"max_messages": 40}, "limits": {"waiting_turns": 20}})
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: server.chat(message=f"number {number}"), range(20)))

    window = server.window()
    assert window is not None
    texts = [message["content"] for message in window["messages"]]
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(texts[::2]) == sorted(f"number {number}" for number in range(20))
    assert texts[1::2] == [f"You said: {text}" for text in texts[::2]]


@pytest.mark.contract("RC-13", "RC-44")
@pytest.mark.parametrize(
    "modes",
    [{"llm": "fail"}, {"llm": "break"}, {"llm": "raise"}, {"llm": "time out"}, {"store": "read only"}],
)
def test_a_failed_answer_leaves_the_session_as_it_was(server: TrialServer, modes: dict[str, str]) -> None:
    session = f"failed-{'-'.join(modes.values()).replace(' ', '-')}"
    server.chat(sessionId=session, message="before")
    before = server.window(sessionId=session)
    with server.told(**modes):
        assert server.chat(sessionId=session, message="during").status_code >= 500

    assert server.window(sessionId=session) == before
    with server.noting("llm") as asked:
        assert server.chat(sessionId=session, message="after").status_code == 200
    assert "during" not in str(asked)


@pytest.mark.contract("RC-13")
@pytest.mark.parametrize(
    "modes", [{"stt": "fail"}, {"stt": "nothing"}, {"llm": "break"}, {"scanner": "down"}]
)
def test_a_failed_voice_message_leaves_the_session_as_it_was(
    server: TrialServer, webm: bytes, modes: dict[str, str]
) -> None:
    session = f"unheard-{''.join(modes)}-{''.join(modes.values())}"
    server.chat(sessionId=session)
    before = server.window(sessionId=session)
    with server.told(**modes):
        assert server.say(webm, sessionId=session).status_code >= 400

    assert server.window(sessionId=session) == before


@pytest.mark.contract("RC-13")
def test_a_failed_first_message_starts_no_session(server: TrialServer) -> None:
    with server.told(llm="fail"):
        server.chat(sessionId="never")

    assert server.window(sessionId="never") is None


def test_a_client_that_leaves_ends_its_turn(server: TrialServer) -> None:
    with server.noting("llm") as happened:
        with server.told(llm="hang"), pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{server.url}/chat", data={**FORM, "sessionId": "left"}, timeout=0.3)
        until(lambda: server.journal("llm")[-1]["event"] == "closed", "the model's work is ended")

    assert [note["event"] for note in happened] == ["asked", "closed"]
    assert server.window(sessionId="left") is None


# How long


@pytest.mark.contract("RC-09")
def test_a_turn_restarts_the_life_of_a_session(brief: TrialServer) -> None:
    brief.chat(sessionId="restarted", message="first")
    time.sleep(1.8)
    brief.chat(sessionId="restarted", message="second")
    time.sleep(1.8)

    window = brief.window(sessionId="restarted")
    assert window is not None
    assert len(window["messages"]) == 4


@pytest.mark.anyio
@pytest.mark.contract("RC-09")
async def test_without_configuration_a_session_lives_for_1800_seconds() -> None:
    now_s = 0.0
    store = MemoryStore(MemoryOptions(), clock=lambda: now_s)
    messages = [StoredMessage("Hello", "text", datetime.now(UTC), is_user=True)]
    settings = SessionSection()
    await store.append("key", messages, max_messages=settings.max_messages, ttl_s=settings.ttl_seconds)

    now_s = 1799.0
    assert await store.load("key") is not None
    now_s = 1801.0
    assert await store.load("key") is None


@pytest.mark.contract("RC-09")
def test_an_expired_session_behaves_like_a_new_one(brief: TrialServer) -> None:
    brief.chat(sessionId="expired", message="first")
    until(lambda: brief.window(sessionId="expired") is None, "the session expires")

    assert brief.chat(sessionId="expired", message="second").status_code == 200
    window = brief.window(sessionId="expired")
    assert window is not None
    assert window["messages"][0]["content"] == "second"


@pytest.mark.contract("RC-26")
def test_expired_sessions_leave_the_store_without_a_request(brief: TrialServer) -> None:
    until(lambda: brief.figures()["jackfield_store_bytes"] == 0, "earlier sessions expire")
    brief.chat(sessionId="silent", message="x" * 4000)
    assert brief.figures()["jackfield_store_bytes"] > 4000

    until(lambda: brief.figures()["jackfield_store_bytes"] == 0, "the store forgets by itself")


@pytest.mark.contract("RC-39", "RC-42")
def test_the_end_of_a_session_is_counted(brief: TrialServer) -> None:
    count = 'jackfield_session_seconds_count{transport="relay_chat"}'
    active = 'jackfield_active_sessions{transport="relay_chat"}'
    until(lambda: brief.figures().get(active, 0) == 0, "earlier sessions end")
    before = brief.figures().get(count, 0)
    brief.chat(sessionId="counted")
    assert brief.figures()[active] == 1

    until(lambda: brief.figures()[active] == 0, "the session ends")
    assert brief.figures()[count] == before + 1


@pytest.mark.contract("RC-48")
def test_refreshing_restarts_the_life_of_a_session(brief: TrialServer) -> None:
    brief.chat(sessionId="refreshed")
    time.sleep(1.8)
    response = brief.client.post("/sessions/refreshed/refresh", data={"userId": FORM["userId"]})
    time.sleep(1.8)

    assert (response.status_code, response.content) == (204, b"")
    assert brief.window(sessionId="refreshed") is not None


@pytest.mark.contract("RC-48")
def test_an_expired_session_cannot_be_refreshed(brief: TrialServer) -> None:
    brief.chat(sessionId="late")
    until(lambda: brief.window(sessionId="late") is None, "the session expires")

    response = brief.client.post("/sessions/late/refresh", data={"userId": FORM["userId"]})

    refusal(response, 404, "session_not_found")


@pytest.mark.contract("RC-48")
@pytest.mark.parametrize(
    ("session", "user"),
    [("unknown", "0x1234"), ("known", "somebody else"), ("a%20b", "0x1234"), ("x" * 129, "0x1")],
)
def test_only_a_session_of_ones_own_can_be_refreshed(server: TrialServer, session: str, user: str) -> None:
    server.chat(sessionId="known")

    response = server.client.post(f"/sessions/{session}/refresh", files={"userId": (None, user)})

    refusal(response, 404, "session_not_found")


@pytest.mark.contract("RC-48")
def test_refreshing_checks_its_form(server: TrialServer) -> None:
    path = "/sessions/known/refresh"

    refusal(server.client.post(path, data={"other": "x"}), 422, "invalid_request")
    refusal(server.client.post(path, json={"userId": "x"}), 415, "unsupported_media_type")


# Ids that the server makes


@pytest.fixture(scope="module")
def issuing(start: ServerFactory) -> TrialServer:
    """A server that makes the session ids."""
    return start("issuing", {"session": {"ids": "server"}})


@pytest.mark.contract("RC-25")
def test_a_message_without_a_session_starts_one_under_an_unguessable_id(issuing: TrialServer) -> None:
    first, other = issuing.chat(sessionId=None), issuing.chat(sessionId=None)
    session = first.headers["x-session-id"]
    second = issuing.chat(sessionId=session, message="again")

    assert re.fullmatch(r"[A-Za-z0-9._:-]{22,128}", session)
    assert session != other.headers["x-session-id"]
    assert (second.status_code, "x-session-id" in second.headers) == (200, False)
    window = issuing.window(sessionId=session)
    assert window is not None
    assert len(window["messages"]) == 4


@pytest.mark.contract("RC-25")
def test_an_id_that_was_not_issued_starts_no_session(issuing: TrialServer) -> None:
    with issuing.noting("llm") as asked:
        refusal(issuing.chat(), 404, "session_not_found")
    assert asked == []


@pytest.mark.contract("RC-25")
def test_an_id_that_was_issued_to_another_is_of_no_use(issuing: TrialServer) -> None:
    session = issuing.chat(sessionId=None).headers["x-session-id"]

    refusal(issuing.chat(sessionId=session, userId="somebody else"), 404, "session_not_found")
    path = f"/sessions/{session}/refresh"
    refusal(issuing.client.post(path, data={"userId": "somebody else"}), 404, "session_not_found")
    assert issuing.client.post(path, data={"userId": FORM["userId"]}).status_code == 204
