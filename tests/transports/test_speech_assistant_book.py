"""The book of sessions, and what it asks of the store."""

from __future__ import annotations

import pytest
from anyio import create_task_group, current_time, sleep

from jackfield import ProtocolError
from jackfield.testing import VirtualClock
from jackfield_session_memory.options import MemoryOptions
from jackfield_session_memory.store import MemoryStore
from jackfield_transport_speech_assistant.book import LIVE_S, Book

pytestmark = pytest.mark.anyio
VIRTUAL = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {"loop_factory": VirtualClock})], ids=["virtual"]
)


class Clock:
    """Stands still until it is set."""

    now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shared(clock: Clock) -> MemoryStore:
    return MemoryStore(MemoryOptions(), clock=clock)


@pytest.fixture
def book(shared: MemoryStore, clock: Clock) -> Book:
    return Book(shared, "/", per_user=2, offer_s=600, clock=clock)


@pytest.mark.contract("SA-08")
async def test_a_session_that_nobody_joined_expires(book: Book, clock: Clock) -> None:
    session, _secret = await book.create("people/ann", "default")
    clock.now_s += 599
    assert (await book.find("people/ann", session.id)).id == session.id
    clock.now_s += 1
    with pytest.raises(ProtocolError, match="session_not_found"):
        await book.find("people/ann", session.id)


@pytest.mark.contract("SA-08")
async def test_a_secret_admits_once(book: Book) -> None:
    session, secret = await book.create("people/ann", "default")
    with pytest.raises(ProtocolError, match="invalid_client_secret"):
        await book.admit(session, "cs_wrong")
    await book.admit(session, secret)
    with pytest.raises(ProtocolError, match="already_signalled"):
        await book.admit(session, secret)


@pytest.mark.contract("SA-44")
async def test_a_session_may_wait_longer_than_an_offer_would(book: Book, clock: Clock) -> None:
    session, secret = await book.create("people/ann", "default", offer_s=900)
    clock.now_s += 899
    await book.admit(await book.find("people/ann", session.id), secret)


@pytest.mark.contract("SA-08")
async def test_who_was_let_in_for_nothing_may_come_again_until_the_secret_expires(
    book: Book, clock: Clock
) -> None:
    session, secret = await book.create("people/ann", "default")
    await book.readmit(await book.admit(session, secret))
    await book.admit(session, secret)
    clock.now_s += 600
    await book.readmit(session)
    with pytest.raises(ProtocolError, match="already_signalled"):
        await book.admit(session, secret)


async def test_the_newest_session_is_the_one_made_last(book: Book, clock: Clock) -> None:
    with pytest.raises(ProtocolError, match="session_not_found"):
        await book.newest("people/ann")
    first, _secret = await book.create("people/ann", "default")
    clock.now_s += 1
    second, _secret = await book.create("people/ann", "default")
    assert (await book.newest("people/ann")).id == second.id
    await book.close(second)
    assert (await book.newest("people/ann")).id == first.id


@pytest.mark.contract("SA-49")
async def test_a_session_that_was_closed_frees_its_place_once(book: Book) -> None:
    first, _secret = await book.create("people/ann", "default")
    await book.create("people/ann", "default")
    await book.close(first)
    await book.create("people/ann", "default")
    await book.close(first)  # its place is another's by now
    with pytest.raises(ProtocolError, match="too_many_sessions"):
        await book.create("people/ann", "default")
    await book.create("people/bob", "default")


async def test_a_closed_session_is_not_kept(book: Book) -> None:
    session, _secret = await book.create("people/ann", "default")
    await book.close(session)
    assert not await book.keep(session)
    with pytest.raises(ProtocolError, match="session_not_found"):
        await book.find("people/ann", session.id)


async def test_the_store_never_sees_a_secret(shared: MemoryStore, book: Book) -> None:
    session, secret = await book.create("people/ann", "default")
    written = await shared.get(f"speech:/:session:{session.id}")
    assert written is not None
    assert secret not in written


@pytest.mark.contract("SA-49")
async def test_a_session_whose_owner_died_is_over_soon(book: Book, clock: Clock) -> None:
    made, secret = await book.create("people/ann", "default")
    joined = await book.admit(made, secret)
    for _renewal in range(3):
        assert await book.keep(joined)
        clock.now_s += LIVE_S - 1
    assert (await book.newest("people/ann")).joined
    clock.now_s += 1
    with pytest.raises(ProtocolError, match="session_not_found"):
        await book.newest("people/ann")
    await book.create("people/ann", "default")
    await book.create("people/ann", "default")


@pytest.fixture
def timed() -> Book:
    """A book whose time is the event loop's."""
    store = MemoryStore(MemoryOptions(), clock=current_time)
    return Book(store, "/", per_user=2, offer_s=600, clock=current_time)


@VIRTUAL
async def test_a_session_is_outlasted_once_its_offer_can_come_no_more(timed: Book) -> None:
    session, _secret = await timed.create("people/ann", "default")
    began_s = current_time()
    await timed.outlast(session)
    assert current_time() - began_s == pytest.approx(600)


@VIRTUAL
async def test_a_session_is_outlasted_soon_after_its_owner_died(timed: Book) -> None:
    session, secret = await timed.create("people/ann", "default")
    owned = await timed.join(await timed.admit(session, secret))
    assert owned is not None
    async with create_task_group() as tasks:
        tasks.start_soon(timed.outlast, session)
        for _ in range(100):
            await sleep(LIVE_S / 3)
            await timed.keep(owned)
        died_s = current_time()
    assert LIVE_S <= current_time() - died_s <= 2 * LIVE_S
