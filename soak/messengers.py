"""Clients of a cluster that send numbered messages all the time; they reconnect and look, as real ones do."""

from __future__ import annotations

import itertools
import json
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import anyio
import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from soak.journal import Journal

_RETRY_S: Final = 0.3
_WAIT_S: Final = 40.0
"""For an answer; longer than a conversation waits for a replica that died in the middle of its turn."""

Json = dict[str, Any]  # as the server sends it


class Lost(Exception):
    """A message was not acknowledged, and may be stored or not. Its text says how it was lost."""


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has signed in at the cluster."""

    url: str
    name: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """What signs a request."""
        return {"Authorization": f"Bearer {self.token}"}

    def address(self, path: str) -> str:
        """Of a WebSocket."""
        return f"{self.url.replace('http', 'ws', 1)}{path}"


class Messenger(ABC):
    """A client with a conversation of its own, which pauses for `pace_s` seconds after each answer.

    `name` begins its messages, and is nobody else's.
    """

    kind: str

    def __init__(self, user: User, name: str, pace_s: float) -> None:
        self.user = user
        self.name = name
        self._pace_s = pace_s
        self.journal = Journal()
        self.conversation = ""
        """Its id, once it is known."""
        self._http = httpx.AsyncClient(base_url=user.url, headers=user.headers, timeout=_WAIT_S)

    async def run(self, stopping: anyio.Event) -> None:
        """Send one message after the other until told to stop."""
        async with self._http:
            for number in itertools.count():
                if stopping.is_set():
                    break
                began_s = time.monotonic()
                await self._send_surely(f"{self.name} {number}")
                self.journal.waits.append((began_s, time.monotonic()))
                await anyio.sleep(self._pace_s)
            await self.leave()

    async def leave(self) -> None:  # noqa: B027  # most have nothing open
        """Close what is open."""

    @abstractmethod
    async def send(self, text: str) -> None:
        """Send a message and wait until it is acknowledged.

        :raises Lost: when it is not.
        """

    async def _send_surely(self, text: str) -> None:
        doubtful = False
        while True:
            try:
                if doubtful and await self._holds(text):
                    self.journal.found += 1
                    self._note(self.journal.asked, text)
                    return
                self.journal.repeated += doubtful
                await self.send(text)
                self._note(self.journal.asked, text)
                self._note(self.journal.answered, text)
                return
            except Lost as error:
                self.journal.failures.append((time.monotonic(), str(error)))
                doubtful = True
                await anyio.sleep(_RETRY_S)

    def _note(self, messages: list[str], text: str) -> None:
        if messages[-1:] != [text]:
            messages.append(text)

    async def _holds(self, text: str) -> bool:
        """Whether the history has a message already."""
        self.conversation = self.conversation or await self._find()
        if not self.conversation:
            return False
        records = (await self._get(f"/pi/api/conversations/{self.conversation}/messages"))["messages"]
        return any(record["content"] == text and record["role"] == "user" for record in records)

    async def _find(self) -> str:
        """The id of the conversation that began with the first message; empty while there is none."""
        listed = (await self._get("/pi/api/conversations"))["conversations"]
        ids = [item["id"] for item in listed if item["title"] == f"{self.name} 0"]
        return ids[0] if ids else ""

    async def _get(self, path: str) -> Json:
        return await self._ask("GET", path)

    async def _ask(self, method: str, path: str, **more: Any) -> Json:
        try:
            response = await self._http.request(method, path, **more)
        except httpx.HTTPError as error:
            raise Lost(f"{method} {type(error).__name__}") from error
        if response.status_code >= 400:
            raise Lost(f"{method} {response.status_code} {response.json().get('code')}")
        found: Json = response.json()
        return found


class FormMessenger(Messenger):
    """Posts forms, as pages of relay-chat do."""

    kind = "relay_chat"

    async def send(self, text: str) -> None:
        form = {"message": text, "type": "text", "sessionId": self.name}
        await self._ask("POST", "/chat", data={**form, "userId": self.user.name, "username": "S."})


class SocketMessenger(Messenger):
    """Holds a WebSocket, and opens another one when it is closed."""

    path: str

    def __init__(self, user: User, name: str, pace_s: float) -> None:
        super().__init__(user, name, pace_s)
        self._socket: ClientConnection | None = None

    async def leave(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def send(self, text: str) -> None:
        try:
            with anyio.fail_after(_WAIT_S):
                await self._talk(text)
        except ConnectionClosed as error:
            self._socket = None
            code = error.rcvd.code if error.rcvd else "without a word"
            raise Lost(f"socket closed {code}") from error
        except (OSError, InvalidHandshake) as error:
            self._socket = None
            raise Lost(f"socket {type(error).__name__}") from error

    async def _talk(self, text: str) -> None:
        if not self.conversation:
            self.conversation = await self._begun()
        socket = await self._connected()
        await socket.send(json.dumps(self.frame(text)))
        while not self.is_answered(json.loads(await socket.recv()), text):
            pass

    async def _begun(self) -> str:
        body = await self._ask("POST", "/pi/api/conversations", json={"title": self.name})
        found: str = body["conversation"]["id"]
        return found

    async def _connected(self) -> ClientConnection:
        """The socket. One that was closed while nothing was under way is replaced, and nothing is lost."""
        if self._socket is None or self._socket.close_code is not None:
            address, headers = self.user.address(self.path), self.user.headers
            self._socket = await connect(address, additional_headers=headers, proxy=None, close_timeout=1)
            self.journal.connections += 1
        return self._socket

    @abstractmethod
    def frame(self, text: str) -> Json:
        """The message as it is sent."""

    @abstractmethod
    def is_answered(self, frame: Json, text: str) -> bool:
        """Whether this frame is the answer.

        :raises Lost: when it says that there is none.
        """


class ChatMessenger(SocketMessenger):
    """A page of the chat app."""

    kind = "chat_app"
    path = "/app/ws/chat"

    def frame(self, text: str) -> Json:
        return {"message": text, "chat_id": self.conversation, "id": text}

    def is_answered(self, frame: Json, text: str) -> bool:
        if frame["event"] == "error":
            raise Lost(f"error {frame['code']}")
        return frame["event"] == "ai_response" and frame.get("id") == text


class DeviceMessenger(SocketMessenger):
    """A device of PiChat, which is told when its question is stored, before it is answered."""

    kind = "pichat"
    path = "/pi/ws"

    def frame(self, text: str) -> Json:
        payload = {"conversation_id": self.conversation, "content": text}
        return {"action": "send_message", "payload": payload, "request_id": text}

    def is_answered(self, frame: Json, text: str) -> bool:
        if frame.get("request_id") != text:
            return False
        if frame["action"] == "error":
            raise Lost(f"error {frame['payload']['code']}")
        if frame["action"] == "message_created":
            self._note(self.journal.asked, text)
        return bool(frame["action"] == "assistant_message")


MESSENGERS: Final[tuple[type[Messenger], ...]] = (FormMessenger, ChatMessenger, DeviceMessenger)
