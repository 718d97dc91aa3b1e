"""The routes of relay-chat."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID, uuid5

from fastapi import APIRouter, Request, Response

from jackfield import ProtocolError, Site
from jackfield.contracts.auth import UserId
from jackfield.contracts.llm import Finish
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef, Recording, TurnRequest
from jackfield.web.admission import named_user, signed_in
from jackfield.web.chat_form import (
    ChatForm,
    field_limits,
    is_session_id,
    parse_chat,
    parse_user_id,
)
from jackfield.web.clip import ClipResponse, no_such_clip
from jackfield.web.form import MULTIPART, media_type, read_form
from jackfield.web.openapi import AUDIO
from jackfield_transport_relay_chat import openapi

if TYPE_CHECKING:
    from jackfield_transport_relay_chat import RelayChatOptions

CACHE_HEADER: Final = "X-Cache"
SESSION_HEADER: Final = "X-Session-Id"
DEGRADED_HEADER: Final = "X-Jackfield-Degraded"
PROVIDERS_HEADER: Final = "X-Jackfield-Providers"
_TOKEN: Final = re.compile(r"[A-Za-z][A-Za-z0-9._-]*")
_SESSIONS: Final = UUID("6d1c8b53-0f0e-4b8b-9f0b-1f2a6f5d7c3e")
"""Namespace of the ids of lasting conversations; another one would lose those that are kept."""


class RelayChat:
    """The transport. It translates between the form and the panel."""

    def __init__(self, options: RelayChatOptions, site: Site) -> None:
        self._options = options
        self._site = site

    def routes(self, panel: Panel) -> APIRouter:
        endpoints = _Endpoints(panel, self._options, self._site)
        router = APIRouter(tags=["relay-chat"])
        router.add_api_route("/chat", endpoints.chat, methods=["POST"], **openapi.CHAT)
        router.add_api_route("/audio/{filename:path}", endpoints.audio, methods=["GET"], **AUDIO)
        router.add_api_route(
            "/audio/{filename:path}", endpoints.audio, methods=["HEAD"], include_in_schema=False
        )
        router.add_api_route(
            "/sessions/{sessionId}/refresh", endpoints.refresh, methods=["POST"], **openapi.REFRESH
        )
        return router

    async def health(self) -> Mapping[str, Any]:
        return {"service": "chat-api"}


class _Endpoints:
    """What the routes do, on one panel."""

    def __init__(self, panel: Panel, options: RelayChatOptions, site: Site) -> None:
        self._panel = panel
        self._options = options
        self._site = site
        self._text_fields = field_limits(options.max_text_chars)
        self._all_fields = {**self._text_fields, "audio": panel.settings.max_audio_bytes}
        labels = ("transport", "type")
        self._seconds = panel.metrics.histogram(
            "jackfield_message_seconds", "Seconds from a message's arrival to its answer.", labels
        )
        self._messages = panel.metrics.counter(
            "jackfield_messages_total", "Messages of users that were answered.", labels
        )

    async def chat(self, request: Request) -> Response:
        started = time.perf_counter()
        multipart = media_type(request)[0] == MULTIPART
        authenticated = await signed_in(self._panel, request)
        fields = self._all_fields if multipart else self._text_fields
        form = parse_chat(
            await read_form(request, fields),
            max_text_chars=self._options.max_text_chars,
            session_required=self._panel.settings.session_ids != "server",
        )
        user = await named_user(self._panel, form.user_id, authenticated)
        conversation = self._conversation(user, form.session_id)
        await self._panel.limits.check_session(conversation)
        form.check_audio_size()
        headers = {"Cache-Control": "no-store"}
        if form.session_id is None:
            headers[SESSION_HEADER] = conversation.session
        answer = self._answer_voice if form.type == "voice" else self._answer_text
        body = await answer(form, self._turn(form, conversation), headers)
        self._messages.inc(self._site.plugin, form.type)
        self._seconds.observe(time.perf_counter() - started, self._site.plugin, form.type)
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        return Response(content, headers=headers, media_type="application/json")

    async def audio(self, request: Request) -> Response:
        clip = await self._panel.clips.find(request.path_params["filename"])
        if clip is None:
            raise no_such_clip()
        return ClipResponse(clip)

    async def refresh(self, request: Request) -> Response:
        media_type(request)
        authenticated = await signed_in(self._panel, request)
        form = await read_form(request, {"userId": self._text_fields["userId"]})
        user = await named_user(self._panel, parse_user_id(form), authenticated)
        session_id = request.path_params["sessionId"]
        if not is_session_id(session_id):
            raise _no_such_session()
        conversation = self._conversation(user, session_id)
        await self._panel.limits.check_session(conversation)
        if not await self._panel.sessions.refresh(conversation):
            raise _no_such_session()
        return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Cache-Control": "no-store"})

    def _conversation(self, user: UserId, session_id: str | None) -> ConversationRef:
        sessions = self._panel.sessions
        if session_id is None:
            return ConversationRef(self._site.mount, user, sessions.new_session_id(user))
        conversation = ConversationRef(self._site.mount, user, session_id)
        if self._panel.settings.session_ids == "server" and not sessions.issued(conversation):
            raise _no_such_session()
        return conversation

    def _turn(self, form: ChatForm, conversation: ConversationRef) -> TurnRequest:
        return TurnRequest(
            conversation=conversation,
            text=form.text if form.type == "text" else "",
            transport=self._site.plugin,
            message_type=form.type,
            username=form.username,
            recording=self._recording(conversation) if self._options.history else None,
        )

    def _recording(self, conversation: ConversationRef) -> Recording:
        """The lasting conversation of a session: always the same, so that it is found again."""
        owner = self._panel.sessions.owner(conversation.user)
        named = "\x1f".join((conversation.mount, owner, conversation.session))
        return Recording(owner, str(uuid5(_SESSIONS, named)), title="")

    async def _answer_text(
        self, _form: ChatForm, turn: TurnRequest, headers: dict[str, str]
    ) -> dict[str, str]:
        pieces: list[str] = []
        async with aclosing(self._panel.assistant.reply(turn)) as outputs:
            async for output in outputs:
                if isinstance(output, str):
                    pieces.append(output)
                elif isinstance(output, Finish):
                    headers |= _cache_header(output.cached)
                    headers |= _providers_header({"llm": output.provider})
        return {"message": "".join(pieces).strip(), "type": "text"}

    async def _answer_voice(
        self, form: ChatForm, turn: TurnRequest, headers: dict[str, str]
    ) -> dict[str, str]:
        answer = await self._panel.assistant.reply_to_clip(turn, form.upload())
        headers |= _cache_header(answer.cached) | _providers_header(answer.providers)
        body = {"message": answer.text, "type": "text"}
        if answer.clip is None:
            headers[DEGRADED_HEADER] = "tts"
        else:
            route = f"{self._site.mount}/audio"
            body |= {"type": "voice", "audioUrl": self._panel.clips.url(answer.clip, route)}
        if self._options.include_transcript:
            body["transcript"] = answer.transcript
        return body


def _cache_header(cached: bool | None) -> dict[str, str]:
    """What the answer says of a cache that was asked."""
    return {} if cached is None else {CACHE_HEADER: "HIT" if cached else "MISS"}


def _providers_header(providers: Mapping[str, str]) -> dict[str, str]:
    """Who answered, as a structured field; without names that cannot stand in one."""
    named = [f"{kind}={name}" for kind, name in providers.items() if _TOKEN.fullmatch(name)]
    return {PROVIDERS_HEADER: ", ".join(named)} if named else {}


def _no_such_session() -> ProtocolError:
    return ProtocolError(404, "session_not_found", "There is no such session, or it has expired.")
