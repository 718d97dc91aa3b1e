"""The book of sessions, which all replicas share: who has one, what admits to it, and how many there are."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Final

import anyio

from jackfield.contracts.session import Lease, Shared
from jackfield.errors import ProtocolError

LIVE_S: Final = 30.0
"""A session whose owner says nothing for so long is over."""
_ID_BYTES: Final = 24
_CLOSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Session:
    """What is kept of a session."""

    id: str
    user: str
    """Whose it is, as the panel names owners."""
    scenario: str
    secret_hash: str
    made_s: float
    """Seconds since 1970; `until_s` likewise, when a session that nobody joined expires."""
    until_s: float
    slot: int
    token: int
    """Of the lease on the slot."""
    joined: bool = False
    """Whether its call has begun: some replica owns it."""

    @property
    def channel(self) -> str:
        """Where its owner is told what to do, and tells what it did."""
        return f"speech:{self.id}"


class Book:
    """Sessions in the role `shared` of the store. `clock` gives seconds since 1970.

    A user has so many slots; each session has a lease on one of them, so that replicas never give out more.
    """

    def __init__(
        self,
        shared: Shared,
        place: str,
        *,
        per_user: int,
        offer_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`place` keeps the sessions of one door from another's; `offer_s` is how long an offer may take."""
        self._shared = shared
        self._place = place
        self._per_user = per_user
        self._offer_s = offer_s
        self._clock = clock

    async def create(self, user: str, scenario: str, *, offer_s: float | None = None) -> tuple[Session, str]:
        """Make a session; gives the secret that admits to it, too, for `offer_s` seconds.

        :raises ProtocolError: 429 `too_many_sessions`.
        """
        offer_s = self._offer_s if offer_s is None else offer_s
        slot, lease = await self._free_slot(user, offer_s)
        secret = f"cs_{secrets.token_urlsafe(_ID_BYTES)}"
        now_s = self._clock()
        session = Session(
            id=f"rs_{secrets.token_urlsafe(_ID_BYTES)}",
            user=user,
            scenario=scenario,
            secret_hash=_hash(secret),
            made_s=now_s,
            until_s=now_s + offer_s,
            slot=slot,
            token=lease.token,
        )
        await self._shared.put(self._key("entry", session.id), "", ttl_s=offer_s)
        await self.keep(session, ttl_s=offer_s)
        return session, secret

    @asynccontextmanager
    async def making(
        self, user: str, scenario: str, *, offer_s: float | None = None
    ) -> AsyncIterator[tuple[Session, str]]:
        """Make a session as `create` does; it is closed when what it is for comes to nothing inside.

        That is also when whoever asked for it has gone: nobody else knows of it.
        """
        session, secret = await self.create(user, scenario, offer_s=offer_s)
        try:
            yield session, secret
        except BaseException:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await self.close(session)
            raise

    async def find(self, user: str, session_id: str) -> Session:
        """Give a session of the user.

        :raises ProtocolError: 404 `session_not_found`, 403 `not_your_session`.
        """
        session = await self._read(session_id)
        if session is None:
            raise session_not_found()
        if session.user != user:
            raise ProtocolError(403, "not_your_session", "The session is another user's.")
        return session

    async def newest(self, user: str) -> Session:
        """Give the user's newest live session.

        :raises ProtocolError: 404 `session_not_found`.
        """
        found: list[Session] = []
        for slot in range(self._per_user):
            session_id = await self._shared.get(self._slot_key(user, slot))
            session = await self._read(session_id) if session_id else None
            if session is not None and session.user == user:
                found.append(session)
        if not found:
            raise session_not_found()
        return max(found, key=lambda session: session.made_s)

    async def outlast(self, session: Session) -> None:
        """Return when a session is over, even if nobody says so: no offer came in time, or its owner died.

        Within `LIVE_S` seconds of the latter. Whoever ends a session tells its channel.
        """
        while True:
            known = await self._read(session.id)
            if known is None:
                return
            await anyio.sleep(LIVE_S if known.joined else known.until_s - self._clock())

    async def admit(self, session: Session, secret: str) -> Session:
        """Let whoever brings the secret in, once; gives the session as it is from then on.

        :raises ProtocolError: 422 `invalid_client_secret`, 409 `already_signalled`.
        """
        if not hmac.compare_digest(session.secret_hash, _hash(secret)):
            raise ProtocolError(422, "invalid_client_secret", "client_secret is not the session's.")
        if await self._shared.take(self._key("entry", session.id)) is None:
            raise ProtocolError(409, "already_signalled", "The session has had its offer.")
        return replace(session, joined=True)

    @asynccontextmanager
    async def admitting(self, session: Session, secret: str) -> AsyncIterator[Session]:
        """Let somebody in as `admit` does; when the offer comes to nothing inside, another may be made.

        That is also when whoever made it has gone.
        """
        joined = await self.admit(session, secret)
        try:
            yield joined
        except BaseException:
            with anyio.move_on_after(_CLOSE_S, shield=True):
                await self.readmit(joined)
            raise

    async def join(self, session: Session) -> Session | None:
        """Own a session that somebody was let in to; gives it as it is by now, None when it was closed."""
        known = await self._read(session.id)
        if known is None:
            return None
        joined = replace(known, joined=True)
        return joined if await self.keep(joined) else None

    async def entrust(self, session: Session, secret: str, until_s: float) -> Session:
        """Let another secret admit to a session that nobody joined yet, until then; gives the session."""
        session = replace(session, secret_hash=_hash(secret), until_s=until_s)
        await self.readmit(session)
        return session

    async def readmit(self, session: Session) -> None:
        """The offer could not be taken: another may be made as long as the secret is good."""
        left_s = session.until_s - self._clock()
        if left_s > 0 and await self.keep(replace(session, joined=False), ttl_s=left_s):
            await self._shared.put(self._key("entry", session.id), "", ttl_s=left_s)

    async def keep(self, session: Session, *, ttl_s: float = LIVE_S) -> bool:
        """Hold a session longer, and write down what it is now; False when it was closed meanwhile."""
        if not await self._shared.renew(self._lease(session), ttl_s=ttl_s):
            return False
        await self._shared.put(self._slot_key(session.user, session.slot), session.id, ttl_s=ttl_s)
        await self._shared.put(self._key("session", session.id), json.dumps(asdict(session)), ttl_s=ttl_s)
        return True

    async def rewrite(self, session: Session) -> None:
        """Write down what has changed of a session that nobody joined yet."""
        await self.keep(session, ttl_s=max(session.until_s - self._clock(), 1.0))

    async def close(self, session: Session) -> None:
        """Forget a session. May be called twice, and by several replicas."""
        await self._shared.take(self._key("session", session.id))
        await self._shared.take(self._key("entry", session.id))
        await self._shared.release(self._lease(session))

    async def _free_slot(self, user: str, ttl_s: float) -> tuple[int, Lease]:
        for slot in range(self._per_user):
            lease = await self._shared.lease(self._slot_key(user, slot), ttl_s=ttl_s)
            if lease is not None:
                return slot, lease
        detail = f"You have {self._per_user} sessions; end one of them first."
        raise ProtocolError(429, "too_many_sessions", detail)

    async def _read(self, session_id: str) -> Session | None:
        written = await self._shared.get(self._key("session", session_id))
        if written is None:
            return None
        session = Session(**json.loads(written))
        return None if not session.joined and self._clock() >= session.until_s else session

    def _lease(self, session: Session) -> Lease:
        return Lease(self._slot_key(session.user, session.slot), session.token)

    def _slot_key(self, user: str, slot: int) -> str:
        return f"speech:{self._place}:slot:{user}:{slot}"

    def _key(self, kind: str, session_id: str) -> str:
        return f"speech:{self._place}:{kind}:{session_id}"


def session_not_found() -> ProtocolError:
    """There is none, or none any more."""
    return ProtocolError(404, "session_not_found", "There is no such session, or it is over.")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
