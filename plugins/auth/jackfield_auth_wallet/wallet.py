"""Handing out nonces, checking signed messages, and knowing a user by a token."""

from __future__ import annotations

import secrets
import string
from datetime import UTC, datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jackfield import ProtocolError, Site
from jackfield.contracts.auth import Credentials, Identity
from jackfield.contracts.panel import Panel
from jackfield.errors import FieldError
from jackfield.tokens import TokenExpired, TokenRefused, Tokens
from jackfield.web.json_object import read_object
from jackfield.workers import Workers
from jackfield_auth_wallet import openapi
from jackfield_auth_wallet.message import SignInMessage, parse_message
from jackfield_auth_wallet.signature import is_of_one_key, signer

if TYPE_CHECKING:
    from jackfield_auth_wallet import WalletOptions

_NONCE_ALPHABET: Final = string.ascii_letters + string.digits
_NONCE_CHARS: Final = 20
_CLOCK_LEEWAY: Final = timedelta(seconds=60)
_MAX_BODY_BYTES: Final = 32 * 1024
_WORKERS: Final = 1  # the work holds the interpreter's lock
_NO_STORE: Final = {"Cache-Control": "no-store"}
_BEARER: Final = {"WWW-Authenticate": "Bearer"}


class WalletAuth:
    """The plugin. Enter it around all use."""

    def __init__(self, options: WalletOptions, site: Site, tokens: Tokens) -> None:
        self._options = options
        self._site = site
        self._tokens = tokens
        self._workers = Workers(_WORKERS)

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._workers.__aexit__(exc_type, exc, tb)

    async def identify(self, credentials: Credentials) -> Identity | None:
        if not credentials.bearer:
            return None
        try:
            return Identity(self._tokens.subject(credentials.bearer))
        except TokenExpired:
            detail = "Token has expired."
            raise ProtocolError(401, "not_authenticated", detail, headers=_BEARER) from None
        except TokenRefused:
            return None

    def same_subject(self, claimed: str, subject: str) -> bool:
        return claimed.lower() == subject

    def routes(self, panel: Panel) -> APIRouter:
        endpoints = _Endpoints(panel, self._options, self._site, self._tokens, self._workers)
        router = APIRouter(tags=["wallet"])
        router.add_api_route("/auth/nonce", endpoints.nonce, methods=["GET"], **openapi.NONCE)
        router.add_api_route("/auth/verify", endpoints.verify, methods=["POST"], **openapi.VERIFY)
        return router


class _Endpoints:
    """What the routes do, on one panel."""

    def __init__(
        self, panel: Panel, options: WalletOptions, site: Site, tokens: Tokens, workers: Workers
    ) -> None:
        shared = panel.sessions.shared
        assert shared is not None, "the role is declared as needed"
        self._panel = panel
        self._shared = shared
        self._options = options
        self._site = site
        self._tokens = tokens
        self._workers = workers

    async def nonce(self, request: Request) -> Response:
        await self._panel.limits.check_address(request)
        nonce = "".join(secrets.choice(_NONCE_ALPHABET) for _ in range(_NONCE_CHARS))
        ttl_s = self._options.nonce_ttl_s
        await self._shared.put(self._key(nonce), "1", ttl_s=ttl_s)
        expires_at = datetime.now(UTC) + timedelta(seconds=ttl_s)
        return JSONResponse(
            {"nonce": nonce, "expires_at": f"{expires_at:%Y-%m-%dT%H:%M:%SZ}"}, headers=_NO_STORE
        )

    async def verify(self, request: Request) -> Response:
        await self._panel.limits.check_address(request)
        body = await read_object(request, _MAX_BODY_BYTES)
        text, signature = body.get("message"), body.get("signature")
        message = parse_message(text) if isinstance(text, str) else None
        if message is None or not isinstance(text, str):
            raise _invalid("message", "This is not a message of EIP-4361.")
        if not isinstance(signature, str):
            raise _invalid("signature", "This field is required.")
        self._check_place(message)
        self._check_times(message, datetime.now(UTC))
        if not is_of_one_key(signature):
            raise _refused(
                "invalid_signature", "Only wallets of one key can sign in; contract wallets cannot."
            )
        if await self._shared.take(self._key(message.nonce)) is None:
            raise _refused("invalid_nonce", "The nonce was not issued here, or was used, or has expired.")
        if await self._workers.run(partial(signer, text, signature)) != message.address:
            raise _refused("invalid_signature", "The signature is not of this message and address.")
        self._site.logger.info(
            "[%s] %s…%s signed in", self._site.section, message.address[:6], message.address[-4:]
        )
        return self._answer(message.address)

    def _check_place(self, message: SignInMessage) -> None:
        """Refuse what was signed for another page, or another chain."""
        options = self._options
        page = urlsplit(message.uri)
        ours = (options.scheme, options.domain)
        if message.domain != options.domain or message.scheme not in (None, options.scheme):
            raise _refused("wrong_domain", "The message was signed for another page.")
        if (page.scheme.lower(), page.netloc.lower()) != ours:
            raise _refused("wrong_domain", "The message's URI is of another page.")
        if message.chain_id not in options.chain_ids:
            raise _refused("wrong_chain", "The message is for a chain that is not accepted.")

    def _check_times(self, message: SignInMessage, now: datetime) -> None:
        oldest = now - timedelta(seconds=self._options.message_ttl_s)
        if not oldest <= message.issued_at <= now + _CLOCK_LEEWAY:
            raise _refused("expired_message", "The message is too old, or from the future.")
        if message.expires_at is not None and message.expires_at <= now:
            raise _refused("expired_message", "The message has expired.")
        if message.not_before is not None and message.not_before > now:
            raise _refused("expired_message", "The message is not good yet.")

    def _answer(self, address: str) -> Response:
        body = {
            "access_token": self._tokens.issue(address),
            "token_type": "bearer",
            "expires_in": self._tokens.ttl_s,
            "address": address,
        }
        return JSONResponse(body, headers=_NO_STORE)

    def _key(self, nonce: str) -> str:
        return f"wallet:{self._site.section}:nonce:{nonce}"


def _invalid(name: str, message: str) -> ProtocolError:
    errors = (FieldError(name, "invalid", message),)
    return ProtocolError(422, "invalid_request", "The request breaks a rule.", errors)


def _refused(code: str, detail: str) -> ProtocolError:
    return ProtocolError(401, code, detail, headers=_BEARER)
