"""Which doors of this server the page can talk with, found from the routes that there are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NotRequired, TypedDict

from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute

_SPEECH: Final = "/realtime/signal"
_CHAT: Final = "/chat"
_SIGN_IN: Final = "/token"
_REGISTER: Final = "/register"
_SIGN_OUT: Final = "/logout"


class DoorInfo(TypedDict):
    """A door as the page is told of it."""

    mount: str
    """Prefix of its routes, without a slash at the end."""
    signs_in: bool
    """Whether `POST /token` beside it takes a name and a password."""
    registers: bool
    signs_out: bool
    """Whether `POST /logout` beside it takes a cookie back."""


class PageSettings(TypedDict):
    """What the page is told of the server. None where there is no such door."""

    title: str
    speech: DoorInfo | None
    chat: DoorInfo | None
    identifies: bool
    """Whether `user.json` beside the page tells who is signed in."""
    session_ids: str
    max_audio_s: float
    missing: NotRequired[list[str]]
    """Mounts of the configuration file at which there is no such door."""


class Posts:
    """Addresses to which something can be posted."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._paths = [
            context.path
            for context in iter_route_contexts(list(routes))
            if context.path is not None and "POST" in (context.methods or ())
        ]

    def speech(self, mount: str | None) -> DoorInfo | None:
        """Find a door for calls: at `mount`, or anywhere."""
        return self._door(_SPEECH, mount)

    def chat(self, mount: str | None) -> DoorInfo | None:
        """Find a door for messages: at `mount`, or anywhere."""
        return self._door(_CHAT, mount)

    def _door(self, end: str, mount: str | None) -> DoorInfo | None:
        for path in self._paths:
            place = path.removesuffix(end)
            if path.endswith(end) and mount in (None, place or "/"):
                return {
                    "mount": place,
                    "signs_in": place + _SIGN_IN in self._paths,
                    "registers": place + _REGISTER in self._paths,
                    "signs_out": place + _SIGN_OUT in self._paths,
                }
        return None
