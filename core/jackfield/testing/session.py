"""What the suites of session stores share."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import anyio
import pytest

from jackfield.contracts.session import SessionStore
from jackfield.testing.suite import ODD_TEXTS, Suite

Advance = Callable[[float], Awaitable[None]]
"""Lets seconds pass, by the store's clock."""

LONG_S: Final = 60.0
AT_ONCE: Final = 50
ODD_KEYS: Final = ("a:b*?[]^\n%_'\"\\", "a:b", " a:b", "A:B", "é", "e\u0301", "k" * 512, *ODD_TEXTS.values())

_EPOCH: Final = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def moment(seconds: float = 0.0) -> datetime:
    """Give a time, so many seconds after noon of one day."""
    return _EPOCH + timedelta(seconds=seconds)


class SessionSuite(Suite):
    """Base of the four roles' suites. They may share a store with others: each test has its own keys.

    Expiry is tested by the store's own clock. Where that can be set, override the fixture `advance` with
    something that moves it; else the tests wait in real time, `ttl_s` at a time.
    """

    ttl_s: ClassVar[float] = 1.0
    """Life of what the tests let expire."""

    @pytest.fixture
    def advance(self) -> Advance:
        """Let time pass, really."""
        return anyio.sleep

    @pytest.fixture
    def key(self) -> str:
        """A key that nobody has used."""
        return f"key-{uuid.uuid4().hex}"

    async def test_it_can_be_reached(self, store: SessionStore) -> None:
        await store.ping()

    async def test_its_size_is_known_or_not_told(self, store: SessionStore) -> None:
        size_bytes = await store.size_bytes()
        assert size_bytes is None or size_bytes >= 0
