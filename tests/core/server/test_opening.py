"""Opening: side by side in a stage, closed in reverse, each object in a task of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Self

import anyio
import pytest
from anyio.abc import TaskGroup

from jackfield.assembly import Assembly, Built, Providers
from jackfield.errors import JackfieldError, PluginCannotStart
from jackfield.plugin import Capabilities
from jackfield.server import opening
from jackfield.server.app import create_app
from jackfield.testing.fakes import FakeLLM, FakeTTS
from tests.core.server.support import TrialDoor, TrialStore, assembly, door, serving
from tests.core.server.test_lifespan import nothing

pytestmark = pytest.mark.anyio


class Meeting:
    """What all parts of a server write down, and where they wait for each other."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.begun: dict[str, anyio.Event] = {}

    def event(self, name: str) -> anyio.Event:
        """Set when the part of that name begins to open."""
        return self.begun.setdefault(name, anyio.Event())


class Part:
    """An object that opens once all that it waits for has begun to, or fails, and closes."""

    def __init__(
        self, meeting: Meeting, name: str, waits_for: tuple[str, ...] = (), error: Exception | None = None
    ) -> None:
        self._meeting = meeting
        self._name = name
        self._waits_for = waits_for
        self._error = error

    async def __aenter__(self) -> Self:
        self._meeting.event(self._name).set()
        for name in self._waits_for:
            await self._meeting.event(name).wait()
        if self._error is not None:
            raise self._error
        self._meeting.log.append(f"open {self._name}")
        return self

    async def __aexit__(self, *_reason: object) -> None:
        await anyio.lowlevel.checkpoint()  # as whatever closes a connection does
        self._meeting.log.append(f"close {self._name}")


class OpenedLLM(Part, FakeLLM):
    """A language model that is opened."""

    def __init__(
        self, meeting: Meeting, waits_for: tuple[str, ...] = (), error: Exception | None = None
    ) -> None:
        FakeLLM.__init__(self)
        Part.__init__(self, meeting, "llm", waits_for, error)


class OpenedTTS(Part, FakeTTS):
    """A voice that is opened."""

    def __init__(
        self, meeting: Meeting, waits_for: tuple[str, ...] = (), error: Exception | None = None
    ) -> None:
        FakeTTS.__init__(self)
        Part.__init__(self, meeting, "tts", waits_for, error)


class OpenedStore(Part, TrialStore):
    """A store that is opened."""

    def __init__(self, meeting: Meeting) -> None:
        TrialStore.__init__(self)
        Part.__init__(self, meeting, "session")


class OpenedDoor(Part, TrialDoor):
    """A door that is opened."""

    def __init__(self, meeting: Meeting) -> None:
        TrialDoor.__init__(self, nothing)
        Part.__init__(self, meeting, "door")


def server(
    *,
    llm: FakeLLM | None = None,
    tts: FakeTTS | None = None,
    store: TrialStore | None = None,
    way_in: TrialDoor | None = None,
) -> Assembly:
    """An assembly of these parts."""
    can = Capabilities()
    plain = door(nothing)
    front = replace(plain, transport=replace(plain.transport, object=way_in or TrialDoor(nothing)))
    return replace(
        assembly(front, store=store),
        llm=Providers(Built("llm", "trial", can, llm) if llm else None),
        # Named, not the default: a server that never speaks of itself makes no folder for what it said.
        tts=Providers(named={"x": Built("tts.named.x", "trial", can, tts)} if tts else {}),
    )


async def start(parts: Assembly, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Start and stop a server, within three seconds."""
    app = create_app(parts)
    with anyio.fail_after(3):
        async with app.router.lifespan_context(app):
            meanwhile()


async def test_providers_open_side_by_side() -> None:
    meeting = Meeting()
    await start(server(llm=OpenedLLM(meeting, ("tts",)), tts=OpenedTTS(meeting, ("llm",))))
    assert {"open llm", "open tts"} <= set(meeting.log)


async def test_stores_open_before_providers_and_doors_after_and_they_close_the_other_way_round() -> None:
    meeting = Meeting()
    await start(
        server(llm=OpenedLLM(meeting), store=OpenedStore(meeting), way_in=OpenedDoor(meeting)),
        lambda: meeting.log.append("serve"),
    )
    opened = ["open session", "open llm", "open door"]
    assert meeting.log == [*opened, "serve", "close door", "close llm", "close session"]


async def test_every_provider_that_does_not_open_is_told_with_its_fix() -> None:
    meeting = Meeting()
    parts = server(
        llm=OpenedLLM(meeting, ("tts",), error=JackfieldError("the model is missing: fetch it")),
        tts=OpenedTTS(meeting, ("llm",), error=RuntimeError("secret-123")),
        store=OpenedStore(meeting),
    )
    with pytest.raises(PluginCannotStart) as failed:
        await start(parts)
    first, second = map(str, failed.value.problems)
    assert first == '[llm] "trial" cannot start: the model is missing: fetch it.'
    assert second.startswith('[tts.named.x] "trial" cannot start: RuntimeError while it was opened.')
    assert "log_level" in second
    assert meeting.log == ["open session", "close session"]


async def test_a_start_that_is_cancelled_closes_what_was_open_and_waits_for_nothing() -> None:
    meeting = Meeting()
    parts = server(
        llm=OpenedLLM(meeting),
        tts=OpenedTTS(meeting, ("never",)),
        store=OpenedStore(meeting),
        way_in=OpenedDoor(meeting),
    )
    with anyio.fail_after(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, parts)
            while "open llm" not in meeting.log:
                await anyio.lowlevel.checkpoint()
            tasks.cancel_scope.cancel()
    assert meeting.log == ["open session", "open llm", "close llm", "close session"]


class Busy(TrialDoor):
    """A door with a task group of its own for as long as it is open."""

    def __init__(self) -> None:
        super().__init__(nothing)
        self.tasks: TaskGroup = anyio.create_task_group()

    async def __aenter__(self) -> Self:
        await self.tasks.__aenter__()
        return self

    async def __aexit__(self, *reason: object) -> None:
        self.tasks.cancel_scope.cancel()
        await self.tasks.__aexit__(*reason)  # type: ignore[arg-type]  # passed on as they are


async def _fail() -> None:
    raise RuntimeError("the line is dead")


async def test_an_object_that_fails_while_it_is_open_is_told_of_and_disturbs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    busy = Busy()
    async with serving(server(way_in=busy)) as served:
        busy.tasks.start_soon(_fail)
        with anyio.fail_after(3):
            while not caplog.records or "failed, and is closed" not in caplog.records[-1].getMessage():
                await anyio.lowlevel.checkpoint()
        assert (await served.client.get("/health")).status_code == 200
    assert "[transport.1] trial failed, and is closed" in caplog.messages


class Stuck(TrialDoor):
    """A door that does not close."""

    def __init__(self) -> None:
        super().__init__(nothing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_reason: object) -> None:
        await anyio.sleep_forever()


async def test_what_does_not_close_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(opening, "_CLOSE_S", 0.05)
    await start(server(way_in=Stuck()))
    assert "[transport.1] trial did not close within 0.05 s" in caplog.messages
