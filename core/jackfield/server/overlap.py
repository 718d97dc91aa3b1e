"""Two routes that one request could match: found before the server starts, never settled by their order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from fastapi.routing import RouteContext, iter_route_contexts
from starlette.routing import BaseRoute, Mount, WebSocketRoute

from jackfield.errors import Problem

_PARAMETER: Final = re.compile(r"{[a-zA-Z_]\w*(:[a-zA-Z_]\w*)?}")
_CATCH_ALL: Final = re.compile(r"{[a-zA-Z_]\w*:path}")
_WEBSOCKET: Final = "WebSocket"
_ANY: Final = "*"


@dataclass(frozen=True, slots=True)
class Owner:
    """Who brought a route: a section of the file and its plugin, or the core itself."""

    section: str
    name: str

    def __str__(self) -> str:
        return f"{self.name} [{self.section}]" if self.section else self.name


@dataclass(frozen=True, slots=True)
class OwnedRoute:
    """A route: its methods (`*` for all, `WebSocket` for one of those) and its whole path as a pattern."""

    owner: Owner
    methods: frozenset[str]
    path: str


@dataclass(frozen=True, slots=True)
class _Pattern:
    segments: tuple[str | None, ...]
    """None for a segment with a parameter."""
    open: bool
    """Whether any rest may follow the segments."""


def routes_of(owner: Owner, routes: Sequence[BaseRoute]) -> Iterator[OwnedRoute]:
    """Flatten what an owner brought. `routes` are those of the application, so paths are whole."""
    for context in iter_route_contexts(routes):
        path = context.path
        if path is not None:
            yield from _owned(owner, context, path)


def _owned(owner: Owner, context: RouteContext, path: str) -> Iterator[OwnedRoute]:
    route = context.original_route
    if isinstance(route, Mount):
        # Everything below belongs to it, whatever it will answer there.
        yield OwnedRoute(owner, frozenset((_ANY, _WEBSOCKET)), f"{path.rstrip('/')}/{{path:path}}")
    elif isinstance(route, WebSocketRoute):
        yield OwnedRoute(owner, frozenset((_WEBSOCKET,)), path)
    else:
        methods = frozenset(context.methods or (_ANY,))
        yield OwnedRoute(owner, methods - {"HEAD"} if "GET" in methods else methods, path)


def overlaps(routes: Iterable[OwnedRoute]) -> list[Problem]:
    """Find the owners whose routes one request could match: the first such routes of each two owners.

    A segment with a parameter matches any segment; a catch-all parameter or a mounted application matches
    any rest. HEAD counts as GET.
    """
    problems: dict[tuple[Owner, Owner], Problem] = {}
    patterned = [(route, _pattern(route.path)) for route in routes]
    for (one, pattern), (other, other_pattern) in combinations(patterned, 2):
        if one.owner != other.owner and _share_method(one, other) and _meet(pattern, other_pattern):
            problems.setdefault((one.owner, other.owner), _problem(one, other))
    return list(problems.values())


def _share_method(one: OwnedRoute, other: OwnedRoute) -> bool:
    mine, theirs = _as_get(one.methods), _as_get(other.methods)
    if mine & theirs:
        return True
    return (_ANY in mine and bool(theirs - {_WEBSOCKET})) or (_ANY in theirs and bool(mine - {_WEBSOCKET}))


def _as_get(methods: frozenset[str]) -> frozenset[str]:
    return frozenset("GET" if method == "HEAD" else method for method in methods)


def _pattern(path: str) -> _Pattern:
    segments: list[str | None] = []
    for segment in path.split("/")[1:]:
        if _CATCH_ALL.search(segment):
            return _Pattern(tuple(segments), open=True)
        segments.append(None if _PARAMETER.search(segment) else segment)
    return _Pattern(tuple(segments), open=False)


def _meet(one: _Pattern, other: _Pattern) -> bool:
    """Whether one path could match both. A rest has at least one segment, which may be empty."""
    if one.open != other.open:
        opened, closed = (one, other) if one.open else (other, one)
        if len(closed.segments) <= len(opened.segments):
            return False
    elif not one.open and len(one.segments) != len(other.segments):
        return False
    return all(_same(a, b) for a, b in zip(one.segments, other.segments, strict=False))


def _same(one: str | None, other: str | None) -> bool:
    """Whether one segment could match both; a parameter never matches an empty segment."""
    return one == other or (one is None and other != "") or (other is None and one != "")


def _problem(one: OwnedRoute, other: OwnedRoute) -> Problem:
    movable = [route.owner.section for route in (other, one) if route.owner.section.startswith("transport")]
    place = movable[0] if movable else other.owner.section or one.owner.section
    message = f"{_name(other)} of {other.owner} and {_name(one)} of {one.owner} could match the same request."
    return Problem(place, message, 'Set `mount` on one of them, such as mount = "/other".')


def _name(route: OwnedRoute) -> str:
    methods = " or ".join(sorted(route.methods)) if _ANY not in route.methods else "everything at"
    return f"{methods} {route.path}"
