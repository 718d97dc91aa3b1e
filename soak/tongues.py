"""How visitors speak to each door that has a WebSocket, and what they hear in its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, Protocol

Json = dict[str, Any]  # as the wire has it


@dataclass(frozen=True, slots=True)
class Heard:
    """What an event means for whoever asked."""

    piece: str = ""
    """More of the answer."""
    whole: str | None = None
    """All of it."""
    over: bool = False
    """Nothing more comes until something is asked."""


NOTHING: Final = Heard()


class Unexpected(Exception):
    """Raised for an event that should not have come. Says which kind."""


class Tongue(Protocol):
    """One visitor's way of speaking, with the conversation that it speaks of."""

    door: str
    conversation: str
    """Its id among lasting conversations; empty while there is none."""

    @property
    def path(self) -> str:
        """Where the socket is."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """What signs the visitor in."""
        ...

    def opening(self) -> Json | None:
        """What begins a conversation; None where a question does."""
        ...

    def question(self, text: str, *, stream: bool) -> Json:
        """What asks something; with `stream`, the answer comes in pieces where the door has them."""
        ...

    def hear(self, event: Json) -> Heard:
        """Understand an event.

        :raises Unexpected: when it is an error, or none of this conversation.
        """
        ...


class ChatPage:
    """Speaks to `chat_app`."""

    door = "chat_app"
    path = "/app/ws/chat"

    def __init__(self, name: str, token: str) -> None:
        self.conversation = ""
        self.headers = _signed(token)

    def opening(self) -> Json | None:
        self.conversation = ""
        return None

    def question(self, text: str, *, stream: bool) -> Json:
        return {"event": "user_message", "message": text, "stream": stream}

    def hear(self, event: Json) -> Heard:
        chat = event.get("chat_id")
        if self.conversation and chat != self.conversation:
            raise Unexpected(f"{event.get('event')} {event.get('code', '')} of another chat")
        match event:
            case {"event": "ai_response_delta", "delta": piece}:
                return Heard(piece=piece)
            case {"event": "ai_response", "message": text}:
                return Heard(whole=text)
            case {"event": "backend_status"}:
                self.conversation = str(chat)
                return NOTHING
            case {"event": "chat_history", "append": True, "messages": [_, _]}:
                return Heard(over=True)
        raise Unexpected(f"{event.get('event')} {event.get('code', '')}")


class Device:
    """Speaks to `pichat`."""

    door = "pichat"
    path = "/pi/ws"

    def __init__(self, name: str, token: str) -> None:
        self.conversation = ""
        self.headers = _signed(token)

    def opening(self) -> Json | None:
        self.conversation = ""
        return {"action": "create_conversation", "payload": {}}

    def question(self, text: str, *, stream: bool) -> Json:
        payload = {"conversation_id": self.conversation, "content": text, "stream": stream}
        return {"action": "send_message", "payload": payload}

    def hear(self, event: Json) -> Heard:
        match event:
            case {"action": "conversation_created", "payload": {"conversation": {"id": conversation}}}:
                self.conversation = conversation
                return Heard(over=True)
            case {"action": "message_created"}:
                return NOTHING
            case {"action": "assistant_message_delta", "payload": {"delta": piece}}:
                return Heard(piece=piece)
            case {"action": "assistant_message", "payload": {"message": {"content": text}}}:
                return Heard(whole=text, over=True)
        raise Unexpected(f"{event.get('action')} {event.get('payload', {}).get('code', '')}")


class ProxyPage:
    """Speaks to `smart_proxy`."""

    door = "smart_proxy"
    headers: Mapping[str, str] = {}

    def __init__(self, name: str, token: str) -> None:
        self.conversation = ""
        self.path = f"/proxy/ws/{name}"
        self._sessions = count(1)
        self._session = ""
        self._ids = count(1)
        self._asked = ""

    def opening(self) -> Json | None:
        self._session = f"session-{next(self._sessions)}"
        return None

    def question(self, text: str, *, stream: bool) -> Json:
        self._asked = str(next(self._ids))
        return {"message": text, "sessionId": self._session, "id": self._asked}

    def hear(self, event: Json) -> Heard:
        asked = (self._session, self._asked)
        if event.get("type") != "text" or (event.get("sessionId"), event.get("id")) != asked:
            raise Unexpected(f"{event.get('type')} {event.get('code', '')}")
        return Heard(whole=event["message"], over=True)


TONGUES: Final[Sequence[type[ChatPage | Device | ProxyPage]]] = (ChatPage, Device, ProxyPage)


def _signed(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}
