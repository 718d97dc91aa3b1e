"""What browsers do wrong with a connection: it is refused or dropped, and no error in the log."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from logging import INFO

import anyio
import pytest

from jackfield import ProtocolError
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest
from jackfield.contracts.turn import ConversationRef
from jackfield.testing.leaks import Running, left_running
from jackfield_transport_speech_assistant.peer import Peer
from jackfield_transport_speech_assistant.reception import HEARING_HZ
from tests.transports.browser import Browser
from tests.transports.switchboard import TrialCall

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

REQUEST = CallRequest(ConversationRef("", UserId("people", "ann"), "s"), "speech_assistant", HEARING_HZ)
STRING = 51
"""What a message of the data channel is marked with that is text."""


@pytest.fixture(autouse=True)
def nothing_is_told(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    gc.collect()  # tasks whose errors nobody asked for tell them when they are forgotten
    told = [record for record in (*caplog.get_records("call"), *caplog.records) if record.levelno > INFO]
    assert [record.getMessage() for record in told] == []


async def test_a_text_that_is_no_utf_8_is_dropped_and_the_call_goes_on() -> None:
    peer = Peer("rs_1")
    call = TrialCall(REQUEST, peer.leg)
    async with Browser(channel=True) as browser, anyio.create_task_group() as tasks:
        answer = await peer.answer(await browser.offer())
        tasks.start_soon(peer.talk, call, lambda: None)
        await browser.accept(answer)
        channel = browser.channel
        assert channel is not None
        await browser.until(lambda: channel.readyState == "open")
        channel.transport._data_channel_queue.append((channel, STRING, b"\xff{}"))
        await browser.say("interrupt")
        await call.until_told("interrupt")
        tasks.cancel_scope.cancel()
    await peer.close()


@pytest.mark.contract("SA-28")
@pytest.mark.parametrize("bundle", ["9 1", "0 9", "0 0", "1 1", "0 1 1"])
async def test_an_offer_that_bundles_what_it_does_not_have_is_refused(bundle: str) -> None:
    before = Running.now()
    peer = Peer("rs_1")
    async with Browser(channel=True) as browser:
        offer = (await browser.offer()).replace("BUNDLE 0 1", f"BUNDLE {bundle}")
        with pytest.raises(ProtocolError, match="invalid_sdp"):
            await peer.answer(offer)
        await peer.close()
    assert await left_running(before) == []


async def test_an_offer_that_bundles_nothing_is_answered() -> None:
    peer = Peer("rs_1")
    async with Browser(channel=True) as browser:
        assert await peer.answer((await browser.offer()).replace("a=group:BUNDLE 0 1\r\n", ""))
        await peer.close()
