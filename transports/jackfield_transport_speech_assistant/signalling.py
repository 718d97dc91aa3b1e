"""The HTTP side of a session: making one, answering its offer, ending it, and which scenarios there are."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from jackfield import ProtocolError, Site
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import FieldError
from jackfield.web.admission import signed_in
from jackfield.web.json_object import read_object
from jackfield_transport_speech_assistant import openapi
from jackfield_transport_speech_assistant.book import Book, Session
from jackfield_transport_speech_assistant.cast import DEFAULT, Cast
from jackfield_transport_speech_assistant.ice import IceServer
from jackfield_transport_speech_assistant.live import Joined, LiveSessions
from jackfield_transport_speech_assistant.offer import MAX_OFFER_BYTES
from jackfield_transport_speech_assistant.pass_through import PassThrough
from jackfield_transport_speech_assistant.peer import Peer
from jackfield_transport_speech_assistant.provider_errors import refusals
from jackfield_transport_speech_assistant.reception import HEARING_HZ

if TYPE_CHECKING:
    from jackfield_transport_speech_assistant.options import SpeechAssistantOptions

logger = logging.getLogger(__name__)

B = TypeVar("B", bound=BaseModel)

_MAX_BODY_BYTES: Final = 4 * MAX_OFFER_BYTES
"""JSON may write a byte as several."""
_DEAF: Final = {"X-Jackfield-Warning": "no-inbound-audio"}
_NO_STORE: Final = {"Cache-Control": "no-store"}


def _value_of(secret: object) -> object:
    """Clients of an older interface send the object that the secret was there."""
    return secret.get("value") if isinstance(secret, dict) else secret


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, hide_input_in_errors=True)


class Wanted(_Body):
    """What a session is to be like."""

    scenario_id: str = Field(DEFAULT, min_length=1, max_length=64)


class Offer(_Body):
    """A browser's offer."""

    session_id: str = Field(min_length=1, max_length=128)
    client_secret: Annotated[str, BeforeValidator(_value_of), Field(min_length=1, max_length=256)]
    sdp: str = Field(min_length=1)


class Signalling:
    """What the routes do."""

    def __init__(
        self,
        panel: Panel,
        options: SpeechAssistantOptions,
        site: Site,
        book: Book,
        live: LiveSessions,
        cast: Cast,
    ) -> None:
        self._panel = panel
        self._options = options
        self._site = site
        self._book = book
        self._live = live
        self._cast = cast
        self._relays = options.relays()
        self._pass_through = PassThrough(panel, live) if options.media == "pass_through" else None

    def add_routes(self, router: APIRouter) -> None:
        """Add every route."""
        for method, path, endpoint in (
            ("GET", "/scenarios", self.scenarios),
            ("GET", "/realtime/session", self.session),
            ("POST", "/realtime/session", self.new_session),
            ("POST", "/realtime/signal", self.signal),
            ("DELETE", "/realtime/session/{session_id}", self.end),
        ):
            said = openapi.ROUTES[method, path]
            router.add_api_route(path, endpoint, methods=[method], response_model=None, **said)

    async def scenarios(self, request: Request) -> Response:
        await self._user(request)
        return JSONResponse({"scenarios": self._cast.listed()})

    async def session(self, request: Request) -> Response:
        user = await self._user(request)
        return await self._create(user, checked(Wanted, dict(request.query_params)))

    async def new_session(self, request: Request) -> Response:
        user = await self._user(request)
        return await self._create(user, checked(Wanted, await read_object(request, _MAX_BODY_BYTES)))

    async def signal(self, request: Request) -> Response:
        user = await self._user(request)
        offer = checked(Offer, await read_object(request, _MAX_BODY_BYTES))
        session = await self._book.find(self._panel.sessions.owner(user), offer.session_id)
        async with self._book.admitting(session, offer.client_secret) as session:
            joined = await self._join(session, self._request(user, session), offer.sdp)
        logger.info("session signalled; session_id=%s hears=%s", session.id, joined.hears)
        if not joined.hears:
            logger.warning("a browser sends no sound: it is not heard; session_id=%s", session.id)
        headers = _NO_STORE if joined.hears else {**_NO_STORE, **_DEAF}
        return JSONResponse({"sdp_answer": joined.answer}, headers=headers)

    async def _join(self, session: Session, wanted: CallRequest, offer: str) -> Joined:
        if self._pass_through is not None:
            return await self._pass_through.join(session, wanted, offer)
        peer = Peer(
            session.id,
            self._own_servers(session),
            connect_s=self._options.connect_s,
            check=partial(self._panel.limits.check_session, wanted.conversation),
        )
        return await self._live.join(session, wanted, peer, offer)

    async def end(self, request: Request) -> Response:
        user = await self._user(request)
        session_id: str = request.path_params["session_id"]
        await self._live.end(await self._book.find(self._panel.sessions.owner(user), session_id))
        return Response(status_code=204)

    async def _create(self, user: UserId, wanted: Wanted) -> Response:
        scenario = self._cast.find(wanted.scenario_id)
        async with self._book.making(self._panel.sessions.owner(user), scenario) as made:
            session, secret = await self._asked_for(user, *made)
        logger.info("session started; session_id=%s scenario=%s", session.id, scenario)
        until = datetime.fromtimestamp(session.until_s, UTC).isoformat(timespec="seconds")
        servers = self._relays.ice_servers(session.user, time.time())
        body: dict[str, Any] = {
            "session_id": session.id,
            "client_secret": secret,
            "client_secret_expires_at": until.replace("+00:00", "Z"),
            "scenario_id": scenario,
            "ice_servers": [server.shown() for server in servers],
        }
        return JSONResponse(body, headers=_NO_STORE)

    async def _asked_for(self, user: UserId, session: Session, secret: str) -> tuple[Session, str]:
        """Find out whether a new session's call would be answered; gives it with what admits to it.

        Where clients get keys of the provider's, making one tells.

        :raises ProtocolError: 502 `provider_failed`, 503 `provider_rate_limited`, 504 `provider_timeout`,
            422 `voice_not_configured`.
        """
        request = self._request(user, session)
        with refusals():
            if not self._options.expose_provider_secret:
                await self._panel.calls.check(request)
                return session, secret
            key = await self._panel.forwarding.client_secret(request, self._options.offer_s)
        return await self._book.entrust(session, key.value, key.expires_s), key.value

    async def _user(self, request: Request) -> UserId:
        """Say who asks, and count it; without authentication those of one address are one user.

        :raises ProtocolError: 401 `not_authenticated`, 429 `rate_limited`.
        """
        user = await signed_in(self._panel, request)
        return user or self._panel.claimed(request.client.host if request.client else "")

    def _own_servers(self, session: Session) -> list[IceServer]:
        return self._relays.ice_servers(session.user, time.time()) if self._options.relay_server else []

    def _request(self, user: UserId, session: Session) -> CallRequest:
        return CallRequest(
            conversation=ConversationRef(self._site.mount, user, session.id),
            transport=self._site.plugin,
            rate_hz=HEARING_HZ,
            scenario=self._cast.played(session.scenario),
        )


def checked(kind: type[B], found: dict[str, Any]) -> B:
    """Give a request as it is to be.

    :raises ProtocolError: 422 `invalid_request`, naming every field that is wrong.
    """
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        fields = [
            FieldError(".".join(map(str, one["loc"])), _CODES.get(one["type"], "invalid"), f"{one['msg']}.")
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
    raise ProtocolError(422, "invalid_request", "The request is not valid.", tuple(fields))


_CODES: Final = {"missing": "required", "string_too_long": "too_long", "string_too_short": "required"}
