"""The routes of smart-proxy."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import anyio
from fastapi import APIRouter, Request, Response

from jackfield import Site
from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import DEGRADED
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ConfigError, Problem
from jackfield.web.admission import named_user, signed_in
from jackfield.web.chat_form import ChatForm, field_limits, parse_chat
from jackfield.web.clip import ClipResponse, no_such_clip
from jackfield.web.form import MULTIPART, Form, media_type, read_form
from jackfield.web.openapi import AUDIO, chat_route
from jackfield_transport_smart_proxy.answers import SOURCE_HEADER, Answer
from jackfield_transport_smart_proxy.asked import Asked, checked_audio, texts_of, way_of
from jackfield_transport_smart_proxy.availability import Availability
from jackfield_transport_smart_proxy.cache import ClipCache
from jackfield_transport_smart_proxy.clips import ROUTE, Clips
from jackfield_transport_smart_proxy.fallback import Fallback
from jackfield_transport_smart_proxy.frames import answered
from jackfield_transport_smart_proxy.live import Crowd, Live
from jackfield_transport_smart_proxy.options import SmartProxyOptions
from jackfield_transport_smart_proxy.service import Service
from jackfield_transport_smart_proxy.upstream import Upstream

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_DEGRADED_HEADER: Final = "X-Jackfield-Degraded"
_FIRST_PROBE_S: Final = 1.0
_PROBE_S: Final = 2.0
_FAILURES: Final = {
    502: "`backend_error` or `backend_bad_response`, or of the fallback `llm_failed` or `stt_failed`",
    503: "`backend_unavailable`, `store_unavailable` or `scanner_unavailable`",
    508: "`proxy_loop`",
}


class SmartProxy:
    """The transport: an async context manager that holds the connections to the backend."""

    health_s: Final = 1.1
    """Seconds that `health` may take: it may have to ask the backend."""

    def __init__(self, options: SmartProxyOptions, site: Site) -> None:
        self._options = options
        self._site = site
        self._upstream = Upstream(options.backend)
        self._cache = ClipCache(options.clips, site.section, site.logger)
        self._availability = Availability(
            self._probe, interval_s=options.backend.probe_interval_s, logger=site.logger
        )

    def routes(self, panel: Panel) -> APIRouter:
        if self._options.push_replies and not panel.authenticates:
            section = f"{self._site.section}.options.push_replies"
            message = "Answers can only be sent to users who have signed in: anybody can claim a user id."
            raise ConfigError([Problem(section, message, f"Set `auth` in [{self._site.section}].")])
        clips = Clips(panel, self._site, self._upstream, self._cache, self._options.clips.ttl_s)
        fallback = Fallback(panel, self._options.fallback, self._site)
        service = Service(panel, self._site, self._upstream, self._availability, clips, fallback)
        endpoints = _Endpoints(panel, self._options, self._site, service, clips)
        router = APIRouter(tags=["smart-proxy"])
        router.add_api_route("/chat", endpoints.chat, methods=["POST"], **chat_route(failures=_FAILURES))
        voice = f"{ROUTE}/{{filename:path}}"
        router.add_api_route(voice, endpoints.voice, methods=["GET"], **AUDIO)
        router.add_api_route(voice, endpoints.voice, methods=["HEAD"], include_in_schema=False)
        router.add_api_websocket_route("/ws/{user_id}", endpoints.live)
        return router

    async def __aenter__(self) -> Self:
        """Connect, and find out whether the backend is there already.

        :raises ConfigError: when the folder of spoken answers cannot be written to.
        """
        await self._cache.open()
        await self._upstream.__aenter__()
        with anyio.move_on_after(_FIRST_PROBE_S):
            await self._availability.look()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._upstream.__aexit__(exc_type, exc, tb)

    async def run(self, panel: Panel) -> None:
        """Look after the backend and the spoken answers."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._availability.run)
            tasks.start_soon(self._cache.run)

    async def health(self) -> Mapping[str, Any]:
        there = await self._availability.now()
        fields: dict[str, Any] = {"backend_client": {"url": self._upstream.url, "available": there}}
        if not there and self._options.fallback.use == "none":
            fields["status"] = DEGRADED
        return fields

    async def _probe(self) -> bool:
        return await self._upstream.is_healthy(_PROBE_S)


class _Endpoints:
    """What the routes do, on one panel."""

    def __init__(
        self,
        panel: Panel,
        options: SmartProxyOptions,
        site: Site,
        service: Service,
        clips: Clips,
    ) -> None:
        self._panel = panel
        self._options = options
        self._site = site
        self._service = service
        self._clips = clips
        self._text_fields = field_limits(options.max_text_chars)
        self._all_fields = {**self._text_fields, "audio": panel.settings.max_audio_bytes}
        self._crowd = Crowd(options.max_sockets_per_user)
        self.live = Live(
            panel, site, self._crowd, self._all_fields, self._said, self._admit, self._answer
        ).serve
        labels = ("transport", "type")
        self._seconds = panel.metrics.histogram(
            "jackfield_message_seconds", "Seconds from a message's arrival to its answer.", labels
        )
        self._messages = panel.metrics.counter(
            "jackfield_messages_total", "Messages of users that were answered.", labels
        )

    async def chat(self, request: Request) -> Response:
        way = way_of(request, self._panel)
        multipart = media_type(request)[0] == MULTIPART
        authenticated = await signed_in(self._panel, request)
        sent = await read_form(request, self._all_fields if multipart else self._text_fields)
        form = self._parsed(sent)
        user = await named_user(self._panel, form.user_id, authenticated)
        conversation = self._conversation(form, user)
        await self._panel.limits.check_session(conversation)
        asked = Asked(checked_audio(form), conversation, texts_of(sent), way)
        answer = await self._answer(asked)
        if self._options.push_replies:
            self._crowd.post(user, answered(answer, asked.conversation.session, None))
        headers = {"Cache-Control": "no-store", SOURCE_HEADER: answer.source}
        if answer.degraded:
            headers[_DEGRADED_HEADER] = "tts"
        content = json.dumps(answer.body(), ensure_ascii=False, separators=(",", ":"))
        return Response(content, headers=headers, media_type="application/json")

    async def voice(self, request: Request) -> Response:
        clip = await self._clips.find(request.path_params["filename"])
        if clip is None:
            raise no_such_clip()
        return ClipResponse(clip)

    def _said(self, connection: HTTPConnection, sent: Form, user: UserId) -> Asked:
        """Check a message that came by a WebSocket."""
        form = self._parsed(sent)
        way = way_of(connection, self._panel)
        return Asked(checked_audio(form), self._conversation(form, user), texts_of(sent), way)

    async def _admit(self, connection: HTTPConnection, asked: Asked) -> None:
        """Count such a message as one that is posted."""
        limits = self._panel.limits
        await limits.check_address(connection)
        await limits.check_user(asked.conversation.user)
        await limits.check_session(asked.conversation)

    def _parsed(self, sent: Form) -> ChatForm:
        return parse_chat(sent, max_text_chars=self._options.max_text_chars, session_required=True)

    def _conversation(self, form: ChatForm, user: UserId) -> ConversationRef:
        return ConversationRef(self._site.mount, user, form.session_id or "")

    async def _answer(self, asked: Asked) -> Answer:
        began_s = time.perf_counter()
        answer = await self._service.answer(asked)
        self._messages.inc(self._site.plugin, asked.form.type)
        self._seconds.observe(time.perf_counter() - began_s, self._site.plugin, asked.form.type)
        return answer
