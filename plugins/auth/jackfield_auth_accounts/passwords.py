"""Hashing passwords with Argon2id, in threads: it takes a hundred milliseconds and 64 MiB each time."""

from __future__ import annotations

import logging
import secrets
from functools import partial
from types import TracebackType
from typing import Final, Self

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from jackfield.workers import Workers

logger = logging.getLogger(__name__)

_DECOY_BYTES: Final = 16


class Passwords:
    """Hashes and verifies. An unknown user costs as much as a known one. Enter it around all use."""

    def __init__(self, *, memory_kib: int, rounds: int, lanes: int, workers: int) -> None:
        hasher = Argon2Hasher(time_cost=rounds, memory_cost=memory_kib, parallelism=lanes)
        self._hasher = PasswordHash([hasher])
        self._workers = Workers(workers)
        self._decoy = ""

    async def __aenter__(self) -> Self:
        await self._workers.__aenter__()
        self._decoy = await self.hash(secrets.token_urlsafe(_DECOY_BYTES))
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._workers.__aexit__(exc_type, exc, tb)

    async def hash(self, password: str) -> str:
        """Give what is stored of a password: `$argon2id$...`."""
        return await self._workers.run(partial(self._hasher.hash, password))

    async def verify(self, password: str, stored: str | None) -> bool:
        """Whether a password is the one that was stored; always False, after the same work, for None."""
        matches = await self._workers.run(partial(self._matches, password, stored or self._decoy))
        return matches and bool(stored)

    def _matches(self, password: str, stored: str) -> bool:
        try:
            return self._hasher.verify(password, stored)
        except UnknownHashError:
            logger.warning("an account's password is stored in a form that is not Argon2's")
            return False
