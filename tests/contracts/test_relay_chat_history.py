"""relay-chat with `history`: sessions that are also kept for good, as conversations of their user."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from jackfield.contracts.session import Conversation, Record
from jackfield_session_sql.options import SqlOptions
from jackfield_session_sql.store import SqlStore
from tests.contracts.harness import FORM, Tree, TrialServer, refusal

TOKENS = {"0x1234": "token-of-0x1234", "0x5678": "token-of-0x5678"}
DATABASE = "talk.db"


def lasting(folder: Path) -> Tree:
    """Doors that keep sessions, that do not, and that show what is kept, over a file of SQLite."""
    options = {"folder": None, "url": f"sqlite:///{folder / DATABASE}"}
    history = {"use": "relay_chat", "mount": "/relay", "options": {"history": True}}
    plain = {"use": "relay_chat", "mount": "/plain"}
    return {
        "session": {"use": "sql", "options": options},
        "auth": {"users": {"use": "api_token", "options": {"tokens": TOKENS}}},
        "transport": [{**door, "auth": "users"} for door in (history, plain, {"use": "chat_app"})],
        "extension": None,
    }


def post(
    server: TrialServer, message: str, *, mount: str = "/relay", sound: bytes | None = None, **changes: str
) -> httpx.Response:
    """Send what a user types or says."""
    form = {**FORM, "message": message, "type": "voice" if sound else "text", **changes}
    audio = {"audio": ("voice.webm", sound, "audio/webm")} if sound else None
    headers = {"Authorization": f"Bearer {TOKENS[form['userId']]}"}
    return server.client.post(f"{mount}/chat", data=form, files=audio, headers=headers)


def ask(server: TrialServer, message: str, **changes: Any) -> None:
    """Send a message that is answered."""
    answer = post(server, message, **changes)
    assert answer.status_code == 200, answer.text


def shown(server: TrialServer, user: str = "0x1234") -> list[Tree]:
    """What the chat app shows its user, the newest conversation first."""
    client, headers = server.client, {"Authorization": f"Bearer {TOKENS[user]}"}
    chats = client.get("/chats", headers=headers).raise_for_status().json()["chats"]
    return [client.get(f"/chat/{chat['id']}", headers=headers).raise_for_status().json() for chat in chats]


Kept = list[tuple[Conversation, list[Record]]]


def kept(folder: Path, user: str = "0x1234") -> Kept:
    """What the database holds of a user who signed in, the newest conversation first."""

    async def read() -> Kept:
        owner = f"users/{user}"
        url = SecretStr(f"sqlite:///{folder / DATABASE}")
        async with SqlStore(SqlOptions(url=url), logging.getLogger(__name__)) as store:
            found: Kept = []
            for conversation in (await store.conversations(owner, limit=100)).items:
                page = await store.records(owner, conversation.id, limit=100)
                assert page is not None
                found.append((conversation, list(page.items)))
            return found

    return anyio.run(read)


def texts(records: list[Record]) -> list[str]:
    return [record.content for record in records]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the database is."""
    return tmp_path_factory.mktemp("history")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TrialServer]:
    with TrialServer(folder / "server", lasting(folder)) as server:
        yield server


@pytest.mark.contract("RC-57")
def test_a_session_is_found_again_after_a_restart_and_goes_on(tmp_path: Path) -> None:
    with TrialServer(tmp_path / "one", lasting(tmp_path)) as server:
        ask(server, "My name is Ann")
    ((before, first),) = kept(tmp_path)
    with TrialServer(tmp_path / "two", lasting(tmp_path)) as server:
        ask(server, "Goodbye")
    ((after, second),) = kept(tmp_path)

    assert before.title == after.title == "My name is Ann"
    assert texts(first) == ["My name is Ann", "You said: My name is Ann"]
    assert texts(second) == [*texts(first), "Goodbye", "You said: Goodbye"]


@pytest.mark.contract("RC-57")
def test_another_door_shows_a_session_to_its_user_after_a_restart(tmp_path: Path) -> None:
    with TrialServer(tmp_path / "one", lasting(tmp_path)) as server:
        ask(server, "My name is Ann")
    with TrialServer(tmp_path / "two", lasting(tmp_path)) as server:
        (chat,) = shown(server)
        assert shown(server, "0x5678") == []

    assert chat["title"] == "My name is Ann"
    assert [message["content"] for message in chat["messages"]] == [
        "My name is Ann",
        "You said: My name is Ann",
    ]


@pytest.mark.contract("RC-57")
def test_a_spoken_turn_is_kept_as_such(server: TrialServer, folder: Path, webm: bytes) -> None:
    answer = post(server, "", sound=webm, sessionId="spoken")
    assert answer.json()["type"] == "voice", answer.text

    conversation, records = kept(folder)[0]
    assert [(record.role, record.is_audio) for record in records] == [("user", True), ("assistant", True)]
    assert records[1].content == answer.json()["message"]
    assert conversation.title == records[0].content


@pytest.mark.contract("RC-57")
def test_a_long_first_message_gives_a_short_title(server: TrialServer, folder: Path) -> None:
    ask(server, "0123456789" * 7, sessionId="long")

    assert kept(folder)[0][0].title == "0123456789" * 6


@pytest.mark.contract("RC-57")
def test_nobody_else_has_what_was_kept(server: TrialServer, folder: Path) -> None:
    ask(server, "A secret", userId="0x1234", sessionId="same")
    ask(server, "Hello", userId="0x5678", sessionId="same")

    assert [texts(records) for _, records in kept(folder, "0x5678")] == [["Hello", "You said: Hello"]]


@pytest.mark.contract("RC-57")
def test_without_the_option_nothing_is_kept(server: TrialServer, folder: Path) -> None:
    ask(server, "Forget me", mount="/plain")

    assert "Forget me" not in str(kept(folder))


@pytest.mark.contract("RC-57", "RC-13")
def test_a_message_that_fails_is_not_kept(server: TrialServer, folder: Path) -> None:
    with server.told(llm="fail"):
        refusal(post(server, "Lost", sessionId="lost"), 502, "llm_failed")

    assert "Lost" not in str(kept(folder))


@pytest.mark.contract("RC-57")
def test_a_store_without_records_stops_the_start(tmp_path: Path) -> None:
    doors: Tree = {"transport": [{"use": "relay_chat", "options": {"history": True}}]}

    with pytest.raises(RuntimeError, match="needs a session store with the role records"):
        TrialServer(tmp_path, doors).__enter__()
