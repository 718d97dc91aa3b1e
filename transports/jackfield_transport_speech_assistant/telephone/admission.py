"""Which calls a stream may carry: what the webhook noted, for the stream that follows it."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Final

from jackfield.contracts.auth import UserId
from jackfield.contracts.session import Shared
from jackfield.errors import ProtocolError

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_TOKEN_BYTES: Final = 24


@dataclass(frozen=True, slots=True)
class Party:
    """Who is at the other end: a caller, or the user for whom the server calls and the session of that."""

    user: UserId
    session: str = ""
    """Id of the session, where there is one; `secret` admits to it."""
    secret: str = field(default="", repr=False)


class PhoneAdmission:
    """Notes calls under tokens in the role `shared`, so that any replica may get the stream."""

    def __init__(self, shared: Shared, mount: str) -> None:
        self._shared = shared
        self._prefix = f"telephone:{mount}"

    async def admit(self, call: str, party: Party, *, ttl_s: float) -> str:
        """Give a token with which the stream of this call may begin, once. `call` is its id at Twilio."""
        return await self._put("stream", party, call, ttl_s)

    async def take(self, token: str, call: str) -> Party:
        """Use up the token of a stream.

        :raises ProtocolError: 403 `invalid_token` when it is unknown, was used, or is another call's.
        """
        if _TOKEN.fullmatch(token):
            found = await self._shared.take(f"{self._prefix}:stream:{token}")
            if found is not None and json.loads(found)["call"] == call:
                return _party(found)
        raise ProtocolError(403, "invalid_token", "The stream does not belong to a call that was announced.")

    async def invite(self, party: Party, *, ttl_s: float) -> str:
        """Give a token that says for whom the server makes a call; it stands in the webhook's address."""
        return await self._put("party", party, "", ttl_s)

    async def invited(self, token: str) -> Party | None:
        """Say for whom a call was made. The token stays good: Twilio may ask the webhook again."""
        found = await self._shared.get(f"{self._prefix}:party:{token}") if _TOKEN.fullmatch(token) else None
        return _party(found) if found is not None else None

    async def _put(self, kind: str, party: Party, call: str, ttl_s: float) -> str:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        user = {"section": party.user.section, "subject": party.user.subject}
        value = {**user, "session": party.session, "secret": party.secret, "call": call}
        await self._shared.put(f"{self._prefix}:{kind}:{token}", json.dumps(value), ttl_s=ttl_s)
        return token


def _party(found: str) -> Party:
    value = json.loads(found)
    return Party(UserId(value["section"], value["subject"]), value["session"], value["secret"])
