"""`/health`, `/metrics` and the layers that count."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import anyio
import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry, Counter, generate_latest

from jackfield.contracts.panel import Panel
from jackfield.server.metrics import PrometheusMetrics
from tests.core.server.support import TrialDoor, TrialStore, assembly, door, serving

pytestmark = pytest.mark.anyio


def nothing(_router: APIRouter, _panel: Panel) -> None:
    """No routes."""


class Reporting(TrialDoor):
    """A door that adds to `/health`."""

    def __init__(self, fields: Mapping[str, Any], *, fails: bool = False) -> None:
        super().__init__(nothing)
        self._fields = fields
        self._fails = fails

    async def health(self) -> Mapping[str, Any]:
        if self._fails:
            raise RuntimeError("secret-123")
        return self._fields


async def test_health_alone_is_just_healthy() -> None:
    async with serving(assembly(door(nothing), store=TrialStore())) as served:
        answer = await served.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy"})


async def test_doors_add_to_health_but_do_not_decide_it() -> None:

    first = door(nothing)
    one = replace(
        first, transport=replace(first.transport, object=Reporting({"service": "x", "status": "?"}))
    )
    other = replace(first, transport=replace(first.transport, object=Reporting({}, fails=True)))
    async with serving(assembly(one, other)) as served:
        answer = await served.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "healthy", "service": "x"})


class Asking(Reporting):
    """A door that takes its time to find out."""

    health_s = 2.0

    async def health(self) -> Mapping[str, Any]:
        await anyio.sleep(0.2)
        return await super().health()


@pytest.mark.parametrize(("status", "told"), [("degraded", "degraded"), ("ill", "healthy")])
async def test_a_door_that_has_to_ask_is_waited_for_and_may_say_that_it_is_degraded(
    status: str, told: str
) -> None:
    first = door(nothing)
    asking = replace(first, transport=replace(first.transport, object=Asking({"status": status, "x": 1})))
    async with serving(assembly(asking)) as served:
        answer = await served.client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": told, "x": 1})


async def test_a_store_out_of_reach_is_unhealthy_until_it_is_back() -> None:
    store = TrialStore()
    async with serving(assembly(door(nothing), store=store)) as served:
        store.failing = True
        ill = await served.client.get("/health")
        store.failing = False
        well = await served.client.get("/health")
    assert (ill.status_code, ill.json()) == (503, {"status": "unhealthy"})
    assert well.status_code == 200


async def test_a_store_that_hangs_is_found_out_while_health_answers_at_once() -> None:
    store = TrialStore()
    config = {"timeouts": {"store_seconds": 0.3}}
    async with serving(assembly(door(nothing), store=store, config=config)) as served:
        store.hanging = True
        began_s = time.monotonic()
        answer = await served.client.get("/health")
        assert time.monotonic() - began_s < 0.25
        with anyio.fail_after(3):
            while answer.status_code == 200:
                answer = await served.client.get("/health")
    assert answer.status_code == 503


async def test_health_answers_head_too() -> None:
    async with serving(assembly(door(nothing))) as served:
        assert (await served.client.head("/health")).status_code == 200


async def test_metrics_show_requests_sizes_and_the_process() -> None:
    async with serving(assembly(door(nothing), store=TrialStore())) as served:
        await served.client.get("/health")
        answer = await served.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert 'jackfield_requests_total{status="200",transport="core"} 1.0' in answer.text
    assert "jackfield_store_bytes 123.0" in answer.text
    assert "jackfield_audio_bytes 0.0" in answer.text
    assert "process_resident_memory_bytes" in answer.text


async def test_metrics_ask_for_their_token() -> None:
    token = "figures-token-0123456789"
    async with serving(assembly(door(nothing), config={"server": {"metrics_token": token}})) as served:
        without = await served.client.get("/metrics")
        wrong = await served.client.get("/metrics", headers={"Authorization": "Bearer other"})
        right = await served.client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
    assert without.status_code == wrong.status_code == 401
    assert without.headers["www-authenticate"] == "Bearer"
    assert right.status_code == 200


@pytest.mark.parametrize(
    "server", [{"metrics": False}, {"environment": "production"}], ids=["off", "production"]
)
async def test_metrics_are_off_when_told_and_in_production_without_a_token(server: dict[str, Any]) -> None:
    async with serving(assembly(door(nothing), config={"server": server})) as served:
        assert (await served.client.get("/metrics")).status_code == 404


async def test_docs_are_off_in_production() -> None:
    async with serving(assembly(door(nothing))) as served:
        assert (await served.client.get("/openapi.json")).json()["info"]["title"] == "Jackfield"
    async with serving(assembly(door(nothing), config={"server": {"environment": "production"}})) as served:
        assert (await served.client.get("/docs")).status_code == 404
        assert (await served.client.get("/openapi.json")).status_code == 404


def test_a_metric_of_one_name_is_made_once() -> None:
    metrics = PrometheusMetrics()
    first = metrics.counter("turns_total", "Turns.", ["transport"])
    assert metrics.counter("turns_total", "Turns.", ["transport"]) is first
    with pytest.raises(ValueError, match="turns_total"):
        metrics.counter("turns_total", "Turns.", ["other"])


def test_each_kind_of_metric_shows_what_it_was_told() -> None:
    metrics = PrometheusMetrics()
    metrics.counter("a_total", "A.", ["x"]).inc("1", by=2)
    metrics.gauge("b", "B.").set(7)
    metrics.histogram("c_seconds", "C.", buckets=[1.0]).observe(0.5)
    text = metrics.text().decode()
    assert 'a_total{x="1"} 2.0' in text
    assert "\nb 7.0" in text
    assert 'c_seconds_bucket{le="1.0"} 1.0' in text


def test_the_time_at_which_counting_began_is_left_out_and_nothing_else() -> None:
    metrics = PrometheusMetrics()
    metrics.counter("a_total", "A.", ["x"]).inc("1")
    metrics.histogram("b_seconds", "B.").observe(0.5)
    metrics.gauge("clips_created", "A gauge whose name ends so.").set(7)
    lines = [line for line in metrics.text().decode().splitlines() if "_created" in line]
    assert lines[-1] == "clips_created 7.0"
    assert all("clips_created" in line for line in lines)


def test_counting_of_others_in_the_process_is_left_as_it_is() -> None:
    PrometheusMetrics().counter("a_total", "A.").inc()
    registry = CollectorRegistry()
    Counter("a_total", "A.", registry=registry)
    assert b"a_created" in generate_latest(registry)


def test_two_servers_count_apart() -> None:
    one, other = PrometheusMetrics(), PrometheusMetrics()
    one.counter("a_total", "A.").inc()
    other.counter("a_total", "A.")
    assert "a_total 0.0" in other.text().decode()


async def test_only_listed_origins_get_cors_headers() -> None:
    config = {"server": {"cors_origins": ["http://localhost:3000"]}}
    async with serving(assembly(door(nothing), config=config)) as served:
        listed = await served.client.get("/nowhere", headers={"Origin": "http://localhost:3000"})
        other = await served.client.get("/nowhere", headers={"Origin": "http://evil.example"})
        asked = await served.client.options(
            "/chat",
            headers={
                "Origin": "http://localhost:3000",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
    assert listed.headers["access-control-allow-origin"] == "http://localhost:3000"
    assert listed.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers
    assert asked.status_code == 200
    assert "x-request-id" in asked.headers


async def test_credentials_are_never_allowed_from_every_origin() -> None:
    async with serving(assembly(door(nothing), config={"server": {"cors_origins": ["*"]}})) as served:
        answer = await served.client.get("/health", headers={"Origin": "http://a.example", "Cookie": "a=b"})
    assert "access-control-allow-credentials" not in answer.headers


async def test_refusals_by_size_have_cors_headers() -> None:
    config = {"server": {"cors_origins": ["http://localhost:3000"]}, "limits": {"audio_bytes": 1}}
    async with serving(assembly(door(nothing), config=config)) as served:
        answer = await served.client.post(
            "/nowhere", content=b"x" * (2 * 1024 * 1024), headers={"Origin": "http://localhost:3000"}
        )
    assert answer.status_code == 413
    assert answer.headers["access-control-allow-origin"] == "http://localhost:3000"
