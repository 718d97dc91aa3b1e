"""The conformance suite of the records role."""

from __future__ import annotations

import uuid
from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any, Literal

import anyio
import pytest

from jackfield.contracts.session import Conflict, Conversation, Record, Records, User
from jackfield.testing.session import AT_ONCE, SessionSuite, moment


def conversation(user_id: str, name: str, at_s: float = 0.0) -> Conversation:
    """Make a conversation that was made so many seconds after the day's noon."""
    return Conversation(f"{user_id}-{name}", user_id, f"About {name}", moment(at_s), moment(at_s))


def record(
    of: Conversation, name: str, at_s: float = 0.0, role: Literal["user", "assistant"] = "user"
) -> Record:
    """Make a message."""
    return Record(f"{of.id}-{name}", of.id, role, f"content {name} ☕", moment(at_s), is_audio=role == "user")


class RecordsSuite(SessionSuite):
    """Subclass it and define the fixture `store`: a store with the role, ready for use."""

    @pytest.fixture
    async def user_id(self, store: Records) -> str:
        """A new user's id."""
        return (await self._add_user(store)).id

    async def _add_user(self, store: Records) -> User:
        name = uuid.uuid4().hex
        user = User(f"id-{name}", f"Zoë {name}", moment(), f"{name}@example.org", "opaque")
        await store.add_user(user)
        return user

    async def test_a_user_is_found_by_id_and_by_name_in_any_case(self, store: Records) -> None:
        user = await self._add_user(store)
        assert await store.user(user.id) == user
        assert await store.user_by_name(user.name.upper()) == user

    async def test_an_unknown_user_is_none(self, store: Records) -> None:
        assert await store.user(uuid.uuid4().hex) is None
        assert await store.user_by_name(uuid.uuid4().hex) is None

    @pytest.mark.parametrize("same", ["id", "name", "email"])
    async def test_a_taken_id_name_or_address_is_a_conflict(self, store: Records, same: str) -> None:
        user = await self._add_user(store)
        fresh = uuid.uuid4().hex
        other = {
            "id": User(user.id, fresh, moment()),
            "name": User(fresh, user.name.swapcase(), moment()),
            "email": User(fresh, fresh, moment(), user.email),
        }[same]
        with pytest.raises(Conflict):
            await store.add_user(other)
        assert await store.user(user.id) == user

    async def test_of_several_who_want_a_name_at_once_one_gets_it(self, store: Records) -> None:
        name, conflicts = uuid.uuid4().hex, []

        async def register(at: int) -> None:
            try:
                await store.add_user(User(f"{name}-{at}", name, moment()))
            except Conflict as conflict:
                conflicts.append(conflict)

        async with anyio.create_task_group() as tasks:
            for at in range(AT_ONCE):
                tasks.start_soon(register, at)
        assert len(conflicts) == AT_ONCE - 1

    async def test_a_taken_conversation_id_is_a_conflict(self, store: Records, user_id: str) -> None:
        await store.add_conversation(conversation(user_id, "tea"))
        with pytest.raises(Conflict):
            await store.add_conversation(conversation(user_id, "tea"))

    async def test_nothing_of_a_conversation_shows_to_another_user(
        self, store: Records, user_id: str
    ) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        await store.add_records(user_id, [record(tea, "1")])
        other = (await self._add_user(store)).id
        assert await store.conversation(other, tea.id) is None
        assert (await store.conversations(other, limit=10)).items == ()
        assert await store.rename_conversation(other, tea.id, "Mine", moment()) is None
        assert not await store.add_records(other, [record(tea, "2")])
        assert not await store.set_record_status(other, record(tea, "1").id, "unanswered")
        assert await store.records(other, tea.id, limit=10) is None
        assert await store.count_records(other, tea.id) is None
        assert not await store.delete_conversation(other, tea.id)
        assert await store.count_records(user_id, tea.id) == 1

    async def test_conversations_are_listed_by_last_use_newest_first(
        self, store: Records, user_id: str
    ) -> None:
        for at_s, name in enumerate(("old", "never used", "new")):
            await store.add_conversation(conversation(user_id, name, at_s))
        await store.add_records(user_id, [record(conversation(user_id, "old"), "1", at_s=10)])
        page = await store.conversations(user_id, limit=10)
        assert [item.title for item in page.items] == ["About old", "About new", "About never used"]
        assert page.items[0].last_message_at == moment(10)
        assert page.next_cursor is None

    async def test_pages_of_conversations_join_without_gap_or_repetition(
        self, store: Records, user_id: str
    ) -> None:
        names = [f"{at}" for at in range(7)]
        for at, name in enumerate(names):
            await store.add_conversation(conversation(user_id, name, at_s=at // 2))
        seen: list[str] = []
        cursor: str | None = None
        for _ in range(4):
            page = await store.conversations(user_id, limit=2, cursor=cursor)
            seen += [item.id for item in page.items]
            if (cursor := page.next_cursor) is None:
                break
        assert cursor is None
        assert sorted(seen) == sorted(conversation(user_id, name).id for name in names)

    @pytest.mark.parametrize("cursor", ["", "garbage", "☕", "e30=", "a" * 1000])
    async def test_a_cursor_that_is_none_is_refused(self, store: Records, user_id: str, cursor: str) -> None:
        with pytest.raises(ValueError):  # noqa: PT011  # the message is the store's own
            await store.conversations(user_id, limit=2, cursor=cursor)

    async def test_renaming_changes_the_title_and_when(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        renamed = await store.rename_conversation(user_id, tea.id, "Kaffee ☕", moment(5))
        assert renamed == replace(tea, title="Kaffee ☕", updated_at=moment(5))
        assert await store.conversation(user_id, tea.id) == renamed

    async def test_deleting_takes_the_messages_along(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        await store.add_records(user_id, [record(tea, "1")])
        assert await store.delete_conversation(user_id, tea.id)
        assert not await store.delete_conversation(user_id, tea.id)
        assert await store.records(user_id, tea.id, limit=10) is None
        assert not await store.set_record_status(user_id, record(tea, "1").id, "ok")
        await store.add_conversation(tea)
        assert await store.count_records(user_id, tea.id) == 0

    async def test_messages_page_backwards_and_come_oldest_first(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        added = [record(tea, str(at), at_s=at // 2) for at in range(5)]
        await store.add_records(user_id, added)
        pages, before = [], None
        for _ in range(3):
            page = await store.records(user_id, tea.id, limit=2, before=before)
            assert page is not None
            pages.append(page)
            before = page.next_cursor
        assert [page.items for page in pages] == [tuple(added[3:]), tuple(added[1:3]), tuple(added[:1])]
        assert before is None

    async def test_messages_are_added_all_or_none(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        await store.add_records(user_id, [record(tea, "1")])
        with pytest.raises(Conflict):
            await store.add_records(user_id, [record(tea, "2"), record(tea, "1")])
        assert await store.count_records(user_id, tea.id) == 1

    async def test_pairs_added_at_once_stay_together(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)

        async def add(name: str) -> None:
            answer = record(tea, f"{name}-answer", role="assistant")
            assert await store.add_records(user_id, [record(tea, name), answer])

        async with anyio.create_task_group() as tasks:
            for at in range(AT_ONCE):
                tasks.start_soon(add, str(at))
        page = await store.records(user_id, tea.id, limit=2 * AT_ONCE)
        assert page is not None
        assert len(page.items) == 2 * AT_ONCE
        for question, answer in zip(page.items[::2], page.items[1::2], strict=True):
            assert answer.id == f"{question.id}-answer"

    async def test_a_message_is_marked_unanswered(self, store: Records, user_id: str) -> None:
        tea = conversation(user_id, "tea")
        await store.add_conversation(tea)
        await store.add_records(user_id, [record(tea, "1"), record(tea, "2")])
        assert await store.set_record_status(user_id, record(tea, "1").id, "unanswered")
        page = await store.records(user_id, tea.id, limit=10)
        assert page is not None
        assert page.items == (replace(record(tea, "1"), status="unanswered"), record(tea, "2"))

    async def test_messages_for_an_unknown_conversation_are_not_added(
        self, store: Records, user_id: str
    ) -> None:
        assert not await store.add_records(user_id, [record(conversation(user_id, "nowhere"), "1")])

    async def test_settings_change_only_where_named(self, store: Records, user_id: str) -> None:
        assert await store.settings(user_id) == {}
        await store.update_settings(user_id, {"theme": "dark", "size": 12})
        changed = await store.update_settings(user_id, {"size": 14})
        assert changed == {"theme": "dark", "size": 14}
        assert await store.settings(user_id) == changed

    async def test_settings_changed_at_once_lose_nothing(self, store: Records, user_id: str) -> None:
        async def change(at: int) -> None:
            await store.update_settings(user_id, {f"key{at}": at})

        async with anyio.create_task_group() as tasks:
            for at in range(AT_ONCE):
                tasks.start_soon(change, at)
        assert await store.settings(user_id) == {f"key{at}": at for at in range(AT_ONCE)}

    async def test_a_caller_cannot_change_stored_settings(self, store: Records, user_id: str) -> None:
        given: dict[str, Any] = {"theme": "dark"}
        returned = await store.update_settings(user_id, given)
        given["theme"] = "light"
        for seen in (returned, await store.settings(user_id)):
            if isinstance(seen, MutableMapping):
                seen["theme"] = "light"
        assert await store.settings(user_id) == {"theme": "dark"}
