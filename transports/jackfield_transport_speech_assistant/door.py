"""The transport: its routes, put together from the parts that serve them, and the calls beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from fastapi import APIRouter

from jackfield import ConfigError, Site
from jackfield.contracts.panel import Panel
from jackfield.errors import Problem
from jackfield_transport_speech_assistant.book import Book
from jackfield_transport_speech_assistant.cast import BUILT_IN, Cast
from jackfield_transport_speech_assistant.live import LiveSessions
from jackfield_transport_speech_assistant.signalling import Signalling
from jackfield_transport_speech_assistant.switching import Switching
from jackfield_transport_speech_assistant.telephone.routes import telephone_routes
from jackfield_transport_speech_assistant.telephone.sessions import PhoneSessions

if TYPE_CHECKING:
    from jackfield_transport_speech_assistant.options import SpeechAssistantOptions


class SpeechAssistant:
    """The door."""

    scenarios = BUILT_IN

    def __init__(self, options: SpeechAssistantOptions, site: Site) -> None:
        self._options = options
        self._site = site
        self._live: LiveSessions | None = None

    def routes(self, panel: Panel) -> APIRouter:
        """:raises ConfigError: in production, when clients are told to come over plain HTTP; and when
        something is missing that telephones need, or the model cannot do what the options ask of it.
        """
        shared, signals = panel.sessions.shared, panel.sessions.signals
        if shared is None or signals is None:  # the loader has seen to it
            raise RuntimeError("speech_assistant needs a store with the roles shared and signals")
        self._check_public_url(panel)
        self._check_model(panel)
        options = self._options
        cast = Cast(panel.scenarios)
        place = self._site.mount or "/"
        book = Book(shared, place, per_user=options.sessions_per_user, offer_s=options.offer_s)
        self._live = LiveSessions(panel, book, signals, cast)
        router = APIRouter(tags=["speech_assistant"])
        Signalling(panel, options, self._site, book, self._live, cast).add_routes(router)
        Switching(panel, book, self._live, signals, cast).add_routes(router)
        if options.telephone is not None:
            sessions = PhoneSessions(panel, book, self._live)
            router.include_router(telephone_routes(panel, options.telephone, self._site, sessions))
        return router

    async def run(self, _panel: Panel) -> None:
        """Hold calls until the server stops."""
        if self._live is not None:
            await self._live.run()

    def _check_public_url(self, panel: Panel) -> None:
        url = panel.settings.public_url
        if self._site.production and url.startswith("http://"):
            message = f"{url} is plain HTTP, over which browsers give no microphone and secrets can be read."
            fix = "Serve HTTPS, and write server.public_url with https://."
            raise ConfigError([Problem("server.public_url", message, fix)])

    def _check_model(self, panel: Panel) -> None:
        """The speech-to-speech model has to be able to take offers, or to give keys, where it is to."""
        wanted: list[tuple[Literal["offers", "secrets"], str, str]] = []
        if self._options.media == "pass_through":
            wanted.append(("offers", "media", '"pass_through"'))
        if self._options.expose_provider_secret:
            wanted.append(("secrets", "expose_provider_secret", "true"))
        problems: list[Problem] = []
        for ability, option, value in wanted:
            if obstacle := panel.forwarding.obstacle(ability):
                message = f"{value} needs a speech-to-speech model that can do it. {obstacle.message}"
                problems.append(Problem(f"{self._site.section}.options.{option}", message, obstacle.fix))
        if problems:
            raise ConfigError(problems)
