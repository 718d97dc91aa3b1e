"""Hatch: a door for plain text. `POST /ask` takes a message as its body and gives the answer as its own.

Nothing is remembered: each message is a conversation of its own.
"""

from __future__ import annotations

from contextlib import aclosing

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse
from jackfield import Options, PluginInfo, ProtocolError, Site, hookimpl
from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef, TurnRequest
from jackfield.text import normalise
from pydantic import Field


class HatchOptions(Options):
    """What an operator may set under `[transport.options]`."""

    max_chars: int = Field(default=2_000, gt=0, description="Most characters of a message.")


class HatchTransport:
    """Takes messages, gives answers."""

    def __init__(self, options: HatchOptions, site: Site) -> None:
        self._max_chars = options.max_chars
        self._site = site

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()

        async def ask(request: Request) -> PlainTextResponse:
            return PlainTextResponse(await self.answer(panel, request))

        router.add_api_route("/ask", ask, methods=["POST"], response_class=PlainTextResponse)
        return router

    async def answer(self, panel: Panel, request: Request) -> str:
        """Give the answer to the message that is the request's body."""
        user = await _user(panel, request)
        conversation = ConversationRef(self._site.mount, user, panel.sessions.new_session_id(user))
        turn = TurnRequest(conversation, await self._text(request), self._site.plugin, storing="nothing")
        async with aclosing(panel.assistant.reply(turn)) as outputs:
            return "".join([output async for output in outputs if isinstance(output, str)])

    async def _text(self, request: Request) -> str:
        text = normalise((await request.body()).decode(errors="replace"))
        if not 0 < len(text) <= self._max_chars:
            raise ProtocolError(422, "invalid_text", f"Send a text of 1 to {self._max_chars} characters.")
        return text


async def _user(panel: Panel, request: Request) -> UserId:
    """Say who asks; somebody, where nobody signs in. Whoever asks too often is refused."""
    user = await panel.identify(request)
    if user is None:
        await panel.limits.check_address(request)
        return panel.claimed("somebody")
    await panel.limits.check_user(user)
    return user


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="transport",
        name="hatch",
        summary="Plain text in, plain text out.",
        options=HatchOptions,
    )


@hookimpl
def make_transport(options: HatchOptions, site: Site) -> HatchTransport:
    return HatchTransport(options, site)
