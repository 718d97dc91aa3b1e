"""The speech-to-speech model `azure_openai`, against a server on a real socket that speaks the protocol."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from pydantic import ValidationError

from jackfield.contracts.realtime import (
    ForwardsOffers,
    GivesSecrets,
    Realtime,
    RealtimeSettings,
    RealtimeText,
)
from jackfield.errors import ProviderBadReply, ProviderUnauthorized, ProviderUnavailable
from jackfield.plugin import Site
from jackfield.testing import FailureSuite, RealtimeSuite
from jackfield.testing.failure import Failing
from jackfield_realtime_openai import azure as plugin
from jackfield_realtime_openai.azure import AzureRealtimeOptions
from jackfield_realtime_openai.model import OpenAIRealtime
from tests.plugins.realtime.openai_realtime_server import DEPLOYMENT, KEY, RealtimeServer

pytestmark = pytest.mark.anyio

PLAIN = RealtimeSettings(instructions="You help.")


def options(endpoint: str, **others: Any) -> AzureRealtimeOptions:
    given = {"endpoint": endpoint, "deployment": DEPLOYMENT, "api_key": KEY, **others}
    return AzureRealtimeOptions.model_validate(given)


@asynccontextmanager
async def model(endpoint: str, **others: Any) -> AsyncIterator[OpenAIRealtime]:
    site = Site("realtime", "azure_openai", logging.getLogger("jackfield.trial"))
    async with plugin.make_realtime(options(endpoint, **others), site) as built:
        yield built


class TestSuite(RealtimeSuite):
    capabilities = plugin.plugin_info().capabilities(options("http://127.0.0.1:1"))

    @pytest.fixture
    async def realtime(self, server: RealtimeServer) -> AsyncIterator[Realtime]:
        server.script.pause_s = 0.01
        async with model(server.endpoint) as built:
            yield built


@pytest.mark.parametrize("copied", ["", "/", "/openai", "/openai/v1/"])
async def test_a_deployment_is_reached_with_the_key_of_its_resource(
    server: RealtimeServer, copied: str
) -> None:
    async with model(server.endpoint + copied, extra_headers={"Trace": "on"}) as built, built.session(PLAIN):
        (headers,) = server.headers
    assert server.paths == [f"/openai/v1/realtime?model={DEPLOYMENT}"]
    assert (headers["api-key"], headers["trace"]) == (KEY, "on")
    assert "authorization" not in headers


async def test_a_deployment_answers(server: RealtimeServer) -> None:
    said = ""
    async with model(server.endpoint) as built, built.session(PLAIN) as talk:
        await talk.inject("Hello")
        async for output in talk:
            if isinstance(output, RealtimeText):
                said += output.text
                if output.done:
                    break
    assert said == "You said: Hello"


async def test_what_is_spoken_is_the_websocket_alone(server: RealtimeServer) -> None:
    async with model(server.endpoint) as built:
        assert not isinstance(built, ForwardsOffers | GivesSecrets)


def test_a_key_and_a_deployment_are_needed() -> None:
    with pytest.raises(ValidationError) as raised:
        AzureRealtimeOptions.model_validate({"endpoint": "https://r.invalid", "api_key": ["", ""]})
    assert {error["loc"] for error in raised.value.errors()} == {("api_key",), ("deployment",)}


def test_the_network_is_needed_unless_the_endpoint_is_here() -> None:
    capabilities = plugin.plugin_info().capabilities
    assert capabilities(options("https://r.invalid")).network
    assert not capabilities(options("http://127.0.0.1:1")).network


class Opening(FailureSuite):
    """A session that cannot be opened."""

    __test__ = False
    secrets = (KEY, "wrong-key")
    settings: dict[str, Any] = {}  # noqa: RUF012  # nobody changes it

    @pytest.fixture
    async def failing(self, server: RealtimeServer) -> AsyncIterator[Failing]:
        async with model(**{"endpoint": server.endpoint, **self.settings}) as built:
            yield lambda: built.session(PLAIN).__aenter__()


class TestWrongKey(Opening):
    __test__ = True
    expected = ProviderUnauthorized
    settings = {"api_key": "wrong-key"}  # noqa: RUF012


class TestNobodyThere(Opening):
    __test__ = True
    expected = ProviderUnavailable
    settings = {"endpoint": "http://127.0.0.1:9"}  # noqa: RUF012


class TestWrongDeployment(Opening):
    __test__ = True
    expected = ProviderBadReply
    settings = {"deployment": "another"}  # noqa: RUF012
