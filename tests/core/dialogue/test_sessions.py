"""Conversations: whose they are, where they are kept, and a store that does not answer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest

from jackfield.config.sections import SessionSection
from jackfield.contracts.auth import UserId
from jackfield.contracts.session import StoredMessage, Window
from jackfield.contracts.turn import ConversationRef
from jackfield.dialogue.sessions import SessionService
from jackfield.errors import StoreUnavailable
from jackfield_session_memory import MemoryOptions, MemoryStore
from tests.core.dialogue.stage import CONVERSATION, USER, Figures, Stage

pytestmark = pytest.mark.anyio

MESSAGE = StoredMessage("hello", "text", datetime(2026, 1, 1, tzinfo=UTC), is_user=True)


def service(secret: bytes = b"") -> SessionService:
    return SessionService(
        {}, secret=secret, settings=SessionSection(), store_s=5, metrics=Figures(), publish=lambda event: None
    )


def ref(
    mount: str = "", section: str = "claimed:", subject: str = "ada", session: str = "s"
) -> ConversationRef:
    return ConversationRef(mount, UserId(section, subject), session)


# Keys.


@pytest.mark.parametrize(
    "other",
    [
        ref(mount="/b"),
        ref(section="devices"),
        ref(subject="bob"),
        ref(session="t"),
        ref(section="claimed:\x1fada", subject="s", session=""),
        ref(subject="ada\x1fs", session=""),
        ref(subject="ada\\ss", session=""),
        ref(subject="", session="ada\x1fs"),
    ],
)
def test_only_the_same_mount_user_and_session_id_are_the_same_conversation(other: ConversationRef) -> None:
    sessions = service(b"secret")

    assert sessions.key(ref()) == sessions.key(ref())
    assert sessions.key(other) != sessions.key(ref())


def test_parts_cannot_be_shifted_over_their_borders() -> None:
    sessions = service(b"secret")
    shifted = [
        ref(subject="a\x1fb", session="c"),
        ref(subject="a", session="b\x1fc"),
        ref(subject="a\\sb", session="c"),
        ref(subject="a\\", session="\x1fb\x1fc"),
        ref(subject="a\\\x1fb", session="c"),
    ]

    assert len({sessions.key(each) for each in shifted}) == len(shifted)


def test_no_two_users_own_the_same_records() -> None:
    users = [
        UserId("claimed:", "pi/ada"),
        UserId("claimed:/pi", "ada"),
        UserId("claimed:%2Fpi", "ada"),
        UserId("devices", "a/b/ada"),
        UserId("devices/a", "b/ada"),
        UserId("devices/a/b", "ada"),
    ]

    assert len({service().owner(user) for user in users}) == len(users)
    assert service().owner(UserId("devices", "ada")) == "devices/ada"


def test_a_key_is_a_digest_that_the_secret_makes_unguessable() -> None:
    plain, keyed, other = (service(secret).key(ref()) for secret in (b"", b"one", b"two"))

    assert len({plain, keyed, other}) == 3
    for key in (plain, keyed, other):
        assert key.startswith("session:")
        assert len(key) == len("session:") + 64
        assert "ada" not in key
    assert service(b"one").key(ref()) == keyed


def test_a_pseudonym_is_a_users_own_and_the_secret_makes_it_unguessable() -> None:
    ada, bob = UserId("claimed:", "ada"), UserId("claimed:", "bob")
    with_secret = service(b"a secret of some length")
    assert with_secret.pseudonym(ada) == with_secret.pseudonym(ada)
    assert len({with_secret.pseudonym(ada), with_secret.pseudonym(bob), service().pseudonym(ada)}) == 3
    assert "ada" not in with_secret.pseudonym(ada)


def test_an_id_that_is_no_unicode_has_a_key() -> None:
    assert service().key(ref(subject="\ud800")) != service().key(ref(subject="\ud801"))


# Ids that the server issues.


def test_an_issued_id_is_its_users_alone() -> None:
    sessions = service(b"secret")
    session = sessions.new_session_id(USER)

    assert sessions.issued(ConversationRef("", USER, session))
    assert not sessions.issued(ConversationRef("", UserId("claimed:", "eve"), session))
    assert not sessions.issued(ConversationRef("", UserId("devices", USER.subject), session))


def test_issued_ids_are_unguessable_and_fit_where_session_ids_go() -> None:
    ids = {service(b"secret").new_session_id(USER) for _ in range(100)}

    assert len(ids) == 100
    assert all(len(session) <= 128 and session.isascii() and " " not in session for session in ids)


@pytest.mark.parametrize("session", ["", ".", "made-up", "made.up", "x.\u00e9", "a.b.c"])
def test_an_id_that_a_client_made_was_not_issued(session: str) -> None:
    assert not service(b"secret").issued(ConversationRef("", USER, session))


def test_a_changed_id_was_not_issued() -> None:
    sessions = service()
    session = sessions.new_session_id(USER)

    for changed in (f"x{session}", f"{session}0", session[:-1], session.replace(".", "..")):
        assert not sessions.issued(ConversationRef("", USER, changed))


def test_ids_outlive_the_server_only_with_a_secret() -> None:
    session = service(b"secret").new_session_id(USER)
    assert service(b"secret").issued(ConversationRef("", USER, session))
    assert not service(b"other").issued(ConversationRef("", USER, session))

    session = service().new_session_id(USER)
    assert not service().issued(ConversationRef("", USER, session))


# The store.


async def test_two_users_with_one_session_id_share_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    eve = ConversationRef("", UserId("claimed:", "eve"), CONVERSATION.session)
    await stage.sessions.append(CONVERSATION, [MESSAGE], "trial")

    assert await stage.sessions.window(eve) is None
    assert not await stage.sessions.refresh(eve)
    await stage.sessions.set_preferences(eve, {"voice": {"name": "x"}})
    assert await stage.sessions.window(CONVERSATION) == Window((MESSAGE,), {})


async def test_a_conversation_lives_as_long_as_the_file_says_since_its_last_turn(tmp_path: Path) -> None:
    stage = Stage(tmp_path, config={"session": {"ttl_seconds": 100}})
    await stage.sessions.append(CONVERSATION, [MESSAGE], "trial")
    stage.clock.advance(99)
    assert await stage.sessions.refresh(CONVERSATION)
    stage.clock.advance(99)
    assert await stage.sessions.window(CONVERSATION) is not None
    stage.clock.advance(1)

    assert await stage.sessions.window(CONVERSATION) is None
    assert not await stage.sessions.refresh(CONVERSATION)


async def test_the_store_keeps_as_many_messages_as_the_file_says(tmp_path: Path) -> None:
    stage = Stage(tmp_path, config={"session": {"max_messages": 3}})
    for _ in range(5):
        await stage.sessions.append(CONVERSATION, [MESSAGE], "trial")

    assert len((await stage.window()).messages) == 3


async def test_a_conversation_is_opened_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    for _ in range(3):
        await stage.sessions.append(CONVERSATION, [MESSAGE], "trial")

    assert stage.kinds() == ["SessionOpened"]


class HangingStore(MemoryStore):
    """A store that never answers."""

    async def load(self, key: str) -> Window | None:
        await anyio.sleep_forever()
        return None

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        await anyio.sleep_forever()
        return False

    async def touch(self, key: str, *, ttl_s: float) -> bool:
        raise StoreUnavailable("connection refused")


async def test_a_store_that_does_not_answer_is_unavailable(tmp_path: Path) -> None:
    store = HangingStore(MemoryOptions())
    stage = Stage(tmp_path, store=store, config={"timeouts": {"store_seconds": 0.01}})

    with pytest.raises(StoreUnavailable, match="in time"):
        await stage.sessions.window(CONVERSATION)
    with pytest.raises(StoreUnavailable, match="in time"):
        await stage.sessions.append(CONVERSATION, [MESSAGE], "trial")
    with pytest.raises(StoreUnavailable, match="refused"):
        await stage.sessions.refresh(CONVERSATION)
    assert stage.events == []


async def test_a_cancelled_wait_for_the_store_is_no_failure_of_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, store=HangingStore(MemoryOptions()))

    with anyio.move_on_after(0.01) as scope:
        await stage.sessions.window(CONVERSATION)

    assert scope.cancelled_caught
