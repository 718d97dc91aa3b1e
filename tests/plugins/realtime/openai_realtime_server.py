"""A server on this machine that speaks OpenAI's Realtime protocol as its notes have it (GA shape).

It hears by loudness, writes down what it is told to have heard, answers in tones and words, calls tools,
and fails as it is asked to. It runs in a thread with an event loop of its own.
"""

from __future__ import annotations

import itertools
import json
import math
from array import array
from base64 import b64decode, b64encode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import TaskGroup
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

KEY = "sk-test-realtime-1234567890"
DEPLOYMENT = "speech-model"
"""Of a resource of Azure OpenAI, which the server is too."""
RATE_HZ = 24_000
LETTER_S = 0.05
"""What the voice takes for a character."""
_PIECE_S = 0.2
_LOUD = 500
_SETTINGS = {"type", "model", "instructions", "output_modalities", "audio", "tools", "tool_choice"}
_SETTINGS |= {"max_output_tokens", "tracing", "truncation"}


@dataclass
class Script:
    """What the server is to do."""

    hears: list[str] = field(default_factory=lambda: ["What is the capital of Japan?"])
    """What is written down of the utterances; the last for all further ones."""
    refuses: int | None = None
    """HTTP status of refused connections."""
    retry_after_s: int = 7
    """What refused connections are asked to wait."""
    refuses_session: bool = False
    drops: bool = False
    """Whether the connection is cut in the middle of the next answer."""
    fails: dict[str, Any] | None = None
    """The error of the next answer."""
    stalls: bool = False
    """Whether nothing is said after the connection stands."""
    pause_s: float = 0.0
    """Seconds between pieces of an answer."""


class RealtimeServer:
    """The server; what it was told is kept."""

    def __init__(self) -> None:
        self.url = ""
        self.open = 0
        """Connections, also those of before a reset that are still being closed."""
        self.reset()

    def reset(self) -> None:
        """Forget what was before."""
        self.script = Script()
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []

    @property
    def endpoint(self) -> str:
        """The same as a resource of Azure OpenAI."""
        return self.url.removesuffix("/v1")

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Events of clients of one type."""
        return [event for event in self.received if event["type"] == kind]

    def heard_s(self) -> float:
        """Seconds of sound that came."""
        appended = self.of_type("input_audio_buffer.append")
        return sum(len(b64decode(event["audio"])) for event in appended) / 2 / RATE_HZ

    def check(self, connection: ServerConnection, request: Request) -> Response | None:
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        self.headers.append(headers)
        self.paths.append(request.path)
        place = urlsplit(request.path)
        if self.script.refuses:
            code = "rate_limit_exceeded" if self.script.refuses == 429 else "server_error"
            return _refused(connection, self.script.refuses, code, self.script.retry_after_s)
        if place.path.startswith("/openai/"):
            return _check_resource(connection, request.path, headers)
        if headers.get("authorization") != f"Bearer {KEY}":
            return _refused(connection, 401, "invalid_api_key")
        if place.path != "/v1/realtime" or "model" not in parse_qs(place.query) or "openai-beta" in headers:
            return _refused(connection, 404, "model_not_found")
        return None

    async def talk(self, socket: ServerConnection) -> None:
        self.open += 1
        try:
            async with anyio.create_task_group() as tasks:
                await Talk(self, socket, tasks).run()
                tasks.cancel_scope.cancel()
        except* ConnectionClosed:
            pass
        finally:
            self.open -= 1


class Talk:
    """One connection."""

    def __init__(self, server: RealtimeServer, socket: ServerConnection, tasks: TaskGroup) -> None:
        self._server = server
        self._socket = socket
        self._tasks = tasks
        self._names = itertools.count(1)
        self._session: dict[str, Any] = {"type": "realtime", "model": "gpt-realtime", "tools": []}
        self._asked = ""
        self._scope: anyio.CancelScope | None = None
        self._response = ""
        self._answered = anyio.Event()
        self._answered.set()
        self._lengths_ms: dict[str, int] = {}
        self._speaking = False
        self._silence_s = 0.0
        self._buffer_s = 0.0
        self._has_spoken = False
        self._calls: set[str] = set()

    async def run(self) -> None:
        if self._server.script.stalls:
            await self._socket.wait_closed()
            return
        await self._say("session.created", session=self._session)
        async for message in self._socket:
            event = json.loads(message)
            self._server.received.append(event)
            handle = getattr(self, "_on_" + event["type"].replace(".", "_"), None)
            if handle is None:
                await self._complain("unknown_event", event)
            else:
                await handle(event)

    async def _on_session_update(self, event: dict[str, Any]) -> None:
        session = event["session"]
        unknown = set(session) - _SETTINGS
        voice = session.get("audio", {}).get("output", {}).get("voice")
        if session.get("type") != "realtime" or unknown or self._server.script.refuses_session:
            await self._complain("invalid_value", event)
        elif voice and self._has_spoken and voice != self._session["audio"]["output"]["voice"]:
            await self._complain("cannot_update_voice", event)
        else:
            self._session |= session
            await self._say("session.updated", session=self._session)

    async def _on_input_audio_buffer_append(self, event: dict[str, Any]) -> None:
        pcm = b64decode(event["audio"])
        assert len(pcm) % 2 == 0
        detection = self._session.get("audio", {}).get("input", {}).get("turn_detection")
        for at in range(0, len(pcm), RATE_HZ // 50 * 2):
            frame = pcm[at : at + RATE_HZ // 50 * 2]
            self._buffer_s += len(frame) / 2 / RATE_HZ
            if detection:
                await self._detect(frame, detection)

    async def _detect(self, frame: bytes, detection: dict[str, Any]) -> None:
        loud = max(map(abs, array("h", frame))) > _LOUD
        seconds = len(frame) / 2 / RATE_HZ
        if loud and not self._speaking:
            self._speaking = True
            await self._say("input_audio_buffer.speech_started", audio_start_ms=0, item_id=self._name("item"))
            if detection["interrupt_response"]:
                self._cancel()
        self._silence_s = 0.0 if loud else self._silence_s + seconds
        if self._speaking and self._silence_s * 1000 >= detection["silence_duration_ms"]:
            self._speaking = False
            await self._say("input_audio_buffer.speech_stopped", audio_end_ms=0, item_id=self._name("item"))
            await self._commit(answer=detection["create_response"])

    async def _on_input_audio_buffer_commit(self, event: dict[str, Any]) -> None:
        if self._buffer_s < 0.1:
            await self._complain("input_audio_buffer_commit_empty", event)
        else:
            await self._commit(answer=False)

    async def _on_input_audio_buffer_clear(self, event: dict[str, Any]) -> None:
        self._buffer_s = 0.0
        await self._say("input_audio_buffer.cleared")

    async def _commit(self, *, answer: bool) -> None:
        item = self._name("item")
        self._buffer_s = 0.0
        hears = self._server.script.hears
        self._asked = hears.pop(0) if len(hears) > 1 else hears[0]
        await self._say("input_audio_buffer.committed", item_id=item, previous_item_id=None)
        if answer:
            await self._respond({})
        if self._session["audio"]["input"]["transcription"]:
            kind = "conversation.item.input_audio_transcription"
            await self._say(f"{kind}.delta", item_id=item, content_index=0, delta=self._asked[:8])
            await self._say(f"{kind}.completed", item_id=item, content_index=0, transcript=self._asked)

    async def _on_conversation_item_create(self, event: dict[str, Any]) -> None:
        item = event["item"]
        if item["type"] == "function_call_output":
            if item["call_id"] not in self._calls:
                await self._complain("invalid_tool_call_id", event)
                return
            self._asked = f"Result: {item['output']}"
        elif item["role"] == "user":
            assert [part["type"] for part in item["content"]] == ["input_text"]
            self._asked = item["content"][0]["text"]
        else:
            assert [part["type"] for part in item["content"]] == ["output_text"]
        await self._say("conversation.item.added", item=item | {"id": self._name("item")})

    async def _on_conversation_item_truncate(self, event: dict[str, Any]) -> None:
        length_ms = self._lengths_ms.get(event["item_id"])
        if length_ms is None or not 0 <= event["audio_end_ms"] <= length_ms:
            await self._complain("invalid_value", event)
        else:
            await self._say("conversation.item.truncated", item_id=event["item_id"])

    async def _on_response_create(self, event: dict[str, Any]) -> None:
        if self._scope is not None:
            await self._complain("conversation_already_has_active_response", event)
        else:
            await self._respond(event.get("response") or {})

    async def _on_response_cancel(self, event: dict[str, Any]) -> None:
        if self._scope is None or event.get("response_id", self._response) != self._response:
            await self._complain("response_cancel_not_active", event)
        else:
            self._cancel()

    def _cancel(self) -> None:
        if self._scope is not None:
            self._scope.cancel()

    async def _respond(self, wishes: dict[str, Any]) -> None:
        """Answer, after an answer that was cancelled and not beside another."""
        if self._scope is not None and not self._scope.cancel_called:
            return
        await self._answered.wait()
        self._scope, self._answered = anyio.CancelScope(), anyio.Event()
        self._response = self._name("resp")
        response = {"object": "realtime.response", "id": self._response, "status": "in_progress"}
        await self._say("response.created", response=response)
        self._tasks.start_soon(self._answer, response, wishes, self._scope)

    async def _answer(
        self, response: dict[str, Any], wishes: dict[str, Any], scope: anyio.CancelScope
    ) -> None:
        script, status, details = self._server.script, "completed", None
        with scope:
            if script.fails is not None:
                status, details = "failed", {"type": "failed", "error": script.fails}
            elif self._session["tools"] and "tool" in self._asked:
                await self._call(response["id"])
            else:
                text = wishes.get("instructions", "").rpartition("\n")[2]
                await self._speak(response["id"], text or f"You said: {self._asked}")
        if scope.cancelled_caught:
            status, details = "cancelled", {"type": "cancelled", "reason": "turn_detected"}
        self._scope = None
        usage = {
            "input_tokens": 20,
            "output_tokens": 30,
            "total_tokens": 50,
            "input_token_details": {"cached_tokens": 5, "text_tokens": 10, "audio_tokens": 10},
        }
        done = response | {"status": status, "status_details": details, "usage": usage}
        await self._say("response.done", response=done)
        self._answered.set()
        limits = [{"name": "tokens", "limit": 1000, "remaining": 950, "reset_seconds": 1.5}]
        await self._say("rate_limits.updated", rate_limits=limits)

    async def _call(self, response: str) -> None:
        item = {
            "id": self._name("item"),
            "type": "function_call",
            "name": self._session["tools"][0]["name"],
            "call_id": self._name("call"),
            "arguments": '{"text": "tea"}',
        }
        self._calls.add(item["call_id"])
        where = {"response_id": response, "output_index": 0}
        await self._say("response.output_item.added", **where, item=item)
        await self._say("response.function_call_arguments.done", **where, **item)
        await self._say("response.output_item.done", **where, item=item)

    async def _speak(self, response: str, text: str) -> None:
        item: dict[str, Any] = {
            "id": self._name("item"),
            "type": "message",
            "role": "assistant",
            "content": [],
        }
        where = {"response_id": response, "output_index": 0}
        part = {**where, "item_id": item["id"], "content_index": 0}
        status = "incomplete"
        await self._say("response.output_item.added", **where, item=item)
        try:
            sound = _tone(len(text) * LETTER_S)
            size = round(_PIECE_S * RATE_HZ) * 2 + 1  # an odd number of bytes, as pieces may have
            words = text.split(" ")
            for number, at in enumerate(range(0, len(sound), size)):
                if words:
                    word = words.pop(0) + (" " if words else "")
                    await self._say("response.output_audio_transcript.delta", **part, delta=word)
                piece = sound[at : at + size]
                self._lengths_ms[item["id"]] = min(at + size, len(sound)) * 1000 // (2 * RATE_HZ)
                self._has_spoken = True
                await self._say("response.output_audio.delta", **part, delta=b64encode(piece).decode())
                if self._server.script.drops and number == 2:
                    self._server.script.drops = False
                    self._socket.transport.abort()
                await anyio.sleep(self._server.script.pause_s)
            if words:
                rest = " ".join(words)
                await self._say("response.output_audio_transcript.delta", **part, delta=rest)
            await self._say("response.output_audio_transcript.done", **part, transcript=text)
            await self._say("response.output_audio.done", **part)
            status = "completed"
        finally:
            with anyio.CancelScope(shield=True):
                done = item | {"status": status}
                await self._say("response.output_item.done", **where, item=done)

    async def _complain(self, code: str, event: dict[str, Any]) -> None:
        error = {
            "type": "invalid_request_error",
            "code": code,
            "message": f"Not accepted: {json.dumps(event)[:100]}",
            "param": None,
            "event_id": event.get("event_id"),
        }
        await self._say("error", error=error)

    async def _say(self, kind: str, **fields: Any) -> None:
        with suppress(ConnectionClosed):
            await self._socket.send(json.dumps({**fields, "type": kind, "event_id": self._name("event")}))

    def _name(self, kind: str) -> str:
        return f"{kind}_{next(self._names):04d}"


def _check_resource(connection: ServerConnection, path: str, headers: dict[str, str]) -> Response | None:
    """As a resource of Azure OpenAI does it."""
    if headers.get("api-key") != KEY:
        return _refused(connection, 401, "401")
    if path != f"/openai/v1/realtime?model={DEPLOYMENT}" or "openai-beta" in headers:
        return _refused(connection, 404, "DeploymentNotFound")
    return None


def _refused(connection: ServerConnection, status: int, code: str, retry_after_s: int = 7) -> Response:
    error = {"type": "invalid_request_error", "code": code, "message": f"Bad key {KEY}"}
    response = connection.respond(HTTPStatus(status), json.dumps({"error": error}))
    response.headers["retry-after"] = str(retry_after_s)
    return response


def _tone(seconds: float) -> bytes:
    period = array("h", (round(6000 * math.sin(math.tau * at / 60)) for at in range(60))).tobytes()
    samples = round(seconds * RATE_HZ)
    return (period * (samples // 60 + 1))[: samples * 2]


@contextmanager
def realtime_server() -> Iterator[RealtimeServer]:
    """Serve on a free port of this machine until left."""
    server = RealtimeServer()
    with start_blocking_portal() as portal:
        listening = portal.wrap_async_context_manager(_Listening(server))
        with listening as port:
            server.url = f"http://127.0.0.1:{port}/v1"
            yield server


class _Listening:
    def __init__(self, server: RealtimeServer) -> None:
        self._server = server

    async def __aenter__(self) -> int:
        server = self._server
        self._socket = await serve(
            server.talk, "127.0.0.1", 0, process_request=server.check, compression=None, close_timeout=0.2
        )
        port: int = next(iter(self._socket.sockets)).getsockname()[1]
        return port

    async def __aexit__(self, *exc: object) -> None:
        self._socket.close()
        await self._socket.wait_closed()
