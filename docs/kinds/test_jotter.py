"""The plugin keeps the promises of a store with the role windows, and says when it is full."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from jackfield import StoreUnavailable
from jackfield.contracts.session import Windows
from jackfield.testing import ManualClock, WindowsSuite

import jackfield_session_jotter as plugin


class TestJotter(WindowsSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.JotterOptions())

    @pytest.fixture
    def clock(self) -> ManualClock:
        return ManualClock()

    @pytest.fixture
    def advance(self, clock: ManualClock) -> Callable[[float], Awaitable[None]]:
        return clock.advance_async

    @pytest.fixture
    def store(self, clock: ManualClock) -> Windows:
        return plugin.JotterStore(plugin.JotterOptions(), clock)

    async def test_full_it_takes_nothing_more_until_something_expires(self, clock: ManualClock) -> None:
        options = plugin.JotterOptions(max_sessions=1)
        store = plugin.JotterStore(options, clock)
        await store.append("one", (), max_messages=2, ttl_s=10)
        with pytest.raises(StoreUnavailable, match="max_sessions"):
            await store.append("other", (), max_messages=2, ttl_s=10)
        clock.advance(11)
        assert await store.append("other", (), max_messages=2, ttl_s=10)
