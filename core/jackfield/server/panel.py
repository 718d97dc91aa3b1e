"""What doors and extensions are given: the shared parts, and identities by the door's own rules."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.requests import HTTPConnection

from jackfield.assembly import Assembly, Built, Door
from jackfield.audio.clips import ClipStore
from jackfield.config.sections import Config
from jackfield.contracts.auth import Auth, Credentials, SubjectMatcher, UserId
from jackfield.contracts.call import Calls
from jackfield.contracts.extension import Event
from jackfield.contracts.forwarding import Forwarding
from jackfield.contracts.panel import Assistant, Clips, Limits, Metrics, PanelSettings, Scenarios, Sessions
from jackfield.contracts.transport import BuiltInScenario, ScenarioSource
from jackfield.dialogue.assistant import DialogueAssistant
from jackfield.dialogue.call.forwarding import ForwardingService
from jackfield.dialogue.call.service import CallService
from jackfield.dialogue.leases import TurnLeases
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.sessions import SessionService
from jackfield.dialogue.warming import Warming
from jackfield.errors import ProtocolError, ProviderError
from jackfield.resilience.limits import RateLimits
from jackfield.resilience.shared_counters import SharedCounters
from jackfield.server.clips import clip_store
from jackfield.server.exchange import exchange_of
from jackfield.server.origins import Origins
from jackfield.sockets import offered_token

logger = logging.getLogger(__name__)

_BODY_BEYOND_AUDIO_BYTES: Final = 1024 * 1024
_SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")


@dataclass(frozen=True, slots=True)
class Parts:
    """What all doors and extensions of a server share."""

    settings: PanelSettings
    assistant: Assistant
    clips: ClipStore
    sessions: SessionService
    limits: Limits
    scenarios: Scenarios
    metrics: Metrics
    origins: Origins
    calls: CallService
    forwarding: Forwarding
    warming: Warming
    models: Sequence[str]
    leases: TurnLeases | None


def build_parts(assembly: Assembly, metrics: Metrics, publish: Callable[[Event], None]) -> Parts:
    """Put together what the doors share; opens nothing."""
    config = assembly.config
    assembly.chains.connect(publish, metrics)
    secret = config.server.secret_key
    sessions = SessionService(
        assembly.stores,
        secret=secret.get_secret_value().encode() if secret else b"",
        settings=config.session,
        store_s=config.timeouts.store_seconds,
        metrics=metrics,
        publish=publish,
    )
    scenarios = ScenarioTable(config, _built_in(assembly))
    clips = clip_store(config)
    assistant = DialogueAssistant(
        assembly, sessions=sessions, scenarios=scenarios, clips=clips, metrics=metrics, publish=publish
    )
    calls = CallService(
        assembly,
        sessions=sessions,
        scenarios=scenarios,
        order=assistant.order,
        metrics=metrics,
        publish=publish,
    )
    return Parts(
        settings=_settings(config),
        assistant=assistant,
        clips=clips,
        sessions=sessions,
        limits=RateLimits(config.limits, _counters(sessions, config)),
        scenarios=scenarios,
        metrics=metrics,
        origins=Origins(config.server.cors_origins),
        calls=calls,
        forwarding=ForwardingService(assembly, calls, publish),
        warming=Warming(assembly.llm, assembly.tools, scenarios),
        models=tuple(assembly.llm.named),
        leases=assistant.leases,
    )


def _built_in(assembly: Assembly) -> list[BuiltInScenario]:
    doors = [door.transport.object for door in assembly.doors]
    return [scenario for door in doors if isinstance(door, ScenarioSource) for scenario in door.scenarios]


def _counters(sessions: SessionService, config: Config) -> SharedCounters | None:
    """Where requests are counted with other servers, where there may be any."""
    common = sessions.common
    return None if common is None else SharedCounters(common, config.timeouts.store_seconds)


def _settings(config: Config) -> PanelSettings:
    return PanelSettings(
        max_audio_bytes=config.limits.audio_bytes,
        max_audio_s=config.limits.audio_seconds,
        max_body_bytes=config.limits.audio_bytes + _BODY_BEYOND_AUDIO_BYTES,
        session_ids=config.session.ids,
        request_s=config.timeouts.request_seconds,
        public_url=(config.server.public_url or "").rstrip("/"),
    )


class DoorPanel:
    """The panel of a door, or of an extension. Implements `contracts.panel.Panel`."""

    def __init__(self, parts: Parts, mount: str, auth: Built[Auth] | None, auth_name: str | None) -> None:
        self.settings = parts.settings
        self.assistant: Assistant = parts.assistant
        self.calls: Calls = parts.calls
        self.forwarding = parts.forwarding
        self.clips: Clips = parts.clips
        self.sessions: Sessions = parts.sessions
        self.limits: Limits = parts.limits
        self.scenarios: Scenarios = parts.scenarios
        self.metrics: Metrics = parts.metrics
        self.models = parts.models
        self.authenticates = auth is not None and not auth.capabilities.lets_all_in
        self._origins = parts.origins
        self._mount = mount
        self._auth = auth
        self._auth_name = auth_name or ""

    async def identify(self, connection: HTTPConnection) -> UserId | None:
        """Say who sent the request; None when the door has no authentication section.

        A refused request counts towards its address's allowance, so that guessing is slow.

        :raises ProtocolError: 401 `not_authenticated`, 503 when the section cannot tell, 429, 403
            `origin_not_allowed`.
        """
        if self._auth is None:
            return None
        try:
            identity = await self._auth.object.identify(_credentials(connection))
        except ProviderError as error:
            logger.warning("[%s] %s cannot tell: %s", self._auth.section, self._auth.plugin, error)
            detail = "Nobody can be signed in now; try again later."
            raise ProtocolError(503, "authentication_unavailable", detail) from error
        except ProtocolError:
            await self.limits.check_address(connection)
            raise
        if identity is None:
            await self.limits.check_address(connection)
            raise ProtocolError(
                401,
                "not_authenticated",
                "Sign in first.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if identity.by_cookie:
            self._check_page(connection)
        user = UserId(self._auth_name, identity.subject)
        connection.scope["user"] = user  # spares them the allowance of their address
        return user

    def check_origin(self, connection: HTTPConnection) -> None:
        """Refuse a WebSocket that a page of a foreign web site opened.

        :raises ProtocolError: 403 `origin_not_allowed`.
        """
        if not self._origins.welcomes(connection):
            raise ProtocolError(403, "origin_not_allowed", "Pages of this origin may not connect.")

    def _check_page(self, connection: HTTPConnection) -> None:
        """Refuse what a foreign page may have had a browser send, with the user's cookies."""
        if connection.scope.get("method") not in _SAFE_METHODS and not self._origins.names(connection):
            detail = "With a cookie this needs an Origin that may connect; or send the token in a header."
            raise ProtocolError(403, "origin_not_allowed", detail)

    def request_id(self, connection: HTTPConnection) -> str:
        """The id of a request; empty outside of this server's middleware."""
        exchange = exchange_of(connection.scope)
        return exchange.request_id if exchange else ""

    def claimed(self, subject: str) -> UserId:
        """A user that a client merely claims to be, in a namespace of this mount's own."""
        return UserId(f"claimed:{self._mount}", subject)

    def is_user(self, claimed: str, user: UserId) -> bool:
        """Whether the id that a client claims names the authenticated user."""
        matcher = self._auth.object if self._auth else None
        if isinstance(matcher, SubjectMatcher):
            return matcher.same_subject(claimed, user.subject)
        return claimed == user.subject


def panel_of(door: Door, assembly: Assembly, parts: Parts) -> DoorPanel:
    """Make the panel of a door."""
    auth = assembly.auths[door.auth] if door.auth is not None else None
    return DoorPanel(parts, door.mount, auth, door.auth)


def panel_of_extension(extension: Built[object], parts: Parts) -> DoorPanel:
    """Make the panel of what an extension built: users that it claims are in a namespace of its section."""
    return DoorPanel(parts, extension.section, None, None)


def _credentials(connection: HTTPConnection) -> Credentials:
    headers = dict(connection.headers.items())
    scheme, _, token = headers.get("authorization", "").partition(" ")
    bearer = token.strip() if scheme.lower() == "bearer" else ""
    return Credentials(bearer or offered_token(connection) or None, headers, connection.cookies)
