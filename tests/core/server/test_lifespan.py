"""Starting and stopping: what is opened, what is told when it does not open, and what runs meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
from fastapi import APIRouter

from jackfield.assembly import Assembly, Built, Providers
from jackfield.contracts.auth import UserId
from jackfield.contracts.extension import Event, ProviderFailed, ServerStarted, SessionOpened, Upload
from jackfield.contracts.llm import ToolSpec
from jackfield.contracts.panel import Panel
from jackfield.contracts.tools import Tool, ToolContext
from jackfield.contracts.tts import TTS
from jackfield.errors import ConfigError, JackfieldError, PluginCannotStart
from jackfield.plugin import Capabilities
from jackfield.server.app import create_app
from jackfield.server.metrics import PrometheusMetrics
from jackfield.server.observers import QUEUE_EVENTS, EventBus
from jackfield.testing.fakes import FakeTTS
from tests.core.server.support import TrialDoor, TrialStore, assembly, door, serving, with_audio

pytestmark = pytest.mark.anyio


def nothing(_router: APIRouter, _panel: Panel) -> None:
    """No routes."""


class Opening(TrialDoor):
    """A door that is opened and closed."""

    def __init__(self, log: list[str], name: str, error: Exception | None = None) -> None:
        super().__init__(nothing)
        self._log = log
        self._name = name
        self._error = error

    async def __aenter__(self) -> Self:
        if self._error is not None:
            raise self._error
        self._log.append(f"open {self._name}")
        return self

    async def __aexit__(self, *_reason: object) -> None:
        self._log.append(f"close {self._name}")


def opening(*doors: TrialDoor) -> Assembly:
    """An assembly of doors."""
    plain = [door(nothing, mount=f"/{number}", number=number) for number in range(1, len(doors) + 1)]
    return assembly(
        *(
            replace(one, transport=replace(one.transport, object=given))
            for one, given in zip(plain, doors, strict=True)
        )
    )


async def _start(parts: Assembly) -> None:
    app = create_app(parts)
    async with app.router.lifespan_context(app):
        pass


async def test_objects_are_opened_in_order_and_closed_in_reverse() -> None:
    log: list[str] = []
    await _start(opening(Opening(log, "a"), Opening(log, "b")))
    assert log == ["open a", "open b", "close b", "close a"]


class Workshop:
    """A source of one tool, which it knows once it is open."""

    def __init__(self, name: str) -> None:
        self.tools: Sequence[Tool] = ()
        self._name = name

    async def __aenter__(self) -> Self:
        self.tools = [Hammer(ToolSpec(self._name, "Hits."))]
        return self

    async def __aexit__(self, *_reason: object) -> None:
        self.tools = ()


@dataclass(frozen=True)
class Hammer:
    """A tool."""

    spec: ToolSpec

    async def call(self, arguments: Mapping[str, Any], context: ToolContext) -> str:
        return "hit"


@pytest.mark.parametrize(("names", "starts"), [(("hammer", "axe"), True), (("hammer", "hammer"), False)])
async def test_tools_that_turn_out_to_share_a_name_stop_the_start(
    names: tuple[str, str], starts: bool
) -> None:
    tools = [
        Built(f"extension.{number}", "trial", Capabilities(), Workshop(name))
        for number, name in enumerate(names, 1)
    ]
    parts = replace(opening(), tools=tuple(tools))
    if starts:
        await _start(parts)
        return
    with pytest.raises(PluginCannotStart) as failed:
        await _start(parts)
    assert str(failed.value) == (
        '[extension.2] The tool "hammer" is offered by extension.1 too. Configure one of them.'
    )


async def test_everything_that_does_not_open_is_told_and_the_rest_closed_again() -> None:
    log: list[str] = []
    parts = opening(
        Opening(log, "a"),
        Opening(log, "b", JackfieldError("the model file is missing")),
        Opening(log, "c", RuntimeError("key=secret-123")),
    )
    with pytest.raises(PluginCannotStart) as failed:
        await _start(parts)
    first, second = failed.value.problems
    assert str(first) == '[transport.2] "trial" cannot start: the model file is missing.'
    assert second.section == "transport.3"
    assert "RuntimeError" in second.message
    assert "secret-123" not in str(failed.value)
    assert log == ["open a", "close a"]


async def test_a_store_that_does_not_answer_stops_the_start() -> None:
    store = TrialStore()
    store.failing = True
    with pytest.raises(PluginCannotStart, match=r"\[session\] .*cannot be reached"):
        await _start(assembly(door(nothing), store=store))


async def test_an_audio_folder_that_cannot_be_written_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    parts = with_audio(assembly(door(nothing)), tmp_path / "file" / "audio")
    voice: Built[TTS] = Built("tts", "fake", Capabilities(), FakeTTS())
    with pytest.raises(PluginCannotStart, match=r"\[audio\.directory\]"):
        await _start(replace(parts, tts=Providers(voice)))


async def test_a_server_of_text_makes_no_audio_folder(tmp_path: Path) -> None:
    await _start(with_audio(assembly(door(nothing)), tmp_path / "audio"))
    assert not (tmp_path / "audio").exists()


async def test_what_was_loaded_is_out_of_the_collectors_sight_while_serving() -> None:
    usual = gc.get_threshold()
    async with serving(assembly(door(nothing))):
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold()[0] > usual[0]
    assert gc.get_threshold() == usual


class Working(TrialDoor):
    """A door with work that is not a request."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(nothing)
        self.ended = anyio.Event()
        self._fails = fails

    async def run(self, panel: Panel) -> None:
        assert panel.settings.max_audio_bytes > 0
        try:
            if self._fails:
                raise RuntimeError("the line is dead")
            await anyio.sleep_forever()
        finally:
            self.ended.set()


async def test_background_work_runs_until_the_server_stops() -> None:
    working = Working()
    async with serving(opening(working)) as served:
        await served.client.get("/health")
        assert not working.ended.is_set()
    assert working.ended.is_set()


async def test_a_door_whose_work_fails_disturbs_no_other(caplog: pytest.LogCaptureFixture) -> None:
    working = Working(fails=True)
    async with serving(opening(working)) as served:
        await working.ended.wait()
        assert (await served.client.get("/health")).status_code == 200
    assert any("transport.1" in record.getMessage() for record in caplog.records)


class Watching:
    """An observer that may be held up, or fail."""

    def __init__(self, *, fails: bool = False) -> None:
        self.seen: list[Event] = []
        self.go_on = anyio.Event()
        self.holds = False
        self._fails = fails

    async def observe(self, event: Event) -> None:
        if self.holds:
            await self.go_on.wait()
        self.seen.append(event)
        if self._fails:
            raise RuntimeError("observer")


async def test_observers_are_told_that_the_server_started() -> None:
    watching = Watching()
    async with serving(assembly(door(nothing), observers=(watching,))):
        with anyio.fail_after(3):
            while not watching.seen:
                await anyio.lowlevel.checkpoint()
    assert watching.seen == [ServerStarted()]


class Reaching(Watching):
    """What an extension builds for two hooks, and what it reaches over its panel."""

    def __init__(self) -> None:
        super().__init__()
        self.panels: list[Panel] = []

    async def run(self, panel: Panel) -> None:
        self.panels.append(panel)

    async def scan(self, _upload: Upload) -> bool:
        return True


def extended(reaching: Reaching) -> Assembly:
    """An assembly with an extension that builds a scanner and an observer in one."""
    parts = assembly(door(nothing), observers=(reaching,), store=TrialStore())
    return replace(parts, scanners=(Built("extension.1", "trial", Capabilities(), reaching),))


async def test_what_an_extension_built_gets_its_panel_once_before_the_first_request() -> None:
    reaching = Reaching()
    async with serving(extended(reaching)) as served:
        assert len(reaching.panels) == 1
        assert (await served.client.get("/health")).status_code == 200
    assert len(reaching.panels) == 1


async def test_users_that_an_extension_claims_are_those_of_no_door() -> None:
    reaching = Reaching()
    claimed: list[UserId] = []

    def claim(_router: APIRouter, panel: Panel) -> None:
        claimed.append(panel.claimed("0xabc"))

    parts = extended(reaching)
    async with serving(replace(parts, doors=(door(claim),))):
        assert reaching.panels[0].claimed("0xabc") not in claimed
    assert not reaching.panels[0].claimed("0xabc").authenticated


def bus(metrics: PrometheusMetrics, *observers: Watching) -> EventBus:
    """A bus of these observers."""
    return EventBus([Built("extension.1", "watch", Capabilities(), one) for one in observers], metrics)


def events(number: int) -> Sequence[Event]:
    """So many different events."""
    return [SessionOpened("trial", str(index)) for index in range(number)]


def test_an_observer_has_its_figure_before_it_loses_anything() -> None:
    metrics = PrometheusMetrics()
    bus(metrics, Watching())
    assert 'jackfield_events_dropped_total{observer="watch"} 0.0' in metrics.text().decode()


async def test_a_slow_observer_loses_the_oldest_and_holds_up_nobody() -> None:
    metrics = PrometheusMetrics()
    slow, quick = Watching(), Watching()
    subject = bus(metrics, slow, quick)
    told = events(QUEUE_EVENTS + 10)
    for event in told:
        subject.publish(event)  # nobody has run yet: every queue is at its bound
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert slow.seen == told[10:]
    assert 'jackfield_events_dropped_total{observer="watch"} 20.0' in metrics.text().decode()


class Gathering(Watching):
    """An observer that takes events together."""

    def __init__(self, every_s: float = 60.0, *, fails: bool = False) -> None:
        super().__init__(fails=fails)
        self.every_s = every_s
        self.batches: list[int] = []

    async def observe_all(self, events: Sequence[Event]) -> None:
        self.batches.append(len(events))
        for event in events:
            await self.observe(event)


async def test_an_observer_that_takes_events_together_is_not_woken_for_each() -> None:
    gathering = Gathering()
    subject = bus(PrometheusMetrics(), gathering)
    told = events(QUEUE_EVENTS)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        for event in told[:100]:
            subject.publish(event)
        await anyio.wait_all_tasks_blocked()
        assert gathering.batches == []
        for event in told[100:]:
            subject.publish(event)
        await anyio.wait_all_tasks_blocked()  # half a queue is a crowd
        assert gathering.batches == [QUEUE_EVENTS]
        subject.publish(told[0])
        tasks.cancel_scope.cancel()
    assert gathering.seen == [*told, told[0]]  # the rest when the server stops


async def test_an_observer_that_takes_events_together_has_its_turn_in_time_and_after_a_failure() -> None:
    gathering = Gathering(0.01, fails=True)
    subject = bus(PrometheusMetrics(), gathering)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        with anyio.fail_after(5):
            for number, event in enumerate(events(2), 1):
                subject.publish(event)
                while len(gathering.seen) < number:  # it tells nobody
                    await anyio.sleep(0.005)
        tasks.cancel_scope.cancel()


async def test_failures_of_providers_are_counted_though_nobody_observes() -> None:
    metrics = PrometheusMetrics()
    subject = bus(metrics)
    for _ in range(2):
        subject.publish(ProviderFailed("llm", "echo", "ProviderRateLimited"))
    counted = 'jackfield_provider_failures_total{error="ProviderRateLimited",section="llm"} 2.0'
    assert counted in metrics.text().decode()


async def test_one_observer_that_hangs_does_not_delay_another() -> None:
    slow, quick = Watching(), Watching()
    slow.holds = True
    subject = bus(PrometheusMetrics(), slow, quick)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        for event in events(3):
            subject.publish(event)
        await anyio.wait_all_tasks_blocked()
        assert (len(slow.seen), len(quick.seen)) == (0, 3)
        slow.go_on.set()
        tasks.cancel_scope.cancel()


async def test_an_observer_that_fails_is_told_the_next_event_all_the_same() -> None:
    failing = Watching(fails=True)
    subject = bus(PrometheusMetrics(), failing)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        for event in events(2):
            subject.publish(event)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    assert len(failing.seen) == 2


async def test_what_was_told_before_the_end_is_delivered() -> None:
    watching = Watching()
    subject = bus(PrometheusMetrics(), watching)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(subject.run)
        await anyio.wait_all_tasks_blocked()
        subject.publish(ServerStarted())
        tasks.cancel_scope.cancel()
    assert watching.seen == [ServerStarted()]


async def test_a_door_that_cannot_give_its_routes_is_named() -> None:
    def broken(_router: APIRouter, _panel: Panel) -> None:
        raise RuntimeError("secret-123")

    with pytest.raises(ConfigError, match=r"\[transport\.1\] .*routes: RuntimeError") as refused:
        create_app(assembly(door(broken)))
    assert "secret-123" not in str(refused.value)
