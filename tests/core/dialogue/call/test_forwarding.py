"""Calls whose sound goes past the server: what is known of them, kept and told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.assembly import Built
from jackfield.contracts.call import Call, EndReason
from jackfield.contracts.extension import CallEnded, ProviderFailed
from jackfield.contracts.realtime import (
    ClientSecret,
    Realtime,
    RealtimePlayback,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
    RealtimeUsage,
)
from jackfield.dialogue.call.forwarding import ForwardingService
from jackfield.errors import ProtocolError, ProviderError, ProviderTimedOut, ProviderUnavailable
from jackfield.plugin import Capabilities
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import Duet, DuetSession
from tests.core.dialogue.call.talk import Exchange, call_request
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

QUIZ, HELPER = {"instructions": "You ask riddles."}, {"instructions": "You help."}
CONFIG = {"call": {"pipeline": "realtime"}, "scenarios": {"quiz": QUIZ, "helper": HELPER}}
LONG = "Rome was not built in a day. Nor was Paris, nor was Berlin. It all took quite some time, as it does."


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


class FarSession(DuetSession):
    """One that answers an offer."""

    left = False

    def __init__(
        self, sdp: str, settings: RealtimeSettings, failure: Exception | None, delay_s: float
    ) -> None:
        super().__init__(settings, failure, delay_s)
        self.answer = f"answer to {sdp}"

    def say_afar(self, item: str, text: str) -> None:
        """Say something whose sound is heard from now on; its words come at once."""
        self.tell(RealtimeText(item, text), RealtimePlayback(item, "started"))
        self.tell(RealtimeText(item, "", done=True), RealtimeUsage(20, 30))

    def end(self) -> None:
        """The user hangs up."""
        self._send.close()

    def _close(self) -> None:
        self.left = True
        super()._close()


class FarDuet(Duet):
    """A model that browsers may reach themselves."""

    def __init__(self, *failures: Exception | None, delay_s: float = 0.0) -> None:
        super().__init__(*failures, delay_s=delay_s)
        self.far: list[FarSession] = []
        self.secrets: list[tuple[RealtimeSettings, float]] = []

    def forward_offer(self, sdp: str, settings: RealtimeSettings) -> FarSession:
        failure = self._failures.pop(0) if self._failures else None
        self.far.append(FarSession(sdp, settings, failure, self.delay_s))
        return self.far[-1]

    async def client_secret(self, settings: RealtimeSettings, ttl_s: float) -> ClientSecret:
        self.secrets.append((settings, ttl_s))
        await anyio.sleep(self.delay_s)
        if self._failures and (failure := self._failures.pop(0)):
            raise failure
        return ClientSecret("ek_1", 1_000.0 + ttl_s)


def _built(section: str, plugin: str, model: Realtime, *more: Any) -> Built[Realtime]:
    return Built(section, plugin, Capabilities(), model, *more)


class House(Exchange):
    """An exchange with calls of that kind."""

    def __init__(self, folder: Path, model: Realtime | Built[Realtime] | None, **config: Any) -> None:
        super().__init__(folder, realtime=model, config=CONFIG | config)
        self.forwarding = ForwardingService(self.assembly, self.service, self.stage.events.append)
        self.reason: EndReason | None = None

    @asynccontextmanager
    async def held(self, **changes: Any) -> AsyncIterator[Call]:
        async with (
            self.forwarding.open(call_request(**changes), "offer") as forwarded,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._run, forwarded.call)
            await anyio.wait_all_tasks_blocked()
            yield forwarded.call
            tasks.cancel_scope.cancel()

    async def _run(self, call: Call) -> None:
        self.reason = await call.run()


async def test_an_answer_is_kept_once_it_was_heard(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held():
        far = model.far[0]
        far.hear("What is the capital of Japan?")
        far.say_afar("a", "Tokyo is the capital.")
        await anyio.sleep(1.5)
        assert await house.stage.stored() == []
        far.tell(RealtimePlayback("a", "stopped"))
        await anyio.wait_all_tasks_blocked()
        assert await house.stage.stored() == [
            (True, "What is the capital of Japan?"),
            (False, "Tokyo is the capital."),
        ]


async def test_of_an_answer_that_is_cut_only_what_was_heard_is_kept(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held():
        far = model.far[0]
        far.hear("Tell me about Rome.")
        far.say_afar("a", LONG)
        await anyio.sleep(2)
        far.tell(RealtimeSpeech("started"), RealtimePlayback("a", "cleared"))
        await anyio.sleep(5)
    heard = (await house.stage.stored())[1][1]
    assert 15 < len(heard) < 45
    assert LONG.startswith(heard)
    assert len(far.interrupted) == 1


async def test_an_answer_that_the_page_silences_is_over(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held():
        model.far[0].hear("Tell me about Rome.")
        model.far[0].say_afar("a", LONG)
        await anyio.sleep(2)
        model.far[0].tell(RealtimePlayback("a", "cleared"))
        await anyio.sleep(5)
        assert len(await house.stage.stored()) == 2


async def test_an_answer_whose_end_was_missed_is_over_in_time(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model, call={"pipeline": "realtime", "idle_seconds": 20})
    async with house.held():
        model.far[0].hear("What is the capital of Japan?")
        model.far[0].say_afar("a", "Tokyo is the capital.")
        model.far[0].say_afar("b", "As everybody knows.")
        await anyio.sleep(85)
        assert house.reason is None
        await anyio.sleep(25)
        assert house.reason == "idle"
    assert [text for _, text in await house.stage.stored()][1:] == [
        "Tokyo is the capital.",
        "As everybody knows.",
    ]


async def test_the_session_has_the_settings_and_changes_with_the_scenario(tmp_path: Path) -> None:
    model = FarDuet()
    async with House(tmp_path, model).held(scenario="quiz") as call:
        assert model.far[0].settings.instructions == "You ask riddles."
        call.switch("helper")
        await anyio.wait_all_tasks_blocked()
        assert [settings.instructions for settings in model.far[0].updates] == ["You help."]


async def test_the_call_ends_when_the_user_hangs_up(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held():
        model.far[0].end()
        await anyio.wait_all_tasks_blocked()
        assert house.reason == "hung_up"
    assert model.far[0].left
    assert [event.reason for event in house.stage.events if isinstance(event, CallEnded)] == ["hung_up"]


async def test_the_call_ends_when_the_model_is_lost(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held():
        model.far[0].tell(ProviderUnavailable("gone"))
        await anyio.wait_all_tasks_blocked()
        assert house.reason == "provider_lost"
    assert len([event for event in house.stage.events if isinstance(event, ProviderFailed)]) == 1


async def test_hanging_up_leaves_the_session(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model)
    async with house.held() as call:
        call.hang_up()
        await anyio.sleep(0.1)
        assert house.reason == "hung_up"
    assert model.far[0].left


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (FarDuet(ProviderUnavailable("no"), ProviderUnavailable("no")), ProviderUnavailable),
        (FarDuet(ValueError("no"), ValueError("no")), ProviderUnavailable),
        (FarDuet(delay_s=600), ProviderTimedOut),
    ],
    ids=["unavailable", "broken", "late"],
)
async def test_a_model_that_fails_is_told_of(
    tmp_path: Path, model: FarDuet, expected: type[ProviderError]
) -> None:
    house = House(tmp_path, model)
    with pytest.raises(expected):
        async with house.held():
            pass
    with pytest.raises(expected):
        await house.forwarding.client_secret(call_request(), 60)
    assert len([event for event in house.stage.events if isinstance(event, ProviderFailed)]) == 2


async def test_a_key_has_the_settings_of_the_scenario(tmp_path: Path) -> None:
    model = FarDuet()
    secret = await House(tmp_path, model).forwarding.client_secret(call_request(scenario="quiz"), 60)
    assert (secret.value, secret.expires_s) == ("ek_1", 1_060)
    assert [(settings.instructions, ttl_s) for settings, ttl_s in model.secrets] == [("You ask riddles.", 60)]
    assert "ek_1" not in repr(secret)


async def test_calls_of_this_kind_count(tmp_path: Path) -> None:
    model = FarDuet()
    house = House(tmp_path, model, call={"pipeline": "realtime", "max_calls": 1})
    async with house.held():
        with pytest.raises(ProtocolError, match="too_many_calls"):
            async with house.forwarding.open(call_request(), "offer"):
                pass
    assert len(model.far) == 1


async def test_an_unknown_scenario_asks_no_model(tmp_path: Path) -> None:
    model = FarDuet()
    with pytest.raises(ProtocolError, match="scenario_not_found"):
        async with House(tmp_path, model).forwarding.open(call_request(scenario="none"), "offer"):
            pass
    assert not model.far


def test_what_stands_in_the_way_is_told(tmp_path: Path) -> None:
    def obstacles(model: Realtime | Built[Realtime] | None, **config: Any) -> list[str]:
        forwarding = House(tmp_path, model, **config).forwarding
        found = [forwarding.obstacle("offers"), forwarding.obstacle("secrets")]
        return [problem.section if problem else "" for problem in found]

    members = (
        _built("realtime", "far", FarDuet()),
        _built("realtime.fallback.1", "duet", Duet()),
    )
    assert obstacles(FarDuet()) == ["", ""]
    assert obstacles(None) == ["realtime", "realtime"]
    assert obstacles(Duet()) == ["realtime", "realtime"]
    assert obstacles(FarDuet(), call={"pipeline": "cascade"}) == ["call.pipeline", ""]
    chain = _built("realtime", "chain", FarDuet(), members)
    assert obstacles(chain) == ["realtime.fallback.1"] * 2


async def test_of_a_chain_the_next_one_answers(tmp_path: Path) -> None:
    witness = Witness()
    first, second = FarDuet(ProviderUnavailable("no"), ProviderUnavailable("no")), FarDuet()
    joined: Realtime = witness.join("realtime", first, second)
    members = tuple(_built("realtime", "far", one) for one in (first, second))
    house = House(tmp_path, _built("realtime", "chain", joined, members))
    async with house.held():
        second.far[0].end()
        await anyio.wait_all_tasks_blocked()
    assert house.reason == "hung_up"
    assert (await house.forwarding.client_secret(call_request(), 60)).value == "ek_1"
    assert witness.failed[0] == ("first", "ProviderUnavailable")
    failover = second.far[0].settings.failover
    assert failover is not None
    assert failover.after_s == house.stage.config.call.failover_seconds
    assert len(second.secrets) == 1
