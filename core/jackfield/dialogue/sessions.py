"""Conversations: where they are kept, under which key, and when they begin and end."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from jackfield.assembly import Built
from jackfield.config.sections import SessionSection
from jackfield.contracts.auth import UserId
from jackfield.contracts.extension import Event
from jackfield.contracts.panel import Metrics
from jackfield.contracts.session import (
    Records,
    SessionStore,
    Shared,
    Signals,
    StoredMessage,
    Window,
    Windows,
)
from jackfield.contracts.turn import ConversationRef
from jackfield.dialogue.encryption import Cipher, EncryptedShared, EncryptedWindows, keys_of
from jackfield.dialogue.lifetimes import Lifetimes
from jackfield.plugin import Role
from jackfield.resilience.guard import store_in_time

T = TypeVar("T")

LOGGED_KEY_CHARS: Final = 20
"""How much of a conversation's key is logged: enough to tell conversations apart."""
_SEPARATOR: Final = "\x1f"
_ID_BYTES: Final = 16
_DIGESTS_KEPT: Final = 512
"""Keys and pseudonyms that are remembered; each is asked for several times in a turn."""


class SessionService:
    """The session stores as the rest of the core and the doors see them.

    Store plugins get keys that are digests: who reads the store, or guesses a client's session id,
    learns and reaches nothing.
    """

    def __init__(
        self,
        stores: Mapping[Role, Built[SessionStore]],
        *,
        secret: bytes,
        settings: SessionSection,
        store_s: float,
        metrics: Metrics,
        publish: Callable[[Event], None],
    ) -> None:
        found = {role: built.object for role, built in stores.items()}  # checked when they were built
        self.windows = cast("Windows | None", found.get("windows"))
        self.records = cast("Records | None", found.get("records"))
        self.signals = cast("Signals | None", found.get("signals"))
        self.shared = cast("Shared | None", found.get("shared"))
        if settings.encryption_key:
            self._encrypt(Cipher(keys_of(settings.encryption_key)))
        store = stores.get("shared")
        self.common = self.shared if store is not None and store.capabilities.replicated else None
        """What is shared with other servers too, where there may be any."""
        self._secret = secret
        self._issuing_key = secret or secrets.token_bytes(32)
        self._settings = settings
        self._store_s = store_s
        self._lifetimes = Lifetimes(settings.ttl_seconds, metrics, publish)
        self._keys = lru_cache(_DIGESTS_KEPT)(self._key)
        self._pseudonyms = lru_cache(_DIGESTS_KEPT)(self._pseudonym)

    def _encrypt(self, cipher: Cipher) -> None:
        """Let no text of what is kept for a while reach the stores."""
        if self.windows is not None:
            self.windows = EncryptedWindows(self.windows, cipher)
        if self.shared is not None:
            self.shared = EncryptedShared(self.shared, cipher)

    def key(self, conversation: ConversationRef) -> str:
        """The key under which a conversation is stored: a digest of mount, user and session id."""
        return self._keys(conversation)

    def _key(self, conversation: ConversationRef) -> str:
        user = conversation.user
        parts = (conversation.mount, user.section, user.subject, conversation.session)
        return f"session:{self._digest(_joined(*parts))}"

    def pseudonym(self, user: UserId) -> str:
        """What providers that ask for one are told of a user: always the same, and not the user's id."""
        return self._pseudonyms(user)

    def _pseudonym(self, user: UserId) -> str:
        return self._digest(_joined("pseudonym", user.section, user.subject))[:32]

    def owner(self, user: UserId) -> str:
        """The user of somebody's records: the same behind every door of one section of authentication."""
        # A mount is part of some sections; its slashes must not pass for the one before the subject.
        section = user.section.replace("%", "%25").replace("/", "%2F")
        return f"{section}/{user.subject}"

    async def window(self, conversation: ConversationRef) -> Window | None:
        """Give what is remembered; None when unknown or expired.

        :raises StoreUnavailable: when the store does not answer.
        """
        return await self.in_time(self._windows().load(self.key(conversation)))

    async def append(
        self, conversation: ConversationRef, messages: Sequence[StoredMessage], transport: str
    ) -> None:
        """Store messages as one step and restart the conversation's clock."""
        key = self.key(conversation)
        settings = self._settings
        created = await self.in_time(
            self._windows().append(
                key, messages, max_messages=settings.max_messages, ttl_s=settings.ttl_seconds
            )
        )
        self._lifetimes.seen(key, transport, created=created)

    async def refresh(self, conversation: ConversationRef) -> bool:
        """Restart a conversation's clock; False when unknown or expired."""
        key = self.key(conversation)
        known = await self.in_time(self._windows().touch(key, ttl_s=self._settings.ttl_seconds))
        if known:
            self._lifetimes.refreshed(key)
        return known

    async def set_preferences(self, conversation: ConversationRef, preferences: Mapping[str, Any]) -> None:
        """Replace the preferences."""
        key = self.key(conversation)
        await self.in_time(
            self._windows().set_preferences(key, preferences, ttl_s=self._settings.ttl_seconds)
        )

    def new_session_id(self, user: UserId) -> str:
        """Issue an unguessable session id that is this user's alone.

        It proves itself, so nothing is kept for it. Without `server.secret_key` the proof holds until
        the server stops.
        """
        nonce = secrets.token_urlsafe(_ID_BYTES)
        return f"{nonce}.{self._proof(nonce, user)}"

    def issued(self, conversation: ConversationRef) -> bool:
        """Whether the session id was issued to the conversation's user."""
        nonce, _, proof = conversation.session.partition(".")
        return hmac.compare_digest(proof.encode(), self._proof(nonce, conversation.user).encode())

    async def run(self) -> None:
        """Notice conversations that expired, until cancelled."""
        await self._lifetimes.run()

    def _proof(self, nonce: str, user: UserId) -> str:
        text = _joined("issued", nonce, user.section, user.subject)
        return hmac.new(self._issuing_key, text, hashlib.sha256).hexdigest()[: 2 * _ID_BYTES]

    def _digest(self, text: bytes) -> str:
        """Keyed by the server's secret where there is one, so that who knows an id cannot recompute it."""
        if not self._secret:
            return hashlib.sha256(text).hexdigest()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def _windows(self) -> Windows:
        """The store of expiring conversations."""
        if self.windows is None:
            raise RuntimeError("no session store has the role windows")
        return self.windows

    async def in_time(self, answer: Awaitable[T]) -> T:
        """What a store answers, within its time limit.

        :raises StoreUnavailable: when it does not answer.
        """
        return await store_in_time(answer, self._store_s)


def _joined(*parts: str) -> bytes:
    """Join so that no part can pose as two: a separator inside of one is written otherwise."""
    escaped = (part.replace("\\", "\\\\").replace(_SEPARATOR, "\\s") for part in parts)
    return _SEPARATOR.join(escaped).encode(errors="surrogatepass")
