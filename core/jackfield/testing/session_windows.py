"""The conformance suite of the windows role."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

import anyio
import pytest

from jackfield.contracts.session import StoredMessage, Window, Windows
from jackfield.testing.session import AT_ONCE, LONG_S, ODD_KEYS, Advance, SessionSuite, moment
from jackfield.testing.suite import ODD_TEXTS


def pair(name: str) -> tuple[StoredMessage, StoredMessage]:
    """Make a question and its answer."""
    question = StoredMessage(f"question {name}", "voice", moment(1.25), is_user=True)
    return question, StoredMessage(f"answer {name}", "text", moment(2.5), is_user=False)


class WindowsSuite(SessionSuite):
    """Subclass it and define the fixture `store`: a store with the role, ready for use."""

    async def test_an_unknown_conversation_is_none(self, store: Windows, key: str) -> None:
        assert await store.load(key) is None
        assert not await store.touch(key, ttl_s=LONG_S)
        assert not await store.delete(key)

    async def test_messages_come_back_as_they_were_in_order(self, store: Windows, key: str) -> None:
        await self._append(store, key, "1")
        await self._append(store, key, "2")
        assert await self._messages(store, key) == (*pair("1"), *pair("2"))

    async def test_only_the_first_append_finds_the_conversation_new(self, store: Windows, key: str) -> None:
        assert await self._append(store, key, "1")
        assert not await self._append(store, key, "2")

    async def test_the_newest_messages_are_kept(self, store: Windows, key: str) -> None:
        for name in ("1", "2", "3"):
            await self._append(store, key, name, max_messages=3)
        assert await self._messages(store, key) == (pair("2")[1], *pair("3"))

    async def test_more_messages_than_are_kept_are_cut_at_once(self, store: Windows, key: str) -> None:
        messages = (*pair("1"), *pair("2"))
        await store.append(key, messages, max_messages=2, ttl_s=LONG_S)
        assert await self._messages(store, key) == pair("2")

    async def test_appends_at_once_lose_nothing_and_keep_pairs_together(
        self, store: Windows, key: str
    ) -> None:
        new = await self._append_at_once(store, key, max_messages=2 * AT_ONCE)
        messages = await self._messages(store, key)
        pairs = {messages[at : at + 2] for at in range(0, len(messages), 2)}
        assert pairs == {pair(str(at)) for at in range(AT_ONCE)}
        assert new == 1, f"{new} of {AT_ONCE} appends at once found the conversation new."

    async def test_appends_at_once_keep_the_bound(self, store: Windows, key: str) -> None:
        await self._append_at_once(store, key, max_messages=10)
        assert len(await self._messages(store, key)) == 10

    async def test_an_expired_conversation_is_unknown(
        self, store: Windows, key: str, advance: Advance
    ) -> None:
        await self._append(store, key, "1", ttl_s=self.ttl_s)
        await advance(1.2 * self.ttl_s)
        assert await store.load(key) is None
        assert not await store.touch(key, ttl_s=LONG_S)
        assert not await store.delete(key)

    async def test_an_expired_conversation_starts_anew(
        self, store: Windows, key: str, advance: Advance
    ) -> None:
        await store.set_preferences(key, {"voice": "amy"}, ttl_s=self.ttl_s)
        await self._append(store, key, "1", ttl_s=self.ttl_s)
        await advance(1.2 * self.ttl_s)
        assert await self._append(store, key, "2")
        assert await store.load(key) == Window(pair("2"), {})

    async def test_touching_and_appending_restart_the_clock(
        self, store: Windows, key: str, advance: Advance
    ) -> None:
        await self._append(store, key, "1", ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert await store.touch(key, ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert not await self._append(store, key, "2", ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        assert await store.load(key) is not None

    async def test_loading_does_not_restart_the_clock(
        self, store: Windows, key: str, advance: Advance
    ) -> None:
        await self._append(store, key, "1", ttl_s=self.ttl_s)
        await advance(0.6 * self.ttl_s)
        await store.load(key)
        await advance(0.6 * self.ttl_s)
        assert await store.load(key) is None

    async def test_a_deleted_conversation_is_gone_with_its_preferences(
        self, store: Windows, key: str
    ) -> None:
        await self._append(store, key, "1")
        await store.set_preferences(key, {"voice": "amy"}, ttl_s=LONG_S)
        assert await store.delete(key)
        assert await store.load(key) is None
        assert not await store.delete(key)

    async def test_preferences_are_replaced_whole_and_outlive_appends(self, store: Windows, key: str) -> None:
        wanted = {"language": "el", "deep": {"list": [1, 2.5, None, True, "ναι"]}}
        await store.set_preferences(key, {"voice": "amy"}, ttl_s=LONG_S)
        await store.set_preferences(key, wanted, ttl_s=LONG_S)
        await self._append(store, key, "1")
        assert await store.load(key) == Window(pair("1"), wanted)

    @pytest.mark.parametrize(
        "preferences",
        [{"text": "x" * 4096}, {"object": object()}, {"number": float("nan")}],
        ids=["too_large", "not_json", "not_a_number"],
    )
    async def test_preferences_that_cannot_be_kept_are_refused(
        self, store: Windows, key: str, preferences: Mapping[str, Any]
    ) -> None:
        await store.set_preferences(key, {"text": "x" * 4000}, ttl_s=LONG_S)
        with pytest.raises(ValueError):  # noqa: PT011  # the message is the store's own
            await store.set_preferences(key, preferences, ttl_s=LONG_S)
        assert await store.load(key) == Window((), {"text": "x" * 4000})

    async def test_a_caller_cannot_change_what_is_stored(self, store: Windows, key: str) -> None:
        given: dict[str, Any] = {"list": [1]}
        messages = list(pair("1"))
        await store.append(key, messages, max_messages=10, ttl_s=LONG_S)
        await store.set_preferences(key, given, ttl_s=LONG_S)
        given["list"].append(2)
        messages.clear()
        loaded = await store.load(key)
        assert loaded is not None
        loaded.preferences["list"].append(3)
        if isinstance(loaded.preferences, MutableMapping):
            loaded.preferences["more"] = True
        assert await store.load(key) == Window(pair("1"), {"list": [1]})

    async def test_conversations_with_odd_keys_are_kept_apart(self, store: Windows, key: str) -> None:
        keys = [f"{key}{odd}" for odd in ODD_KEYS]
        for odd in keys:
            await self._append(store, odd, odd)
        for odd in keys:
            assert await self._messages(store, odd) == pair(odd)
            assert await store.delete(odd)

    @pytest.mark.parametrize(
        "content", [*ODD_TEXTS.values(), "", "x" * 20_000], ids=[*ODD_TEXTS, "empty", "long"]
    )
    async def test_odd_content_comes_back_as_it_was(self, store: Windows, key: str, content: str) -> None:
        message = StoredMessage(content, "text", moment(), is_user=True)
        await store.append(key, [message], max_messages=10, ttl_s=LONG_S)
        assert await self._messages(store, key) == (message,)

    async def test_a_cancelled_append_is_whole_or_has_not_happened(self, store: Windows, key: str) -> None:
        for at in range(20):
            with anyio.move_on_after(at * 0.0002):
                await self._append(store, key, str(at), max_messages=100)
        assert len(await self._messages(store, key)) % 2 == 0

    async def _append(
        self, store: Windows, key: str, name: str, *, max_messages: int = 10, ttl_s: float = LONG_S
    ) -> bool:
        return await store.append(key, pair(name), max_messages=max_messages, ttl_s=ttl_s)

    async def _append_at_once(self, store: Windows, key: str, *, max_messages: int) -> int:
        found_new: list[bool] = []

        async def append(name: str) -> None:
            found_new.append(await self._append(store, key, name, max_messages=max_messages))

        async with anyio.create_task_group() as tasks:
            for at in range(AT_ONCE):
                tasks.start_soon(append, str(at))
        return sum(found_new)

    async def _messages(self, store: Windows, key: str) -> tuple[StoredMessage, ...]:
        window = await store.load(key)
        return () if window is None else window.messages
