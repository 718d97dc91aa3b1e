"""The table of figures in the operator's guide, beside those of a server that did what they count."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import ClientConnection, connect

from jackfield.assembly import Built, assemble
from jackfield.config import read_config
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.tools import ToolContext
from jackfield.plugin import Capabilities
from tests.contracts.backend import Backend
from tests.core.server.support import Served, serving

STILL: Final = frozenset({"jackfield_events_dropped_total"})
"""What does not move here: its own tests say what moves it."""

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operators.md").read_text()
ROWS: Final = dict(
    re.findall(
        r"^ *\| `(jackfield_\w+)` \|([^|]*)\|", PAGE.split("| Metric | Labels | Counts |")[1], re.MULTILINE
    )
)
QUESTION: Final = ("question.wav", (ROOT / "examples" / "question.wav").read_bytes(), "audio/wav")
CONFIG: Final = """
[llm]
use = "echo"
options.tool = "clock"
[[llm.fallback]]
use = "echo"
options.tool = "clock"
options.prefix = "The clock says: "
[stt]
use = "scripted"
options.transcripts = ["one two three"]
[tts]
use = "tone"
options.character_ms = 20
[session]
use = "memory"
ttl_seconds = 2
[audio]
directory = "FOLDER"
[call]
min_words = 0
[[transport]]
use = "relay_chat"
[[transport]]
use = "chat_app"
mount = "/chat-app"
[[transport]]
use = "voice_socket"
mount = "/device"
[[transport]]
use = "smart_proxy"
mount = "/proxy"
options.backend.url = "http://127.0.0.1:9"
options.fallback.use = "assistant"
[[transport]]
use = "smart_proxy"
mount = "/front"
options.backend.url = "BACKEND"
[[extension]]
use = "cache"
[[extension]]
use = "chaos"
options.rules = [{ section = "llm", do = "unavailable" }]
"""


class Clock:
    """A tool."""

    spec = ToolSpec("clock", "Tells the time.")

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "It is noon. " * 20


def kind_of(name: str) -> str:
    """What a figure must be, by its name and by what it says of it."""
    if name.endswith("_total"):
        return "counter"
    return "histogram" if name.endswith("_seconds") else "gauge"


async def send(served: Served, path: str, kind: str = "text", **files: Any) -> int:
    """Send a message in a form; gives the status of the answer."""
    form = {
        "message": "Hello",
        "type": kind,
        "sessionId": path.replace("/", "-"),
        "userId": "u",
        "username": "U",
    }
    return (await served.client.post(path, data=form, files=files or None)).status_code


async def send_all(served: Served) -> None:
    """Send messages through every door that takes forms, and one request that fails."""
    statuses = [
        await send(served, "/chat"),
        await send(served, "/chat", "voice", audio=QUESTION),
        await send(served, "/front/chat"),
        await send(served, "/proxy/chat"),
        await send(served, "/chat", "nonsense"),
    ]
    assert statuses == [200, 200, 200, 200, 422]


async def chat(socket: ClientConnection) -> None:
    """Send a message over the WebSocket of chat_app."""
    await socket.send('{"message": "Hello"}')
    assert "message" in json.loads(await socket.recv())


async def call(socket: ClientConnection) -> None:
    """Say something, and interrupt the answer."""
    await socket.send('{"type": "start", "turns": "explicit"}')
    await socket.send('{"type": "speech.start"}')
    await socket.send(bytes(range(256)) * 125)
    await socket.send('{"type": "speech.end"}')
    while not isinstance(await socket.recv(), bytes):
        pass
    await socket.send('{"type": "interrupt"}')
    while True:
        message = await socket.recv()
        if isinstance(message, str) and json.loads(message)["type"] == "reply.finished":
            return


async def scrape(served: Served) -> dict[str, Metric]:
    """Every figure of ours, by the name in the table."""
    found: dict[str, Metric] = {}
    for metric in text_string_to_metric_families(await served.figures()):
        name = metric.name + ("_total" if metric.type == "counter" else "")
        if name.startswith("jackfield_"):
            found[name] = metric
    return found


def labels(metric: Metric) -> set[str]:
    return {label for sample in metric.samples for label in sample.labels} - {"le"}


def documented(name: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", ROWS[name]))


async def lengths(served: Served) -> Metric:
    """Wait until conversations have expired; gives the figure of their lengths."""
    with anyio.fail_after(10):
        while not (figure := (await scrape(served))["jackfield_session_seconds"]).samples:
            await anyio.sleep(0.2)
    return figure


async def test_every_figure_in_the_table_is_there_and_moves_and_no_other(tmp_path: Path) -> None:
    with Backend() as backend:
        text = CONFIG.replace("BACKEND", backend.url).replace("FOLDER", str(tmp_path))
        parts = assemble(read_config(text, {}))
        tool = Built("extension.3", "clock", Capabilities(), Clock())
        async with serving(replace(parts, tools=(tool,))) as served:
            address = served.url.replace("http", "ws", 1)
            await send_all(served)
            async with connect(f"{address}/device/voice", proxy=None) as phone:
                await call(phone)
            async with (
                connect(f"{address}/chat-app/ws/chat", proxy=None) as chatting,
                connect(f"{address}/device/voice", proxy=None) as phone,
            ):
                await chat(chatting)
                await call(phone)
                busy = await scrape(served)
            figures = {**busy, "jackfield_session_seconds": await lengths(served)}

    assert set(figures) == set(ROWS)
    for name, metric in figures.items():
        assert metric.type == kind_of(name), name
        if name not in STILL:
            assert labels(metric) == documented(name), name
            assert any(sample.value > 0 for sample in metric.samples), name
