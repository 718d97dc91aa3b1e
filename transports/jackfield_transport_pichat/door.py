"""The transport: its routes, and the work that goes on beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from jackfield import Site
from jackfield.contracts.panel import Panel
from jackfield_transport_pichat.choices import Choices
from jackfield_transport_pichat.connection import SocketEndpoint
from jackfield_transport_pichat.rest import add_routes
from jackfield_transport_pichat.service import Service

if TYPE_CHECKING:
    from jackfield_transport_pichat.options import PichatOptions

PATH = "/ws"


class Pichat:
    """The door."""

    def __init__(self, options: PichatOptions, site: Site) -> None:
        self.max_frame_bytes = options.max_frame_bytes
        self._options = options
        self._site = site
        self._service: Service | None = None

    def routes(self, panel: Panel) -> APIRouter:
        """:raises ConfigError: when the table of models asks for one that is not configured."""
        choices = Choices(self._options, self._site.section, panel.models)
        self._service = Service(panel, self._options, choices, self._site.plugin)
        router = APIRouter(tags=["pichat"])
        endpoint = SocketEndpoint(panel, self._service, self._options, self._site)
        router.add_api_websocket_route(PATH, endpoint.serve)
        add_routes(router, panel, self._service)
        return router

    async def run(self, _panel: Panel) -> None:
        """Keep users' sockets in step until the server stops."""
        if self._service is not None:
            await self._service.audience.run()
