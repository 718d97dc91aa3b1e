"""The files of the console, and what its page is told of the server."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
from fastapi import APIRouter, Response

from jackfield.assembly import Built, Door
from jackfield.contracts.panel import Panel
from jackfield.plugin import Capabilities, Site
from jackfield_transport_console import ConsoleOptions, make_transport
from tests.core.server.support import Served, assembly, door, serving

pytestmark = pytest.mark.anyio


def console(mount: str, **options: str) -> Door:
    site = Site("transport.2", "console", logging.getLogger("trial"), mount=mount)
    transport = make_transport(ConsoleOptions.model_validate(options), site)
    return Door(Built("transport.2", "console", Capabilities(), transport), mount, None)


def doors(router: APIRouter, _panel: Panel) -> None:
    async def nothing() -> Response:
        return Response()

    for path in ("/realtime/signal", "/chat", "/token"):
        router.add_api_route(path, nothing, methods=["POST"])


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    parts = assembly(door(doors, mount="/talk"), console("/console", chat="/other"))
    async with serving(parts) as served:
        yield served


@pytest.mark.parametrize(
    ("path", "kind"), [("", "text/html"), ("main.js", "text/javascript"), ("console.css", "text/css")]
)
async def test_each_file_has_its_type_and_a_policy_without_other_sites(
    served: Served, path: str, kind: str
) -> None:
    response = await served.client.get(f"/console/{path}")
    assert response.status_code == 200
    assert response.headers["content-type"] == f"{kind}; charset=utf-8"
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    known = {"If-None-Match": response.headers["etag"]}
    assert response.headers["cache-control"] == "no-cache"
    assert (await served.client.get(f"/console/{path}", headers=known)).status_code == 304


async def test_the_mount_leads_to_the_page(served: Served) -> None:
    response = await served.client.get("/console", follow_redirects=False)
    assert (response.status_code, response.headers["location"]) == (308, "/console/")


@pytest.mark.parametrize("path", ["other.js", "page.py", "../page.py", "%2e%2e/page.py", "static/main.js"])
async def test_nothing_else_is_served(served: Served, path: str) -> None:
    assert (await served.client.get(f"/console/{path}")).status_code == 404


async def test_the_page_is_told_of_the_doors_that_there_are(served: Served) -> None:
    response = await served.client.get("/console/settings.json")
    assert response.headers["cache-control"] == "no-store"
    settings = response.json()
    assert settings["speech"] == {
        "mount": "/talk",
        "signs_in": True,
        "registers": False,
        "signs_out": False,
    }
    assert not settings["identifies"]
    assert (settings["chat"], settings["missing"]) == (None, ["/other"])
