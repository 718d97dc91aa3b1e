"""Authentication: credentials of a request in, a user or a refusal out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from fastapi import APIRouter

    from jackfield.contracts.panel import Panel


@dataclass(frozen=True, slots=True)
class UserId:
    """A user: who vouches for them, and what they are called there.

    `section` is the name of the auth section, or `claimed:MOUNT` for an id that a client merely claims,
    which therefore never equals an authenticated one.
    """

    section: str
    subject: str

    @property
    def authenticated(self) -> bool:
        """Whether an authentication plugin vouches for the user."""
        return not self.section.startswith("claimed:")

    def __str__(self) -> str:
        return f"{self.section}/{self.subject}"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brought to prove who it is from. Header names are lower case."""

    bearer: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    cookies: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Identity:
    """A user that an authentication plugin vouches for.

    `subject` is compared by the core as it stands, so the plugin gives it in one spelling (a wallet
    address in lower case); `same_subject` of the plugin decides about a claimed one.
    """

    subject: str
    display_name: str | None = None
    by_cookie: bool = False
    """Whether a cookie proved it. Browsers send cookies along whichever page asks, so whatever may change
    something is then refused unless `Origin` names a page that is welcome."""


@runtime_checkable
class Auth(Protocol):
    """An authentication plugin. It may also have `routes(panel)` and `same_subject(claimed, subject)`."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        """Say who sent the request; None refuses it.

        :raises ProviderError: when a service that must be asked did not answer; nobody is let in.
        :raises ProtocolError: 401 `not_authenticated`, to tell the client why it is refused.
        :raises StoreUnavailable: when a store that must be asked did not answer; nobody is let in.
        """
        ...


@runtime_checkable
class AuthRoutes(Protocol):
    """An authentication plugin with routes of its own (sign-in, registration); optional."""

    def routes(self, panel: Panel) -> APIRouter:
        """Routes, added under the mount of each transport that names the section."""
        ...


@runtime_checkable
class SubjectMatcher(Protocol):
    """An authentication plugin whose subjects have several spellings; optional."""

    def same_subject(self, claimed: str, subject: str) -> bool:
        """Whether the id that a client claims names the authenticated subject."""
        ...
