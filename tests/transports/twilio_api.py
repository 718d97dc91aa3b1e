"""Twilio's REST API, as far as calls are made with it, on this machine."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from jackfield.contracts.panel import Panel
from tests.core.server.support import assembly, door, serving
from tests.transports.twilio_phone import ACCOUNT, TOKEN


@dataclass
class TwilioApi:
    """The service. It makes calls, or answers as `refusal` says: a status, a body and headers."""

    url: str = ""
    made: list[dict[str, str]] = field(default_factory=list)
    """The form of every call."""
    refusal: tuple[int, Any, dict[str, str]] | None = None
    hangs: bool = False

    async def call(self, request: Request, account: str) -> JSONResponse:
        """Do as the API's description says."""
        expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
        if request.headers["authorization"] != f"Basic {expected}" or account != ACCOUNT:
            return JSONResponse({"code": 20003, "message": "Authenticate", "status": 401}, 401)
        if self.hangs:
            await anyio.sleep_forever()
        if self.refusal is not None:
            status, body, headers = self.refusal
            return JSONResponse(body, status, headers)
        form = dict(parse_qsl((await request.body()).decode(), strict_parsing=True))
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert {"To", "From", "Url"} <= form.keys()
        self.made.append(form)
        return JSONResponse({"sid": f"CA{len(self.made):032x}", "status": "queued"}, 201)


@asynccontextmanager
async def twilio_api() -> AsyncIterator[TwilioApi]:
    """Serve it."""
    api = TwilioApi()

    def add(router: APIRouter, _panel: Panel) -> None:
        path = "/2010-04-01/Accounts/{account}/Calls.json"
        router.add_api_route(path, api.call, methods=["POST"], response_model=None)

    async with serving(assembly(door(add), config={"limits": {"enabled": False}})) as served:
        api.url = served.url
        yield api
