"""The transport: the page's files, each under an address of its own, and what the page has to know."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from jackfield import Site
from jackfield.contracts.panel import Panel
from jackfield.web.admission import signed_in
from jackfield_transport_console.doors import PageSettings, Posts

if TYPE_CHECKING:
    from jackfield_transport_console import ConsoleOptions

INDEX: Final = "index.html"
_TYPES: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "media-src 'self' blob:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_GUARDS: Final = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

_FRESH: Final = {**_GUARDS, "Cache-Control": "no-store"}

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page. Browsers ask each time whether theirs is still the one: a server may be updated."""

    name: str
    content: bytes

    async def serve(self, request: Request) -> Response:
        tag = f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'
        headers = {**_GUARDS, "Cache-Control": "no-cache", "ETag": tag}
        known = request.headers.get("if-none-match", "")
        if tag in known.replace("W/", "").replace(" ", "").split(","):
            return Response(status_code=304, headers=headers)
        return Response(self.content, headers=headers, media_type=_TYPES[self.name.rpartition(".")[2]])


class Console:
    """The door."""

    def __init__(self, options: ConsoleOptions, site: Site) -> None:
        self._options = options
        self._site = site

    def routes(self, panel: Panel) -> APIRouter:
        router = APIRouter()
        self._panel = panel
        if self._site.mount:
            self._add(router, "", self._redirect)
        for file in _files():
            self._add(router, "/" if file.name == INDEX else f"/{file.name}", file.serve)
        self._add(router, "/settings.json", self._settings)
        if panel.authenticates:
            self._add(router, "/user.json", self._user)
        return router

    def _add(self, router: APIRouter, path: str, endpoint: Endpoint) -> None:
        router.add_api_route(
            path, endpoint, methods=["GET", "HEAD"], include_in_schema=False, response_model=None
        )

    async def _redirect(self, _request: Request) -> Response:
        return RedirectResponse(f"{self._site.mount}/", 308)

    async def _settings(self, request: Request) -> Response:
        posts, options, limits = Posts(request.app.routes), self._options, self._panel.settings
        settings: PageSettings = {
            "title": options.title,
            "speech": posts.speech(options.speech),
            "chat": posts.chat(options.chat),
            "identifies": self._panel.authenticates,
            "session_ids": limits.session_ids,
            "max_audio_s": limits.max_audio_s,
        }
        wanted = ((options.speech, settings["speech"]), (options.chat, settings["chat"]))
        missing = [mount for mount, door in wanted if mount is not None and door is None]
        if missing:
            settings["missing"] = missing
        return JSONResponse(settings, headers=_FRESH)

    async def _user(self, request: Request) -> Response:
        """Say who asks: for tokens and cookies that no door of accounts explains."""
        user = await signed_in(self._panel, request)
        assert user is not None, "the route is there where the door names a section"
        return JSONResponse({"id": user.subject}, headers=_FRESH)


def _files() -> list[PageFile]:
    """Read the page, which is small, once."""
    folder = files(__package__).joinpath("static")
    found = [file for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES]
    return [PageFile(file.name, file.read_bytes()) for file in sorted(found, key=lambda file: file.name)]
