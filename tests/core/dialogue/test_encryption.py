"""Encrypted conversations: what the store sees, what comes back, and with which keys."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from jackfield.contracts.session import StoredMessage
from jackfield.dialogue.encryption import Cipher, EncryptedShared, EncryptedWindows, keys_of
from jackfield.testing import ManualClock, SharedSuite, WindowsSuite
from jackfield.testing.session import Advance, moment
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.core.dialogue.stage import CONVERSATION, Stage

pytestmark = pytest.mark.anyio

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
MESSAGE = StoredMessage("the password is swordfish", "text", moment(1), is_user=True)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def memory(clock: ManualClock) -> AsyncIterator[MemoryStore]:
    async with MemoryStore(MemoryOptions(), clock=clock) as store:
        yield store


class TestEncryptedWindows(WindowsSuite):
    @pytest.fixture
    def store(self, memory: MemoryStore) -> EncryptedWindows:
        return EncryptedWindows(memory, Cipher([OLD]))

    @pytest.fixture
    def advance(self, clock: ManualClock) -> Advance:
        return clock.advance_async


class TestEncryptedShared(SharedSuite):
    @pytest.fixture
    def store(self, memory: MemoryStore) -> EncryptedShared:
        return EncryptedShared(memory, Cipher([OLD]))

    @pytest.fixture
    def advance(self, clock: ManualClock) -> Advance:
        return clock.advance_async


async def keep(store: EncryptedWindows, message: StoredMessage = MESSAGE) -> None:
    await store.append("k", [message], max_messages=10, ttl_s=60)


async def test_the_store_sees_neither_texts_nor_preferences_nor_values(memory: MemoryStore) -> None:
    windows, shared = EncryptedWindows(memory, Cipher([OLD])), EncryptedShared(memory, Cipher([OLD]))
    await keep(windows)
    await windows.set_preferences("k", {"pet": "swordfish"}, ttl_s=60)
    await shared.put("v", "swordfish", ttl_s=60)

    seen = f"{await memory.load('k')} {await memory.get('v')}"

    assert "swordfish" not in seen
    assert "c3dvcmRmaXNo" not in seen  # in base64


async def test_the_first_key_writes_and_all_of_them_read(memory: MemoryStore) -> None:
    await keep(EncryptedWindows(memory, Cipher([OLD])))
    turning = EncryptedWindows(memory, Cipher([NEW, OLD]))
    await keep(turning)

    both = await turning.load("k")
    new = await EncryptedWindows(memory, Cipher([NEW])).load("k")

    assert both is not None
    assert both.messages == (MESSAGE, MESSAGE)
    assert new is not None
    assert new.messages == (MESSAGE,)


async def test_what_cannot_be_read_counts_as_expired(memory: MemoryStore) -> None:
    windows = EncryptedWindows(memory, Cipher([OLD]))
    await keep(windows)
    await windows.set_preferences("k", {"a": 1}, ttl_s=60)
    await EncryptedShared(memory, Cipher([OLD])).put("v", "value", ttl_s=60)

    assert await EncryptedWindows(memory, Cipher([NEW])).load("k") is None
    assert await EncryptedShared(memory, Cipher([NEW])).get("v") is None


async def test_what_was_kept_without_encryption_counts_as_expired(memory: MemoryStore) -> None:
    await memory.append("k", [MESSAGE], max_messages=10, ttl_s=60)
    await memory.set_preferences("k", {"a": 1}, ttl_s=60)

    assert await EncryptedWindows(memory, Cipher([OLD])).load("k") is None


@pytest.mark.parametrize("sealed", ["", "c2hvcnQ=", "no base64 at all", "ä"])
def test_nothing_of_another_form_can_be_opened(sealed: str) -> None:
    assert Cipher([OLD]).open(sealed, "here") is None


async def test_words_cannot_be_moved_to_another_conversation_or_put_into_another_mouth(
    memory: MemoryStore,
) -> None:
    windows = EncryptedWindows(memory, Cipher([OLD]))
    await keep(windows)
    kept = await memory.load("k")
    assert kept is not None
    (sealed,) = kept.messages
    answered = StoredMessage(sealed.content, sealed.type, sealed.timestamp, is_user=False)

    await memory.append("other", [sealed], max_messages=10, ttl_s=60)
    await memory.append("k", [answered], max_messages=1, ttl_s=60)

    assert await windows.load("other") is None
    assert await windows.load("k") is None


def test_the_same_text_never_looks_the_same_twice() -> None:
    cipher = Cipher([OLD])
    assert cipher.seal("yes", "here") != cipher.seal("yes", "here")


def test_keys_are_read_in_both_alphabets_of_base64_with_spaces_between() -> None:
    odd = b"\xfb\xff" * 16
    plain, urlsafe = base64.b64encode(odd).decode(), base64.urlsafe_b64encode(OLD).decode()

    assert keys_of(SecretStr(f"{plain}, {urlsafe}")) == [odd, OLD]


@pytest.mark.parametrize("text", ["", "hunter2", f"{base64.b64encode(OLD).decode()},", "ä" * 44])
def test_another_key_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match=r"Key [12] is not 32 bytes in base64\.") as caught:
        keys_of(SecretStr(text))

    assert "hunter2" not in str(caught.value)


async def test_a_turn_is_kept_encrypted_and_remembered(tmp_path: Path) -> None:
    stage = Stage(tmp_path, config={"session": {"encryption_key": base64.b64encode(OLD).decode()}})

    await stage.say("the password is swordfish")

    assert await stage.stored() == [
        (True, "the password is swordfish"),
        (False, "the password is swordfish"),
    ]
    raw = await stage.store.load(stage.sessions.key(CONVERSATION))
    assert raw is not None
    assert all("swordfish" not in message.content for message in raw.messages)


async def test_halves_of_surrogate_pairs_are_kept(memory: MemoryStore) -> None:
    windows, shared = EncryptedWindows(memory, Cipher([OLD])), EncryptedShared(memory, Cipher([OLD]))
    half = "half \ud83d of a pair"
    await keep(windows, replace(MESSAGE, content=half))
    await windows.set_preferences("k", {"name": half}, ttl_s=60)
    await shared.put(half, half, ttl_s=60)

    window = await windows.load("k")
    assert window is not None
    assert (window.messages[0].content, window.preferences) == (half, {"name": half})
    assert await shared.get(half) == half
