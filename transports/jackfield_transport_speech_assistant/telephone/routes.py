"""Telephones by way of Twilio: the webhook that a call begins with, its stream, and calls that we make."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from jackfield.contracts.auth import UserId
from jackfield.errors import FieldError, ProtocolError
from jackfield.web.admission import signed_in
from jackfield.web.json_object import read_object
from jackfield_transport_speech_assistant.cast import DEFAULT, Cast
from jackfield_transport_speech_assistant.provider_errors import refusals
from jackfield_transport_speech_assistant.telephone.admission import Party, PhoneAdmission
from jackfield_transport_speech_assistant.telephone.media_stream import MediaStreams
from jackfield_transport_speech_assistant.telephone.openapi import CALLS, INCOMING_CALL
from jackfield_transport_speech_assistant.telephone.options import check_telephone
from jackfield_transport_speech_assistant.telephone.outbound import NUMBER, SID, Dialler, checked_number
from jackfield_transport_speech_assistant.telephone.signature import Signatures, check_signed, socket_url

if TYPE_CHECKING:
    from jackfield.contracts.panel import Panel
    from jackfield.plugin import Site
    from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions
    from jackfield_transport_speech_assistant.telephone.sessions import PhoneSessions

logger = logging.getLogger(__name__)

_MAX_FORM_BYTES: Final = 65_536
_MAX_FIELDS: Final = 200
_MAX_CALL_BYTES: Final = 4_096
_ANSWER_S: Final = 30.0
"""From the moment a telephone is picked up to the stream, at the most."""
_PARTY: Final = "party"


def telephone_routes(
    panel: Panel, options: TelephoneOptions, site: Site, sessions: PhoneSessions
) -> APIRouter:
    """Make the routes. Calls that users make are `sessions` of theirs.

    :raises ConfigError: when something that telephones need is missing.
    :raises ModuleNotFoundError: without the extra `twilio`.
    """
    check_telephone(options, site, panel.settings.public_url, authenticates=panel.authenticates)
    telephone = _Telephone(panel, options, site, sessions)
    router = APIRouter()
    for method in ("POST", "GET"):  # each its own route: they are two operations of the documentation
        router.add_api_route(
            "/incoming-call/{scenario}", telephone.incoming, methods=[method], **INCOMING_CALL
        )
    router.add_api_websocket_route("/media-stream/{scenario}", telephone.streams.serve)
    if options.calls.enabled:
        router.add_api_route("/calls", telephone.dial, methods=["POST"], **CALLS)
    return router


class _Telephone:
    """What the routes do, on one panel."""

    def __init__(self, panel: Panel, options: TelephoneOptions, site: Site, sessions: PhoneSessions) -> None:
        assert panel.sessions.shared is not None, "the plugin names the role"
        self._panel = panel
        self._options = options
        self._mount = site.mount
        self._sessions = sessions
        self._public_url = panel.settings.public_url
        self._cast = Cast(panel.scenarios)
        self._admission = PhoneAdmission(panel.sessions.shared, site.mount)
        self._signatures = _signatures(options, self._public_url)
        self._dialler = Dialler(options) if options.calls.enabled else None
        token = options.auth_token.get_secret_value() if options.auth_token else secrets.token_hex()
        self._pseudonym_key = token.encode()
        self.streams = MediaStreams(
            panel,
            options,
            site,
            self._admission,
            self._signatures,
            self._cast,
            panel.metrics.counter(
                "jackfield_telephone_bad_frames_total", "Frames of telephones' streams that were dropped."
            ),
            sessions,
        )

    async def incoming(self, request: Request, scenario: str) -> Response:
        """Answer Twilio's question what is to become of a call: it is to be connected to a stream."""
        posted = await _fields(request) if request.method == "POST" else None
        await check_signed(self._signatures, self._panel.limits, request, posted)
        known = self._cast.find(scenario)
        fields = request.query_params if posted is None else posted
        call = fields.get("CallSid", "")
        if not SID.fullmatch(call):
            raise _invalid("CallSid", "required", "This has to be the id of a call.")
        party = await self._admission.invited(request.query_params.get(_PARTY, ""))
        if party is None:
            party = Party(self._caller(fields.get("From", ""), call))
            await self._panel.limits.check_user(party.user)
        token = await self._admission.admit(call, party, ttl_s=self._options.token_s)
        url = f"{socket_url(self._public_url)}{self._mount}/media-stream/{known}"
        return Response(_twiml(url, token), media_type="text/xml", headers={"Cache-Control": "no-store"})

    async def dial(self, request: Request) -> JSONResponse:
        """Call a telephone for a user, who is put through to a scenario."""
        assert self._dialler is not None
        user = await signed_in(self._panel, request)
        assert user is not None, "calls are not made without authentication"
        body = await read_object(request, _MAX_CALL_BYTES)
        number = checked_number(body.get("to"))
        asked = body.get("scenario_id", DEFAULT)
        if not isinstance(asked, str):
            raise _invalid("scenario_id", "invalid", "This has to be the id of a scenario.")
        known = self._cast.find(asked)
        sid = await self._dial(user, number, known)
        logger.info("a telephone is being called; scenario=%s", known)
        return JSONResponse({"call_sid": sid}, 201)

    async def _dial(self, user: UserId, number: str, scenario: str) -> str:
        assert self._dialler is not None
        ttl_s = self._options.calls.time_limit_s + self._options.calls.ring_s + _ANSWER_S
        async with self._sessions.making(user, scenario, ttl_s=ttl_s) as party:
            with refusals():  # before anybody's telephone rings for nothing
                await self._panel.calls.check(self.streams.request(party, scenario))
            token = await self._admission.invite(party, ttl_s=ttl_s)
            webhook = f"{self._public_url}{self._mount}/incoming-call/{scenario}?{_PARTY}={token}"
            return await self._dialler.call(number, webhook)

    def _caller(self, number: str, call: str) -> UserId:
        """A caller, by a pseudonym of the number; of hidden numbers each call is another's."""
        known = number if NUMBER.fullmatch(number) else call
        digest = hmac.new(self._pseudonym_key, known.encode(), hashlib.sha256).hexdigest()
        return self._panel.claimed(f"phone-{digest[:32]}")


def _signatures(options: TelephoneOptions, public_url: str) -> Signatures | None:
    if not options.verify_signatures:
        logger.warning("telephone calls are taken from anybody: verify_signatures is false")
        return None
    assert options.auth_token is not None, "checked before"
    return Signatures(options.auth_token.get_secret_value(), public_url)


async def _fields(request: Request) -> QueryParams:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise ProtocolError(413, "body_too_large", "The request is too large.")
    if body.count(b"&") >= _MAX_FIELDS:
        raise ProtocolError(413, "body_too_large", "The form has too many fields.")
    return QueryParams(body.decode("utf-8", errors="replace"))


def _twiml(url: str, token: str) -> str:
    from twilio.twiml.voice_response import Connect, VoiceResponse

    connect = Connect()
    connect.stream(url=url).parameter(name="token", value=token)
    response = VoiceResponse()
    response.append(connect)
    return str(response)


def _invalid(field: str, code: str, message: str) -> ProtocolError:
    return ProtocolError(
        422, "invalid_request", f"{field} is not acceptable.", (FieldError(field, code, message),)
    )
