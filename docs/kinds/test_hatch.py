"""The plugin keeps the promises of a transport, and passes messages and answers on."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from types import SimpleNamespace

import pytest
from fastapi import Request
from jackfield import ProtocolError, Site
from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Finish
from jackfield.contracts.turn import TurnOutput, TurnRequest
from jackfield.testing import TransportSuite

import jackfield_transport_hatch as plugin

SITE = Site("transport.1", "hatch", logging.getLogger("test"))


async def reply(turn: TurnRequest) -> AsyncGenerator[TurnOutput, None]:
    """Stand in for the assistant."""
    yield "You wrote: "
    yield turn.text
    yield Finish("stop")


async def nothing(_of: object) -> None:
    """Identify nobody, and limit nobody."""


def request(body: bytes) -> Request:
    """Make a request as the server gives it to a route."""

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({"type": "http", "method": "POST", "path": "/ask", "headers": []}, receive)


Ask = Callable[[bytes], Awaitable[str]]


class TestHatch(TransportSuite):
    """Every test of the suite, and two of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.HatchOptions())

    @pytest.fixture
    def transport(self) -> plugin.HatchTransport:
        return plugin.make_transport(plugin.HatchOptions(), SITE)

    @pytest.fixture
    def panel(self) -> SimpleNamespace:
        return SimpleNamespace(
            identify=nothing,
            claimed=lambda subject: UserId("claimed:", subject),
            limits=SimpleNamespace(check_address=nothing, check_user=nothing),
            sessions=SimpleNamespace(new_session_id=lambda _user: "session"),
            assistant=SimpleNamespace(reply=reply),
        )

    @pytest.fixture
    def ask(self, transport: plugin.HatchTransport, panel: SimpleNamespace) -> Ask:
        return lambda body: transport.answer(panel, request(body))

    async def test_a_message_is_answered(self, ask: Ask) -> None:
        assert await ask("Καλημέρα\n".encode()) == "You wrote: Καλημέρα"

    @pytest.mark.parametrize("body", [b"", b" \n", b"x" * 2_001], ids=["empty", "blank", "long"])
    async def test_a_message_that_is_none_is_refused(self, ask: Ask, body: bytes) -> None:
        with pytest.raises(ProtocolError, match="invalid_text"):
            await ask(body)
