"""What a voice socket sends together, and when, in virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

import anyio
import anyio.lowlevel
import pytest
from starlette.types import Message

from jackfield.contracts.transport import MORE_FOLLOWS
from jackfield.testing import VirtualClock
from jackfield.web.outbox import Outbox

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Callable[[], VirtualClock]]]:
    return "asyncio", {"loop_factory": VirtualClock}


class Client:
    """Notes what comes, and when."""

    def __init__(self) -> None:
        self.outbox = Outbox(65_536, lambda: pytest.fail("the client was given up"))
        self.came: list[tuple[float, str]] = []
        self.words: list[str] = []
        self.followed: list[bool] = []
        self.takes_s = 0.0

    async def send(self, message: Message) -> None:
        told = json.loads(message.get("text") or '{"type": "sound"}')
        self.came.append((anyio.current_time(), told["type"]))
        self.followed.append(MORE_FOLLOWS in message)
        if told["type"] == "reply.text":
            self.words.append(told["text"])
        if self.takes_s:
            await anyio.sleep(self.takes_s)

    @property
    def types(self) -> list[str]:
        return [what for _, what in self.came]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    client = Client()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.outbox.run, client.send)
        await anyio.wait_all_tasks_blocked()
        yield client
        client.outbox.finish()


async def test_what_need_not_be_known_at_once_waits_for_the_sound_and_goes_before_it(client: Client) -> None:
    client.outbox.put({"type": "reply.started", "item": 1}, soon=True)
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert client.types == []
    client.outbox.put_sound(b"12")
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert client.types == ["reply.started", "sound"]
    assert len({at_s for at_s, _ in client.came}) == 1


async def test_sound_overtakes_words_which_come_together_a_moment_later(client: Client) -> None:
    client.outbox.put_words(1, "Yes,")
    client.outbox.put_sound(b"12")
    await anyio.sleep(0.001)
    client.outbox.put_words(1, " you can.")
    await anyio.sleep(1)
    client.outbox.put_words(1, "But")
    client.outbox.put({"type": "audio.end", "item": 1})
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()

    assert client.types == ["sound", "reply.text", "reply.text", "audio.end"]
    assert client.words == ["Yes, you can.", "But"]


async def test_words_for_a_client_that_reads_slowly_become_one_message() -> None:
    client = Client()
    client.takes_s = 1.0
    client.outbox.put({"type": "reply.started", "item": 1})
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.outbox.run, client.send)
        for word in ("Yes,", " you", " can."):
            await anyio.sleep(0.2)
            client.outbox.put_words(1, word)
        client.outbox.finish()

    assert client.words == ["Yes, you can."]


async def test_each_message_tells_whether_another_one_follows_at_once(client: Client) -> None:
    client.outbox.put({"type": "speech.stopped"}, soon=True)
    client.outbox.put({"type": "reply.started", "item": 1}, soon=True)
    client.outbox.put_sound(b"12")
    await anyio.sleep(1)

    assert client.followed == [True, True, False]


async def test_what_nothing_follows_is_sent_in_a_moment(client: Client) -> None:
    began_s = anyio.current_time()
    client.outbox.put({"type": "speech.stopped"}, soon=True)
    await anyio.sleep(1)
    client.outbox.put_words(1, "Yes.")
    await anyio.sleep(1)
    assert [(round(at_s - began_s, 2), what) for at_s, what in client.came] == [
        (0.0, "speech.stopped"),
        (1.0, "reply.text"),
    ]


async def test_what_must_be_known_at_once_waits_for_nothing(client: Client) -> None:
    client.outbox.put({"type": "speech.stopped"}, soon=True)
    client.outbox.put({"type": "audio.clear"})
    await anyio.lowlevel.checkpoint()
    await anyio.lowlevel.checkpoint()
    assert client.types == ["speech.stopped", "audio.clear"]
