"""The dashboard and the alarms, asked of a real Prometheus that scrapes a server under load."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

import anyio
import httpx
import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not installed
from websockets.asyncio.client import connect

from tests.contracts.backend import Backend
from tests.prometheus_server import PrometheusServer, program
from tests.redis_server import RedisServer, free_port
from tests.server_process import ServerProcess
from tests.traffic import CONFIG, ROOT, call, chat, send, send_all

pytestmark = pytest.mark.anyio

FOLDER: Final = ROOT / "examples" / "grafana"
DASHBOARD: Final = json.loads((FOLDER / "jackfield.json").read_text())
PANELS: Final = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES: Final = {one["name"]: one for one in DASHBOARD["templating"]["list"]}
ALERTS: Final = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
PAGE: Final = (ROOT / "docs" / "operators.md").read_text()

TOKEN: Final = "the-token-of-the-figures"
WITHIN_S: Final = 30.0
SCRAPE_S: Final = 1
STILL: Final = "jackfield_events_dropped_total"
"""What stays at nought here."""
LEFT_OUT: Final = {
    "jackfield_realtime_sessions": "only servers with a realtime model have it",
    "jackfield_realtime_audio_seconds_total": "only servers with a realtime model have it",
    "jackfield_telephone_bad_frames_total": "only servers with a telephone have it, and it stays at nought",
}
"""Figures that the dashboard does not show, and why."""
OUTAGE: Final = frozenset({"JackfieldErrors", "JackfieldStoreUnavailable"})
"""What has no figure until a store is out of reach."""
COMPARISON: Final = re.compile(r"\s*(?:[<>]=?|[=!]=)\s*[\d.]+\s*$")
MORE: Final = """
[server]
metrics_token = "TOKEN"
[timeouts]
cooldown_seconds = 0.5
[limits]
user_per_minute = 100000
session_per_minute = 100000
address_per_minute = 100000
[[transport]]
use = "pichat"
mount = "/pi"
[[extension]]
use = "mcp"
options.servers.words.command = "PYTHON"
options.servers.words.args = ["SERVER"]
"""


def filled_in(text: str) -> str:
    """A query as Grafana sends it when all jobs, servers and transports are chosen."""
    text = text.replace("$__rate_interval", f"{4 * SCRAPE_S}s")
    return re.sub(r"\$(\w+)", lambda name: str(VARIABLES[name[1]]["allValue"]), text)


def panel_queries() -> dict[str, str]:
    return {
        f"{panel['title']} ({panel['id']}{target['refId']})": filled_in(target["expr"])
        for panel in PANELS
        for target in panel["targets"]
    }


def alert_queries() -> dict[str, str]:
    """What each alarm compares: whether it rings is not asked."""
    return {alert["alert"]: COMPARISON.sub("", alert["expr"]) for alert in ALERTS}


def prometheus_config(folder: Path, address: str) -> Path:
    """The example's file with its token, for one server, asked every second."""
    text = (FOLDER / "prometheus.yml").read_text()
    text = re.sub(r"# (authorization:\n *)# (  credentials_file:)", r"\1\2", text)
    config = yaml.safe_load(text)
    config["global"] = dict.fromkeys(config["global"], f"{SCRAPE_S}s")
    job = config["scrape_configs"][0]
    job["static_configs"][0]["targets"] = [address]
    config["scrape_configs"] = [job]
    folder.mkdir()
    (folder / job["authorization"]["credentials_file"]).write_text(TOKEN)
    (folder / "alerts.yml").write_text((FOLDER / "alerts.yml").read_text())
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    return folder / "prometheus.yml"


@contextmanager
def watched(folder: Path, redis: RedisServer) -> Iterator[tuple[ServerProcess, PrometheusServer]]:
    """A server with every door, in front of another, and a Prometheus that scrapes it."""
    text = CONFIG.replace('use = "memory"', f'use = "redis"\noptions.url = "{redis.url}"')
    text = (text + MORE).replace('"clock"', '"count_words"').replace("TOKEN", TOKEN)
    text = text.replace("PYTHON", sys.executable).replace("SERVER", str(ROOT / "examples" / "mcp_words.py"))
    with Backend() as backend:
        file = folder / "server.toml"
        file.write_text(text.replace("BACKEND", backend.url).replace("FOLDER", str(folder / "clips")))
        port = free_port()
        config = prometheus_config(folder / "watching", f"127.0.0.1:{port}")
        with (
            PrometheusServer(folder / "prometheus", config) as prometheus,  # first: it takes 5 s to begin
            ServerProcess(folder / "server", [str(file), "--port", str(port)], os.environ) as server,
        ):
            yield server, prometheus


async def message(client: httpx.AsyncClient) -> None:
    """Send a message through pichat."""
    started = (await client.post("/pi/api/conversations", json={"title": "Talk"})).json()
    path = f"/pi/api/conversations/{started['conversation']['id']}/messages"
    assert (await client.post(path, json={"content": "Hello"})).status_code == 201


async def load(client: httpx.AsyncClient, enough: anyio.Event) -> None:
    """Use every door, again and again; a chat, a device and a phone stay connected."""
    address = str(client.base_url).rstrip("/").replace("http", "ws", 1)
    async with (
        connect(f"{address}/chat-app/ws/chat", proxy=None) as chatting,
        connect(f"{address}/pi/ws", proxy=None, max_queue=None),  # nobody reads what it is told
        connect(f"{address}/device/voice", proxy=None) as held,
    ):
        await call(held)
        number = 0
        while not enough.is_set():
            number += 1
            await send_all(client, number)
            await message(client)
            await chat(chatting)
            async with connect(f"{address}/device/voice", proxy=None) as phone:
                await call(phone)


async def fail(client: httpx.AsyncClient, enough: anyio.Event) -> None:
    """Send messages that cannot be stored."""
    while not enough.is_set():
        assert await send(client, "/chat") == 503
        await anyio.sleep(0.2)


async def answered(prometheus: PrometheusServer, query: str) -> bool:
    """Whether a query gives numbers, and not only nought."""
    values = await prometheus.values(query)
    return any(value > 0 for value in values) or bool(values and STILL in query)


async def all_answered(
    prometheus: PrometheusServer,
    queries: Mapping[str, str],
    during: Callable[[anyio.Event], Coroutine[Any, Any, None]],
) -> None:
    """Ask until every query has been answered; `during` goes on until its event is set."""
    missing = dict(queries)
    enough = anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(during, enough)
        with anyio.move_on_after(WITHIN_S):
            while missing:
                await anyio.sleep(SCRAPE_S / 2)
                missing = {
                    name: query for name, query in missing.items() if not await answered(prometheus, query)
                }
        enough.set()
    assert not missing


@pytest.mark.timeout(120)
async def test_every_query_finds_data_of_a_server_under_load(tmp_path: Path) -> None:
    program("prometheus")
    alerts = alert_queries()
    queries = {**panel_queries(), **{name: alerts[name] for name in alerts if name not in OUTAGE}}
    with RedisServer(tmp_path / "redis") as redis, watched(tmp_path, redis) as (server, prometheus):
        async with httpx.AsyncClient(base_url=server.url, trust_env=False) as client, prometheus.client:
            await all_answered(prometheus, queries, partial(load, client))
            found = {
                name: await prometheus.label_values(filled_in(variable["query"]["query"]))
                for name, variable in VARIABLES.items()
                if variable["type"] == "query"
            }
            redis.kill()
            outage = {name: alerts[name] for name in OUTAGE}
            await all_answered(prometheus, outage, partial(fail, client))

    assert found["job"] == ["jackfield"]
    assert found["instance"] == [server.url.removeprefix("http://")]
    assert {"relay_chat", "chat_app", "pichat", "voice_socket", "smart_proxy"} < {*found["transport"]}


def test_every_figure_of_the_guide_is_on_the_dashboard_or_left_out_for_a_reason() -> None:
    queries = " ".join(panel_queries().values())
    shown = {*re.findall(r"\bjackfield_\w+?(?=_bucket\b|_count\b|\b)", queries)}
    told = {*re.findall(r"^  \| `(jackfield_\w+)` \|", PAGE, re.MULTILINE)}
    assert told - shown <= LEFT_OUT.keys()
    assert not shown & LEFT_OUT.keys()


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel['id']}-{panel['title']}")
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["legendFormat"] or panel["type"] == "stat"
        selectors = re.findall(r"{(.*?)}", target["expr"])
        assert selectors
        assert all(one.startswith('job=~"$job", instance=~"$instance"') for one in selectors)


def test_no_two_panels_share_an_id_or_a_place() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [
        {(at["x"] + right, at["y"] + down) for right in range(at["w"]) for down in range(at["h"])}
        for at in (panel["gridPos"] for panel in panels)
    ]
    assert all(x < 24 for place in places for x, _ in place)
    assert not any(one & other for one, other in combinations(places, 2))


def test_the_data_source_is_chosen_when_the_dashboard_is_opened() -> None:
    assert (VARIABLES["datasource"]["type"], VARIABLES["datasource"]["query"]) == ("datasource", "prometheus")
    assert VARIABLES.keys() == {"datasource", "job", "instance", "transport"}
