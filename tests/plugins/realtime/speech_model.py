"""Fixtures of tests with a speech-to-speech model: a server of OpenAI's protocol, started once a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.plugins.realtime.openai_realtime_server import RealtimeServer, realtime_server


@pytest.fixture(scope="module")
def house() -> Iterator[RealtimeServer]:
    """The server, whatever was asked of it before."""
    with realtime_server() as server:
        yield server


@pytest.fixture
def model(house: RealtimeServer) -> RealtimeServer:
    """The server, which has forgotten what was before."""
    house.reset()
    return house
