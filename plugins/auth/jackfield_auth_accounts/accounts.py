"""Registering, signing in, and knowing a user by a token."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from jackfield import ProtocolError, Site
from jackfield.addresses import network_of
from jackfield.contracts.auth import Credentials, Identity, UserId
from jackfield.contracts.panel import Panel
from jackfield.contracts.session import Conflict, Records, User
from jackfield.tokens import TokenExpired, TokenRefused, Tokens
from jackfield.web.form import read_form
from jackfield.web.json_object import read_object
from jackfield_auth_accounts import openapi
from jackfield_auth_accounts.fields import (
    FORM_FIELDS,
    MAX_JSON_BYTES,
    is_email,
    parse_login,
    parse_registration,
)
from jackfield_auth_accounts.passwords import Passwords
from jackfield_auth_accounts.throttle import Throttle

if TYPE_CHECKING:
    from jackfield_auth_accounts import AccountsOptions

COOKIE: Final = "access_token"
_HOUR_S: Final = 3600
_NO_STORE: Final = {"Cache-Control": "no-store"}
_BEARER: Final = {"WWW-Authenticate": "Bearer"}
_IMPOSSIBLE: Final = ""
"""No account has it as its password."""


class AccountsAuth:
    """The plugin: accounts of one section of the configuration file, whatever else shares the store.

    `routes` is called before anything else, by the server; enter it around all use.
    """

    def __init__(self, options: AccountsOptions, site: Site, tokens: Tokens, passwords: Passwords) -> None:
        self._options = options
        self._site = site
        self._tokens = tokens
        self._passwords = passwords
        self._book: AccountBook | None = None

    async def __aenter__(self) -> Self:
        await self._passwords.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._passwords.__aexit__(exc_type, exc, tb)

    async def identify(self, credentials: Credentials) -> Identity | None:
        token, by_cookie = credentials.bearer, False
        if not token and self._options.cookie:
            token, by_cookie = credentials.cookies.get(COOKIE), True
        if not token:
            return None
        try:
            subject = self._tokens.subject(token)
        except TokenExpired:
            detail = "Token has expired."
            raise ProtocolError(401, "not_authenticated", detail, headers=_BEARER) from None
        except TokenRefused:
            return None
        assert self._book is not None, "routes() tells where the accounts are"
        user = await self._book.user(subject)
        return None if user is None else Identity(subject, user.name, by_cookie)

    def routes(self, panel: Panel) -> APIRouter:
        self._book = AccountBook(panel, self._site.section)
        endpoints = _Endpoints(panel, self._options, self._site, self._tokens, self._passwords, self._book)
        router = APIRouter(tags=["accounts"])
        router.add_api_route("/register", endpoints.register, methods=["POST"], **openapi.REGISTER)
        router.add_api_route("/token", endpoints.token, methods=["POST"], **openapi.TOKEN)
        if self._options.cookie:
            router.add_api_route("/logout", endpoints.logout, methods=["POST"], **openapi.LOGOUT)
        router.add_api_route("/users/me", endpoints.me, methods=["GET"], **openapi.ME)
        return router


class AccountBook:
    """The accounts of one section. Their names are their e-mail addresses.

    In the store both begin with the section; ids are there the owners of conversations.
    """

    def __init__(self, panel: Panel, section: str) -> None:
        assert panel.sessions.records is not None, "the role is declared as needed"
        self._records: Records = panel.sessions.records
        self._section = section.removeprefix("auth.")
        self._prefix = panel.sessions.owner(UserId(self._section, ""))

    async def user(self, subject: str) -> User | None:
        """Give an account that may be used; its id and name are what they are outside of the store."""
        return self._outside(await self._records.user(self._prefix + subject))

    async def user_by_email(self, email: str) -> User | None:
        """Give an account that may be used."""
        return self._outside(await self._records.user_by_name(self._prefix + email))

    async def add(self, user: User) -> None:
        """Add an account.

        :raises Conflict: when the e-mail address is taken.
        """
        inside = replace(user, id=self._prefix + user.id, name=self._prefix + user.name)
        await self._records.add_user(inside)  # without `email`: other sections may know the address too

    def _outside(self, user: User | None) -> User | None:
        if user is None or user.disabled:
            return None
        at = len(self._prefix)
        return replace(user, id=user.id[at:], name=user.name[at:])


class _Endpoints:
    """What the routes do, on one panel."""

    def __init__(
        self,
        panel: Panel,
        options: AccountsOptions,
        site: Site,
        tokens: Tokens,
        passwords: Passwords,
        book: AccountBook,
    ) -> None:
        shared = panel.sessions.shared
        assert shared is not None, "the role is declared as needed"
        self._panel = panel
        self._options = options
        self._tokens = tokens
        self._passwords = passwords
        self._book = book
        most, window_s = options.failures, options.failure_window_s
        place = f"accounts:{site.section}"
        self._arrivals = Throttle(
            shared, f"{place}:register", most=options.registrations_per_hour, window_s=_HOUR_S
        )
        self._by_email = Throttle(shared, f"{place}:email", most=most, window_s=window_s)
        self._by_network = Throttle(shared, f"{place}:network", most=most, window_s=window_s)

    async def register(self, request: Request) -> Response:
        await self._admit(request)
        if self._options.registration == "closed":
            raise ProtocolError(403, "registration_closed", "Nobody can register here.")
        email, password = parse_registration(await read_object(request, MAX_JSON_BYTES))
        await self._arrivals.add(network_of(request))
        if await self._book.user_by_email(email) is not None:
            raise _email_taken()
        hashed = await self._passwords.hash(password)
        user = User(str(uuid.uuid4()), email, datetime.now(UTC), password_hash=hashed)
        try:
            await self._book.add(user)
        except Conflict:
            raise _email_taken() from None
        return JSONResponse(_shown(user), HTTPStatus.CREATED, _NO_STORE)

    async def token(self, request: Request) -> Response:
        await self._admit(request)
        login = parse_login(await read_form(request, FORM_FIELDS))
        network = network_of(request)
        await self._by_network.check(network)
        await self._by_email.add(login.email)  # before it is known, so that many at once gain nothing
        user = await self._book.user_by_email(login.email) if is_email(login.email) else None
        stored = user.password_hash if user and login.password is not None else None
        if not await self._passwords.verify(login.password or _IMPOSSIBLE, stored) or user is None:
            await self._by_network.add(network)
            raise _wrong()
        await self._by_email.take_back(login.email)
        return self._answer(self._tokens.issue(user.id))

    async def logout(self, request: Request) -> Response:
        """Take the cookie back. The token in it stays good until it expires, for whoever has kept it."""
        await self._admit(request)
        response = Response(status_code=HTTPStatus.NO_CONTENT, headers=_NO_STORE)
        response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
        return response

    async def me(self, request: Request) -> Response:
        known = await self._panel.identify(request)
        assert known is not None, "the door names this section"
        await self._panel.limits.check_user(known)
        user = await self._book.user(known.subject)
        if user is None:
            raise ProtocolError(401, "not_authenticated", "Sign in first.", headers=_BEARER)
        return JSONResponse(_shown(user), headers=_NO_STORE)

    async def _admit(self, request: Request) -> None:
        if self._options.cookie:
            self._panel.check_origin(request)  # a foreign page must not sign its visitors in as somebody else
        await self._panel.limits.check_address(request)

    def _answer(self, token: str) -> Response:
        ttl_s = self._tokens.ttl_s
        body = {"access_token": token, "token_type": "bearer", "expires_in": ttl_s}
        response = JSONResponse(body, headers=_NO_STORE)
        if self._options.cookie:
            response.set_cookie(COOKIE, token, max_age=ttl_s, secure=True, httponly=True, samesite="lax")
        return response


def _shown(user: User) -> dict[str, str]:
    created_at = user.created_at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"id": user.id, "email": user.name, "created_at": created_at}


def _email_taken() -> ProtocolError:
    return ProtocolError(409, "email_taken", "There is an account with this e-mail address.")


def _wrong() -> ProtocolError:
    return ProtocolError(
        401,
        "invalid_credentials",
        "Incorrect username or password",
        headers=_BEARER,
        members={"error": "invalid_grant"},
    )
