"""The table of figures in the operator's guide, beside those of a server that did what they count."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect

from jackfield.assembly import Built, assemble
from jackfield.config import read_config
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.tools import ToolContext
from jackfield.plugin import Capabilities
from tests.contracts.backend import Backend
from tests.core.server.support import Served, serving
from tests.traffic import CONFIG, call, chat, send_all

STILL: Final = frozenset(
    {
        "jackfield_events_dropped_total",
        "jackfield_realtime_audio_seconds_total",
        "jackfield_realtime_sessions",
    }
)
"""What does not move here: its own tests say what moves it."""
ELSEWHERE: Final = {"jackfield_telephone_bad_frames_total"}
"""What only servers with a telephone have."""

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "operators.md").read_text()
ROWS: Final = dict(
    re.findall(
        r"^ *\| `(jackfield_\w+)` \|([^|]*)\|", PAGE.split("| Metric | Labels | Counts |")[1], re.MULTILINE
    )
)


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
            await send_all(served.client)
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

    assert set(figures) == set(ROWS) - ELSEWHERE
    for name, metric in figures.items():
        assert metric.type == kind_of(name), name
        if name not in STILL:
            assert labels(metric) == documented(name), name
            assert any(sample.value > 0 for sample in metric.samples), name
