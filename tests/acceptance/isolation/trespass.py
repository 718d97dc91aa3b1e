"""What a user may try to reach another one's conversations. All of it is refused, and nothing is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import pytest
from websockets.exceptions import ConnectionClosed

from tests.acceptance.isolation.doors import Doors
from tests.acceptance.isolation.pages import Page
from tests.acceptance.isolation.people import PEOPLE, WALLETS, Actor, Door
from tests.contracts.harness import Tree, TrialServer

Attempt = Callable[[Doors, TrialServer, Actor, Actor, str], None]
"""Of the intruder, upon the victim and the id of one of the victim's conversations."""


def read_chat(doors: Doors, server: TrialServer, actor: Actor, _victim: Actor, talk_id: str) -> None:
    """Show it, and write to it, at the chat app."""
    mount = actor.doors.get("chat")
    if mount is None:
        return
    _refused(doors, server, actor, "GET", f"{mount}/chat/{talk_id}")
    body = {"message": doors.marks.text(actor, "intrudes"), "chat_id": talk_id}
    _refused(doors, server, actor, "POST", f"{mount}/generate", body)


def read_chat_by_page(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, talk_id: str) -> None:
    """The same by WebSocket, from its address on, and listen to what the victim says next."""
    if "chat" not in actor.doors:
        return
    page = Page(server, actor, "chat", doors.marks, f"?chat_id={talk_id}")
    try:
        assert page.receive()["code"] == "chat_not_found"
        _go_on(doors, server, victim, talk_id)
        assert page.answer(page.send(event="get_history", chat_id=talk_id))["code"] == "chat_not_found"
        text = doors.marks.text(actor, "intrudes")
        asked = page.send(event="user_message", message=text, chat_id=talk_id, stream=True)
        assert page.answer(asked)["code"] == "chat_not_found"
        _go_on(doors, server, victim, talk_id)
        page.answer(page.send(event="ping"), "pong")  # everything before it is read, and checked
    finally:
        page.close()


def read_pichat(doors: Doors, server: TrialServer, actor: Actor, _victim: Actor, talk_id: str) -> None:
    """Show, rename, write to and delete it at pichat."""
    mount = actor.doors.get("pichat")
    if mount is None:
        return
    path = f"{mount}/api/conversations/{talk_id}"
    text = doors.marks.text(actor, "intrudes")
    _refused(doors, server, actor, "GET", path)
    _refused(doors, server, actor, "GET", f"{path}/messages")
    _refused(doors, server, actor, "POST", f"{path}/messages", {"content": text})
    _refused(doors, server, actor, "PATCH", path, {"title": text})
    _refused(doors, server, actor, "DELETE", path)


def read_pichat_by_page(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, talk_id: str) -> None:
    """The same by WebSocket, as somebody who says to be the victim."""
    if "pichat" not in actor.doors:
        return
    text = doors.marks.text(actor, "intrudes")
    page = Page(server, actor, "pichat", doors.marks)
    claims = {"user_id": victim.user_id, "userId": victim.user_id, "owner": f"people/{victim.user_id}"}
    frames: Mapping[str, Tree] = {
        "get_conversation": {"id": talk_id},
        "get_messages": {"conversation_id": talk_id},
        "update_conversation": {"id": talk_id, "title": text},
        "send_message": {"conversation_id": talk_id, "content": text, "stream": True},
        "delete_conversation": {"id": talk_id},
    }
    try:
        for action, payload in frames.items():
            answer = page.answer(page.send(action=action, payload={**payload, **claims}, **claims))
            assert answer["payload"].get("code") == "conversation_not_found", answer
        page.answer(page.send(action="get_conversations", payload=claims, **claims), "conversations_list")
    finally:
        page.close()


def use_places(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, talk_id: str) -> None:
    """Go on where the victim's lists and pages end."""
    mounts = victim.doors
    raw = doors.ask(server, victim, "GET", f"{mounts['pichat']}/api/conversations/{talk_id}/messages").json()
    listed = doors.ask(server, victim, "GET", f"{mounts['pichat']}/api/conversations?limit=1").json()
    cursor, messages = quote(listed.get("next_cursor") or talk_id), [item["id"] for item in raw["messages"]]
    own = [talk.id for talk in actor.talks if talk.id] or [talk_id]
    if "pichat" in actor.doors:
        mount = f"{actor.doors['pichat']}/api/conversations"
        doors.ask(server, actor, "GET", f"{mount}?cursor={cursor}")
        for message in messages[-1:]:
            response = doors.ask(server, actor, "GET", f"{mount}/{own[0]}/messages?before={message}")
            assert response.status_code in (404, 422), response.text
    if "chat" in actor.doors:
        doors.ask(server, actor, "GET", f"{actor.doors['chat']}/chats?cursor={cursor}")
        for message in messages[-1:]:
            path = f"{actor.doors['chat']}/chat/{own[0]}?cursor={message}"
            assert doors.ask(server, actor, "GET", path).status_code in (404, 422)


def claim_id(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, _talk_id: str) -> None:
    """Say to be the victim, in the victim's sessions, with one's own token."""
    if not actor.headers or actor.user_id == victim.user_id:
        return
    text = doors.marks.text(actor, "claims")
    form = {
        "userId": victim.user_id,
        "username": actor.name,
        "message": text,
        "type": "text",
        "sessionId": doors.session(0),
    }
    for door in ("relay", "proxy"):
        if door in actor.doors:
            mount = actor.doors[door]
            response = server.client.post(f"{mount}/chat", data=form, headers=actor.headers)
            assert doors.marks.whole(actor, response).status_code == 403, response.text
    path = f"{actor.doors['relay']}/sessions/{doors.session(0)}/refresh"
    response = server.client.post(path, data={"userId": victim.user_id}, headers=actor.headers)
    assert doors.marks.whole(actor, response).status_code == 403, response.text


def claim_socket(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, _talk_id: str) -> None:
    """Open the victim's WebSocket at the proxy."""
    if "proxy" not in actor.doors or actor is victim:
        return
    alias = Actor(actor.name, victim.user_id, actor.doors, actor.headers)
    page = Page(server, alias, "proxy", doors.marks)
    try:
        assert page.receive()["code"] == "user_mismatch"
        with pytest.raises(ConnectionClosed) as closed:
            page.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4403
    finally:
        page.close()


def use_token(doors: Doors, server: TrialServer, actor: Actor, victim: Actor, talk_id: str) -> None:
    """Bring one's token, or none, to doors that do not know it."""
    foreign = WALLETS if actor.doors is PEOPLE else PEOPLE
    for headers in (actor.headers, {}, {"Authorization": f"Bearer {victim.user_id}"}):
        stranger = Actor(actor.name, actor.user_id, foreign, headers)
        for path in (f"{foreign['chat']}/chats", f"{foreign['pichat']}/api/conversations/{talk_id}"):
            response = doors.ask(server, stranger, "GET", path)
            assert response.status_code == 401, response.text
        response = doors.post(
            server, stranger, "relay", doors.session(0), doors.marks.text(stranger, "intrudes")
        )
        assert response.status_code == 401, response.text


_TRICKS: Final = (
    "{0}%2F..",
    "..%2Fchat%2F{0}",
    "{0}%20",
    "{0}%00",
    "%2e%2e%2f{0}",
    "{0};x",
    "{0}*",
    "{0}%0a",
)


def bend_paths(doors: Doors, server: TrialServer, actor: Actor, _victim: Actor, talk_id: str) -> None:
    """Write the id in ways that a path may be written."""
    places: tuple[tuple[Door, str], ...] = (("chat", "chat"), ("pichat", "api/conversations"))
    for door, place in places:
        for trick in (*_TRICKS, talk_id.upper()) if door in actor.doors else ():
            path = f"{actor.doors[door]}/{place}/{trick.format(talk_id)}"
            response = doors.ask(server, actor, "GET", path)
            assert response.status_code in (400, 404, 405, 422), response.text


READING: Final[tuple[Attempt, ...]] = (read_chat, read_pichat, use_places, bend_paths)
LISTENING: Final[tuple[Attempt, ...]] = (read_chat_by_page, read_pichat_by_page)
CLAIMING: Final[tuple[Attempt, ...]] = (claim_id, claim_socket, use_token)


def _go_on(doors: Doors, server: TrialServer, victim: Actor, talk_id: str) -> None:
    talk = next(talk for talk in victim.talks if talk.id == talk_id)
    if not talk.frozen:
        doors.send_to(server, victim, "chat", talk, "not for everybody")


def _refused(
    doors: Doors, server: TrialServer, actor: Actor, method: str, path: str, body: Tree | None = None
) -> None:
    response = doors.ask(server, actor, method, path, body)
    assert response.status_code == 404, f"{method} {path}: {response.status_code} {response.text}"
