"""What only the server knows of its routes: where one has to sign in, and which methods an address takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute
from starlette.types import Scope

Operation = tuple[str, str]
"""Path as the document has it, and method in lower case."""

_SCHEME: Final = "bearer"
_SIGN_IN: Final[list[dict[str, list[str]]]] = [{_SCHEME: []}]


def operations_of(routes: Iterable[BaseRoute]) -> Iterator[Operation]:
    """Yield the operations of routes."""
    for context in iter_route_contexts(list(routes)):
        for method in context.methods or ():
            yield context.path_format or "", method.lower()


def document_sign_in(app: FastAPI, guarded: Iterable[Operation], unguarded: Iterable[Operation]) -> None:
    """Have `/openapi.json` say where one has to sign in.

    `guarded` and `unguarded` are operations of doors with and without authentication. Those that tell of 401
    need a token at the first, and never answer so at the others. What says itself that it needs one does.
    """
    generate = app.openapi
    closed, opened = frozenset(guarded), frozenset(unguarded)

    def openapi() -> dict[str, Any]:
        document = generate()
        for path, method, operation in _operations(document):
            if (path, method) in opened:
                operation["responses"].pop("401", None)
            elif (path, method) in closed and "401" in operation["responses"]:
                operation["security"] = _SIGN_IN
        if any("security" in operation for _, _, operation in _operations(document)):
            schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
            schemes[_SCHEME] = {"type": "http", "scheme": "bearer"}
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI has it documented


def allowed_methods(scope: Scope) -> str:
    """Give the header `Allow` for an address: the methods of every route that it belongs to."""
    path, methods = scope["path"], set[str]()
    for context in iter_route_contexts(scope["app"].routes):
        if context.methods and context.path_regex.match(path):
            methods |= context.methods
    return ", ".join(sorted(methods))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation
