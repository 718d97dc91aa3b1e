"""A server on this machine that takes browsers' calls as OpenAI's Realtime service does, by its notes.

`POST /realtime/calls` answers an offer with a real WebRTC connection, which hears by loudness and answers in
a tone; `hangup` ends the call; a WebSocket with its `call_id` goes beside it; `POST
/realtime/client_secrets` makes keys, with which a browser may call by itself. WebSockets with sound are
served too. It runs in a thread with an event loop of its own.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
from aiohttp import BodyPartReader, WSMsgType, web
from anyio.abc import TaskGroup
from anyio.from_thread import BlockingPortal, start_blocking_portal

from tests.plugins.realtime.openai_far_call import FarCall, FarScript
from tests.plugins.realtime.openai_realtime_server import KEY, RealtimeServer, Talk


class Line:
    """A WebSocket as `Talk` wants it."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request) -> None:
        self._socket = socket
        self._request = request

    async def send(self, text: str) -> None:
        with suppress(ConnectionError):
            await self._socket.send_str(text)

    async def __aiter__(self) -> AsyncIterator[str]:
        async for message in self._socket:
            if message.type is WSMsgType.TEXT:
                yield message.data

    def cut(self) -> None:
        """Break the connection."""
        assert self._request.transport is not None
        self._request.transport.abort()


class CallsServer(RealtimeServer):
    """The server; what it was told is kept."""

    def reset(self) -> None:
        for call in [*getattr(self, "calls", {}).values()]:
            self._portal.call(call.ended.set)
        super().reset()
        self.script = self.far_script = FarScript()
        self.calls: dict[str, FarCall] = {}
        self.hung_up: list[str] = []
        self.offers: list[str] = []
        self.secrets: dict[str, dict[str, Any]] = {}
        self.attached = 0
        self.refuses_attaching = False
        self.stalls_s = 0.0
        """Seconds before a request is answered."""
        self.lives_s: int | None = None

    def bind(self, tasks: TaskGroup, portal: BlockingPortal) -> web.Application:
        self._tasks = tasks
        self._portal = portal
        self._numbers = itertools.count(1)
        application = web.Application()
        application.router.add_post("/v1/realtime/calls", self._begin)
        application.router.add_post("/v1/realtime/calls/{call}/hangup", self._hang_up)
        application.router.add_post("/v1/realtime/client_secrets", self._make_secret)
        application.router.add_get("/v1/realtime", self._attach)
        return application

    async def _begin(self, request: web.Request) -> web.Response:
        key = await self._admitted(request)
        if key in self.secrets:
            offer, session = await request.text(), self.secrets[key]
        else:
            parts = await _parts(request)
            assert set(parts) == {("sdp", "application/sdp"), ("session", "application/json")}
            offer = parts["sdp", "application/sdp"]
            session = json.loads(parts["session", "application/json"])
            assert session["model"]
            assert session["type"] == "realtime"
        self.offers.append(offer)
        if "m=audio" not in offer:
            raise _refused(400, "invalid_offer")
        call = FarCall(self, session)
        answer = await call.answer(offer)
        name = f"rtc_{next(self._numbers):04d}"
        self.calls[name] = call
        self._tasks.start_soon(self._hold, name, call)
        headers = {"Location": f"/v1/realtime/calls/{name}"}
        return web.Response(status=201, text=answer, content_type="application/sdp", headers=headers)

    async def _hold(self, name: str, call: FarCall) -> None:
        await call.run()
        self.calls.pop(name, None)

    async def _hang_up(self, request: web.Request) -> web.Response:
        await self._admitted(request)
        name = request.match_info["call"]
        if name not in self.calls:
            raise _refused(404, "call_not_found")
        self.hung_up.append(name)
        self.calls[name].ended.set()
        return web.Response()

    async def _make_secret(self, request: web.Request) -> web.Response:
        assert await self._admitted(request) == KEY
        wanted = await request.json()
        assert wanted["expires_after"]["anchor"] == "created_at"
        assert 10 <= wanted["expires_after"]["seconds"] <= 7200
        value = f"ek_{next(self._numbers):04d}"
        self.secrets[value] = wanted["session"]
        expires_at = int(time.time()) + wanted["expires_after"]["seconds"]
        answer = {"value": value, "expires_at": expires_at, "session": wanted["session"]}
        return web.json_response(answer)

    async def _attach(self, request: web.Request) -> web.WebSocketResponse:
        await self._admitted(request)
        call = self.calls.get(request.query.get("call_id", ""))
        if self.refuses_attaching or ("call_id" in request.query and (call is None or call.talk is None)):
            raise _refused(404, "call_not_found")
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        self.attached += 1
        try:
            async with anyio.create_task_group() as tasks:
                line = Line(socket, request)
                if call is None:  # with sound
                    await Talk(self, line, tasks).run()  # type: ignore[arg-type]  # it needs no more of it
                else:
                    tasks.start_soon(self._close_after, call, socket)
                    await self._listen(call, line)
                tasks.cancel_scope.cancel()
        finally:
            self.attached -= 1
        return socket

    async def _close_after(self, call: FarCall, socket: web.WebSocketResponse) -> None:
        await call.ended.wait()
        await socket.close()

    async def _listen(self, call: FarCall, line: Line) -> None:
        assert call.talk is not None
        call.listeners.add(line)
        await line.send(json.dumps({"type": "session.created", "session": call.session}))
        if self.far_script.greets:
            await call.talk.greet()
        try:
            async for message in line:
                await call.talk.take(json.loads(message))
                if self.script.drops:
                    self.script.drops = False
                    line.cut()
        finally:
            call.listeners.discard(line)

    async def _admitted(self, request: web.Request) -> str:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.headers.append(headers)
        await anyio.sleep(self.stalls_s)
        if self.script.refuses:
            code = "rate_limit_exceeded" if self.script.refuses == 429 else "server_error"
            raise _refused(self.script.refuses, code, self.script.retry_after_s)
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if key != KEY and key not in self.secrets:
            raise _refused(401, "invalid_api_key")
        return key


async def _parts(request: web.Request) -> dict[tuple[str, str], str]:
    """The parts of a form, by their names and kinds."""
    found: dict[tuple[str, str], str] = {}
    async for part in await request.multipart():
        assert isinstance(part, BodyPartReader)
        found[part.name or "", part.headers["Content-Type"]] = await part.text()
    return found


class _Refusal(web.HTTPException):
    """An error that the service answers with."""

    status_code = 500


def _refused(status: int, code: str, retry_after_s: int = 7) -> web.HTTPException:
    error = {"type": "invalid_request_error", "code": code, "message": f"Bad key {KEY}"}
    headers = {"Retry-After": str(retry_after_s)}
    refusal = _Refusal(text=json.dumps({"error": error}), content_type="application/json", headers=headers)
    refusal.set_status(status)
    return refusal


@contextmanager
def calls_server() -> Iterator[CallsServer]:
    """Serve on a free port of this machine until left."""
    server = CallsServer()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(_listening(server, portal)) as port,
    ):
        server.url = f"http://127.0.0.1:{port}/v1"
        yield server


@asynccontextmanager
async def _listening(server: CallsServer, portal: BlockingPortal) -> AsyncIterator[int]:
    async with anyio.create_task_group() as tasks:
        runner = web.AppRunner(server.bind(tasks, portal), shutdown_timeout=0.2)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port: int = runner.addresses[0][1]
        yield port
        for call in [*server.calls.values()]:
            call.ended.set()
        await runner.cleanup()
        tasks.cancel_scope.cancel()
