"""Whether a call could be answered: a speech-to-speech model is asked before there is one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from jackfield.contracts.extension import ProviderFailed
from jackfield.errors import ProtocolError, ProviderRateLimited, ProviderTimedOut, ProviderUnavailable
from jackfield.testing import VirtualClock
from tests.core.dialogue.call.duet import Duet
from tests.core.dialogue.call.talk import Exchange, call_request

pytestmark = pytest.mark.anyio

CALLS: dict[str, Any] = {"call": {"pipeline": "realtime"}, "realtime": {"use": "duet"}}
WITH_CASCADE: dict[str, Any] = CALLS | {"realtime": {"use": "duet", "fallback": [{"use": "cascade"}]}}


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    return "asyncio", {"loop_factory": VirtualClock}


async def check(house: Exchange, **changes: Any) -> None:
    await house.service.check(call_request(**changes))


async def test_a_model_is_asked_for_a_session_and_has_it_back(tmp_path: Path) -> None:
    duet = Duet()
    await check(Exchange(tmp_path, realtime=duet, config=CALLS))
    assert len(duet.sessions) == 1
    with pytest.raises(anyio.ClosedResourceError):
        duet.now.hear("Is anybody there?")


async def test_a_model_that_gives_none_is_told_of(tmp_path: Path) -> None:
    house = Exchange(tmp_path, realtime=Duet(ProviderRateLimited("later", retry_after_s=9)), config=CALLS)
    with pytest.raises(ProviderRateLimited) as caught:
        await check(house)
    assert caught.value.retry_after_s == 9
    assert house.stage.events == [ProviderFailed("realtime", "duet", "ProviderRateLimited")]


async def test_a_model_that_takes_too_long_gives_none(tmp_path: Path) -> None:
    house = Exchange(tmp_path, realtime=Duet(delay_s=60), config=CALLS)
    began_s = anyio.current_time()
    with pytest.raises(ProviderTimedOut):
        await check(house)
    assert anyio.current_time() - began_s == pytest.approx(8)


async def test_a_model_that_breaks_its_contract_gives_none(tmp_path: Path) -> None:
    house = Exchange(tmp_path, realtime=Duet(ValueError("secret words")), config=CALLS)
    with pytest.raises(ProviderUnavailable) as caught:
        await check(house)
    assert str(caught.value) == "the model failed"


async def test_nobody_is_asked_where_a_cascade_answers(tmp_path: Path) -> None:
    duet = Duet(ProviderUnavailable("gone"))
    await check(Exchange(tmp_path, realtime=duet, config=CALLS), pipeline="cascade")
    await check(Exchange(tmp_path, realtime=duet, config=WITH_CASCADE))
    await check(Exchange(tmp_path))
    assert not duet.sessions


async def test_a_model_that_is_not_configured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProtocolError) as caught:
        await check(Exchange(tmp_path, config=CALLS))
    assert caught.value.code == "voice_not_configured"
