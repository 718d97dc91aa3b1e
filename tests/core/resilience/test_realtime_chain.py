"""Speech-to-speech models that stand for each other, on a clock that waits for nobody."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

from jackfield.contracts.failover import Failover
from jackfield.contracts.realtime import Realtime, RealtimeAudio, RealtimeSettings
from jackfield.errors import ProviderRefused, ProviderUnauthorized, ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import Duet
from tests.core.resilience.chained import Witness

pytestmark = pytest.mark.anyio

SETTINGS = RealtimeSettings("Help.", failover=Failover(3))


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


def joined(witness: Witness, *models: Duet) -> Realtime:
    chain: Realtime = witness.join("realtime", *models)
    return chain


async def test_the_next_one_opens_the_session_that_the_first_cannot() -> None:
    witness, first, second = Witness(), Duet(ProviderUnauthorized("no")), Duet()
    async with joined(witness, first, second).session(SETTINGS) as session:
        await session.inject("Hello")
        session.push(b"\x01\x00")
    assert second.now.settings.instructions == "Help."
    assert second.now.injected == ["Hello"]
    assert witness.failed == [("first", "ProviderUnauthorized")]
    assert witness.taken_over == [("realtime", "second")]


async def test_one_that_is_late_is_left() -> None:
    witness, first, second = Witness(), Duet(delay_s=60), Duet()
    began_s = anyio.current_time()
    async with joined(witness, first, second).session(SETTINGS):
        assert anyio.current_time() - began_s == pytest.approx(3)
    assert witness.failed == [("first", "ProviderTimedOut")]


async def test_a_session_that_stands_may_be_silent_for_any_time() -> None:
    witness, first, second = Witness(), Duet(), Duet()
    async with joined(witness, first, second).session(SETTINGS) as session:
        await anyio.sleep(600)
        first.now.speak("a", "Hello", 0.1)
        output = await anext(aiter(session))
    assert output
    assert witness.failed == []


async def test_one_that_is_lost_cools_down_and_the_next_session_is_anothers() -> None:
    witness, first, second = Witness(), Duet(), Duet()
    chain = joined(witness, first, second)
    async with chain.session(SETTINGS) as session:
        first.now.speak("a", "Hello", 0.1, done=False)
        first.now.tell(ProviderUnavailable("gone"))
        outputs = aiter(session)
        while not isinstance(await anext(outputs), RealtimeAudio):
            pass
        with pytest.raises(ProviderUnavailable):
            await anext(outputs)
    assert witness.is_open("first")
    async with chain.session(SETTINGS):
        assert len(second.sessions) == 1


async def test_what_is_not_acceptable_is_not_asked_again() -> None:
    witness, first, second = Witness(), Duet(ProviderRefused("no")), Duet()
    with pytest.raises(ProviderRefused):
        async with joined(witness, first, second).session(SETTINGS):
            pass
    assert not second.sessions


async def test_where_all_fail_the_last_failure_is_told() -> None:
    first, second = Duet(ProviderUnavailable("gone")), Duet(ProviderUnauthorized("no"))
    with pytest.raises(ProviderUnauthorized):
        async with joined(Witness(), first, second).session(SETTINGS):
            pass


async def test_whoever_goes_while_it_opens_is_not_held() -> None:
    witness, first, second = Witness(), Duet(delay_s=60), Duet()
    with anyio.move_on_after(1) as scope:
        async with joined(witness, first, second).session(SETTINGS):
            pass
    assert scope.cancelled_caught
    assert witness.failed == []
    assert not second.sessions
