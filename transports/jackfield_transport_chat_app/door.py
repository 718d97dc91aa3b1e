"""The chat app as a transport: its routes, and what runs beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from jackfield import Site
from jackfield.contracts.panel import Panel
from jackfield_transport_chat_app import openapi
from jackfield_transport_chat_app.admission import Admission
from jackfield_transport_chat_app.audience import Audience
from jackfield_transport_chat_app.chats import Chats
from jackfield_transport_chat_app.connection import Services, SocketRoute
from jackfield_transport_chat_app.exchange import Exchanges
from jackfield_transport_chat_app.figures import Figures
from jackfield_transport_chat_app.replicas import Replicas
from jackfield_transport_chat_app.rest import RestRoutes

if TYPE_CHECKING:
    from jackfield_transport_chat_app import ChatAppOptions


class ChatApp:
    """The transport."""

    def __init__(self, options: ChatAppOptions, site: Site) -> None:
        self._options = options
        self._site = site
        self._replicas: Replicas | None = None

    def routes(self, panel: Panel) -> APIRouter:
        services = self._services(panel)
        self._replicas = services.replicas
        rest = RestRoutes(services)
        router = APIRouter(tags=["chat-app"])
        for path, method, endpoint, told in (
            ("/chats", "GET", rest.chats, openapi.chats()),
            ("/chat/{id}", "GET", rest.chat, openapi.chat()),
            ("/chat", "POST", rest.create, openapi.create()),
            ("/generate", "POST", rest.generate, openapi.generate(self._options.max_message_chars)),
            ("/stats", "GET", rest.stats, openapi.stats()),
        ):
            router.add_api_route(path, rest.counted(endpoint), methods=[method], **told)
        router.add_api_websocket_route("/ws/chat", SocketRoute(services).serve)
        return router

    async def run(self, panel: Panel) -> None:
        """Keep in step with other servers."""
        if self._replicas is not None:
            await self._replicas.run()

    def _services(self, panel: Panel) -> Services:
        options, site = self._options, self._site
        chats = Chats(panel.sessions)
        audience = Audience(chats)
        replicas = Replicas(panel, audience, site.logger)
        figures = Figures(panel.metrics, site.plugin)
        return Services(
            panel=panel,
            options=options,
            site=site,
            chats=chats,
            audience=audience,
            replicas=replicas,
            figures=figures,
            exchanges=Exchanges(panel, options, site, audience, replicas, figures),
            admission=Admission(panel),
        )
