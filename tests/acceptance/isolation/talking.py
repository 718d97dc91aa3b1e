"""Messages by WebSocket: whole, cut off in the middle, and over the proxy."""

from __future__ import annotations

import json

from tests.acceptance.isolation.doors import Doors
from tests.acceptance.isolation.ledger import Exchange, Talk
from tests.acceptance.isolation.pages import Page
from tests.acceptance.isolation.people import Actor
from tests.contracts.harness import TrialServer


def say(doors: Doors, server: TrialServer, page: Page, talk: Talk) -> None:
    """Send a message to a conversation and wait for its answer."""
    conversation = doors.id_of(server, page.actor, talk)
    exchange = doors.marks.exchange(page.actor, "hello on a page")
    recent = talk.recent()
    talk.exchanges.append(exchange)
    doors.told(exchange, _answer(page, conversation, exchange), talk.exchanges, recent)


def _answer(page: Page, conversation: str, exchange: Exchange) -> str:
    if page.door == "chat":
        asked = page.send(event="user_message", message=exchange.text, chat_id=conversation)
        answer = page.answer(asked, "ai_response", "error")
        assert answer["event"] == "ai_response", answer
        page.answer(asked, "backend_status")
        return str(answer["message"])
    payload = {"conversation_id": conversation, "content": exchange.text}
    asked = page.send(action="send_message", payload=payload)
    question = page.answer(asked, "message_created", "error")
    assert question["action"] == "message_created", question
    exchange.asked = True
    answer = page.answer(asked, "assistant_message", "error")
    assert answer["action"] == "assistant_message", answer
    return str(answer["payload"]["message"]["content"])


def say_by_proxy(doors: Doors, server: TrialServer, page: Page, session: str) -> Talk | None:
    """Send a message over a proxy's WebSocket, which does not tell who answers: its health does.

    Gives the lasting conversation, if it is certain that there is one.
    """
    if not backend_is_there(server):
        return None
    exchange = doors.marks.exchange(page.actor, "hello by proxy")
    asked = page.send(message=exchange.text, sessionId=session, username=page.actor.name)
    answer = page.answer(asked)
    assert "message" in answer, answer
    if not backend_is_there(server):
        doors.doubt(server, page.actor, session, exchange)
        return None
    return doors.acknowledge_form(page.actor, "proxy", session, exchange, answer["message"], "upstream")


def backend_is_there(server: TrialServer) -> bool:
    """Whether a proxy's messages are passed on."""
    there: bool = server.client.get("/health").json()["backend_client"]["available"]
    return there


def cut_off(doors: Doors, server: TrialServer, page: Page, talk: Talk, words: str = "slowly") -> None:
    """Send a message to a conversation and read the beginning of its answer."""
    conversation = doors.id_of(server, page.actor, talk)
    exchange = doors.marks.exchange(page.actor, words)
    talk.exchanges.append(exchange)
    if page.door == "chat":
        asked = page.send(event="user_message", message=exchange.text, chat_id=conversation, stream=True)
        assert page.answer(asked)["event"] == "ai_response_delta"
        return
    payload = {"conversation_id": conversation, "content": exchange.text, "stream": True}
    asked = page.send(action="send_message", payload=payload)
    assert page.answer(asked)["action"] == "message_created"
    exchange.asked = True
    assert page.answer(asked)["action"] == "assistant_message_delta"


def cut_off_stream(doors: Doors, server: TrialServer, actor: Actor, talk: Talk) -> None:
    """The same with server-sent events, of which the first is read."""
    exchange = doors.marks.exchange(actor, "slowly")
    body = {"message": exchange.text, "chat_id": doors.id_of(server, actor, talk), "stream": True}
    talk.exchanges.append(exchange)
    path = f"{actor.doors['chat']}/generate"
    with server.client.stream("POST", path, json=body, headers=actor.headers) as response:
        assert response.status_code == 200
        line = next(response.iter_lines())
        assert (
            json.loads(doors.marks.check(actor, line).removeprefix("data: "))["event"] == "ai_response_delta"
        )
