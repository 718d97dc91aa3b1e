"""Endurance over WebRTC: calls of browsers for minutes, some of them with a speech-to-speech model.

The provider of that model is a server of its own, in this process, which speaks the protocol; whoever calls
hangs up now and then, politely or by vanishing, and dials again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, Final

import anyio
import httpx
from anyio import to_thread

from bench.browser_line import BrowserLine
from soak.caller import HANG_UP_S, Caller, Manner, Wire
from soak.endurance import CallResult, hold
from soak.manners import browser_manners
from soak.server import COMMON, SPEECH, serve
from soak.tally import Tally
from soak.witness import Witness
from tests.plugins.realtime.openai_realtime_server import KEY, RealtimeServer, realtime_server

_CASCADE: Final = "/assistant"
_MODELS: Final = "/models"
_MODELS_SHARE: Final = 0.25
_NOTICED_S: Final = 60.0
"""So long it may take until a browser that has vanished is given up: until then its call is held."""
_FORGET_S: Final = 5.0
_GONE_S: Final = 2.0
_DOORS: Final = """
[realtime]
use = "openai"
options.api_key = "{key}"
options.base_url = "{url}"
[limits]
enabled = false
[[transport]]
use = "speech_assistant"
mount = "{cascade}"
options.sessions_per_user = 100
[[transport]]
use = "soak_models"
mount = "{models}"
options.sessions_per_user = 100
"""


class _Listener(Witness):
    """Sound and events go their own ways to a browser: which of them comes first says nothing."""

    def sound(self, data: bytes) -> None:
        self._tally.counts["packets of sound"] += 1
        self.sounding = self.open_item is not None


class BrowserCaller(Caller):
    """Calls over WebRTC. Until `vanishes_until_s`, by the loop's clock, it may vanish without a word."""

    frame_s: ClassVar = 0.02
    digits: ClassVar = False

    def __init__(
        self,
        port: int,
        name: str,
        manners: Sequence[Manner],
        tally: Tally,
        seed: int,
        *,
        client: httpx.AsyncClient,
        vanishes_until_s: float,
    ) -> None:
        super().__init__(port, name, manners, tally, seed)
        self._client = client
        self._vanishes_until_s = vanishes_until_s
        self._browser: BrowserLine | None = None
        self._place = ""

    async def _dial(self) -> Wire:
        models = self._dice.random() < _MODELS_SHARE
        self._place = f"http://127.0.0.1:{self._port}{_MODELS if models else _CASCADE}"
        self._tally.counts["calls with a model"] += models
        self._manner = replace(self._manner, name="with a model" if models else "with a cascade")
        self._witness = witness = _Listener(self._tally, self._complain)
        line = BrowserLine(lambda: witness.sound(b""), lambda message: witness.event(json.loads(message)))
        self._browser = line
        with anyio.CancelScope(shield=True):  # one that is gone before it came is waited for
            await line.dial(self._client, self._place)
        return line

    async def _hang_up(self) -> None:
        line = self._browser
        assert line is not None
        ways = ["stop", "delete", "close"]
        how = self._hanging_up(ways + ["vanish"] * (anyio.current_time() < self._vanishes_until_s))
        with anyio.fail_after(HANG_UP_S):
            match how:
                case "stop":
                    line.command({"type": "stop"})
                    await line.over.wait()
                case "delete":
                    await self._delete(line.session)
                    await line.over.wait()
                case "close":
                    await line.hang_up()
                case _:
                    await line.vanish()
        if how in ("stop", "delete") and self._witness.ended != "hung_up":
            self._complain(f"ended as {self._witness.ended}")

    async def _delete(self, session: str) -> None:
        try:
            response = await self._client.delete(f"{self._place}/realtime/session/{session}")
        except httpx.HTTPError as error:
            raise OSError(f"the session was not ended: {error!r}") from error
        if response.status_code != 204:
            self._complain(f"the session was not ended: {response.status_code}")

    async def _leave(self) -> None:
        if self._browser is not None:
            with anyio.CancelScope(shield=True):
                await self._browser.hang_up()


async def endure_webrtc(calls: int, minutes: float, seed: int) -> CallResult:
    """Hold so many calls over WebRTC for so long."""
    result = CallResult(calls, minutes=minutes, seed=seed)
    result.say(f"endurance over WebRTC: {calls} callers for {minutes:g} minutes, seed {seed}")
    manners = await to_thread.run_sync(browser_manners)
    with realtime_server() as provider, serve(_config(provider)) as server:
        limits = httpx.Limits(max_keepalive_connections=0)  # they would count as left
        async with httpx.AsyncClient(timeout=20, limits=limits) as client:
            await _call_once(client, f"http://127.0.0.1:{server.port}{_MODELS}")
            until_s = anyio.current_time() + minutes * 60 - _NOTICED_S
            callers = [
                BrowserCaller(
                    server.port,
                    f"browser-{number}",
                    manners,
                    result.tally,
                    seed + number,
                    client=client,
                    vanishes_until_s=until_s,
                )
                for number in range(calls)
            ]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_forget, provider)
                await hold(server, callers, result, lambda: _connections(provider))
                tasks.cancel_scope.cancel()
    return result


async def _call_once(client: httpx.AsyncClient, place: str) -> None:
    """Have the server ask its provider once: with the first address that its event loop looks up, that starts
    threads for such work, and keeps them."""
    line = BrowserLine(lambda: None)
    await line.dial(client, place)
    await line.hang_up()
    await anyio.sleep(_GONE_S)


async def _forget(provider: RealtimeServer) -> None:
    """The provider keeps all sound that it was sent, which would be much."""
    while True:
        await anyio.sleep(_FORGET_S)
        provider.received.clear()


def _connections(provider: RealtimeServer) -> Mapping[str, int]:
    return {"connections to the provider": provider.open} if provider.open else {}


def _config(provider: RealtimeServer) -> str:
    doors = _DOORS.format(key=KEY, url=provider.url, cascade=_CASCADE, models=_MODELS)
    return COMMON + SPEECH + doors
