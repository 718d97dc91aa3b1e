"""Two ends of a WebRTC connection in one process: the door's peer, and a browser."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from jackfield import ProtocolError
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest, ReplyStarted, ReplyText
from jackfield.contracts.turn import ConversationRef
from jackfield.testing.leaks import Running, left_running
from jackfield_transport_speech_assistant.ice import IceServer
from jackfield_transport_speech_assistant.peer import Ending, Peer
from jackfield_transport_speech_assistant.reception import HEARING_HZ
from jackfield_transport_speech_assistant.track import RATE_HZ
from tests.transports.browser import Browser, pitch_hz, tone
from tests.transports.switchboard import TrialCall

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

REQUEST = CallRequest(ConversationRef("", UserId("people", "ann"), "s"), "speech_assistant", HEARING_HZ)


class Line:
    """A call that is held over a peer, and how it ended."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.call = TrialCall(REQUEST, peer.leg)
        self.ending: Ending | None = None


@asynccontextmanager
async def line(
    browser: Browser,
    *,
    candidates: bool = True,
    ice_servers: Sequence[IceServer] = (),
    only: Callable[[str], str] = str,
    check: Callable[[], Awaitable[None]] | None = None,
) -> AsyncIterator[Line]:
    """Answer a browser's offer and talk with it; `only` is what each side is shown of the other's words."""
    held = Line(Peer("rs_1", ice_servers, check=check))

    async def talk() -> None:
        held.ending = await held.peer.talk(held.call, ready.set)
        held.call.close()

    try:
        answer = await held.peer.answer(only(await browser.offer(candidates=candidates)))
        ready = anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            await ready.wait()
            await browser.accept(only(answer))
            yield held
            tasks.cancel_scope.cancel()
    finally:
        await held.peer.close()


def sockets() -> int:
    """Open sockets of this process."""
    links = [link for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return sum(_target(link).startswith("socket:") for link in links)


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:  # the listing's own
        return ""


@pytest.fixture
def nothing_left(anyio_backend: str) -> Iterator[None]:
    before = sockets()
    yield
    assert sockets() <= before


@pytest.mark.contract("SA-10", "SA-37", "SA-38")
@pytest.mark.parametrize("candidates", [True, False], ids=["with-candidates", "without-candidates"])
@pytest.mark.parametrize("hears", [True, False], ids=["with-microphone", "without-microphone"])
async def test_sound_goes_both_ways_whatever_the_offer_has(candidates: bool, hears: bool) -> None:
    microphone = tone(440, 2) if hears else None
    async with Browser(microphone) as browser, line(browser, candidates=candidates) as held:
        assert (held.peer.hears, held.peer.speaks) == (hears, True)
        await browser.connected()
        held.peer.leg.play(0, tone(1000, 0.4, rate_hz=RATE_HZ))
        held.peer.leg.end(0)
        assert pitch_hz(await browser.until_loud(0.3)) == pytest.approx(1000, rel=0.1)
        await held.call.until_told("played")
        if hears:
            await held.call.until_fed(HEARING_HZ * WIDTH_BYTES)
            half = bytes(held.call.sound[-HEARING_HZ:])
            assert pitch_hz(half, HEARING_HZ) == pytest.approx(440, rel=0.05)
        else:
            assert not held.call.sound


@pytest.mark.contract("SA-11")
async def test_the_answer_has_all_candidates_and_nobody_is_waited_for_longer(nothing_left: None) -> None:
    peer = Peer("rs_1", connect_s=0.2)
    async with Browser() as browser:
        answer = await peer.answer(await browser.offer())
        assert "a=candidate:" in answer
        assert "a=end-of-candidates" in answer
        call = TrialCall(REQUEST, peer.leg)
        assert await peer.talk(call, lambda: None) == "not_connected"
        await peer.close()


@pytest.mark.contract("SA-48")
async def test_nothing_is_left_of_a_call_whose_browser_went(nothing_left: None) -> None:
    before = Running.now()
    async with Browser(tone(440, 1), channel=True) as browser, line(browser) as held:
        await browser.connected()
        await browser.hang_up()
        with anyio.fail_after(5):
            await held.call.until_closed()
            assert held.ending == "hung_up"
    assert await left_running(before) == []


@pytest.mark.contract("SA-48")
async def test_the_memory_of_a_closed_connection_does_not_wait_for_the_garbage_collector() -> None:
    gc.disable()
    try:
        async with Browser(tone(440, 1), channel=True) as browser, line(browser) as held:
            await browser.connected()
            found = _parts(held.peer)
            await browser.hang_up()
            await held.call.until_closed()
        held.peer = Peer("rs_2")
        assert [name for name, part in found.items() if part() is not None] == []
        await held.peer.close()
    finally:
        gc.enable()


def _parts(peer: Peer) -> dict[str, weakref.ref[object]]:
    """What takes memory of a connection."""
    connection = peer._connection
    sound, sctp = connection.getTransceivers()[0], connection.sctp
    assert sctp is not None
    parts = (connection, sound.sender, sound.receiver, sound.receiver.transport, sctp, peer._reception)
    return {type(part).__name__: weakref.ref(part) for part in parts}


@pytest.mark.contract("SA-48")
async def test_nothing_is_left_of_a_call_that_this_side_ends(nothing_left: None) -> None:
    before = Running.now()
    async with Browser(tone(440, 1), channel=True) as browser, line(browser) as held:
        await browser.connected()
        held.call.hang_up("idle")
        assert (await browser.event("ended"))["reason"] == "idle"
        await held.call.until_closed()
        await held.peer.close()
        await browser.until(lambda: browser.connection.connectionState == "closed")
    assert await left_running(before) == []


async def test_events_go_over_the_data_channel_and_commands_come() -> None:
    async with Browser(tone(440, 1), channel=True) as browser, line(browser) as held:
        held.peer.leg.tell(ReplyStarted(3))
        held.peer.leg.tell(ReplyText(3, "Hel"))
        held.peer.leg.tell(ReplyText(3, "lo"))
        assert await browser.event("reply.text") == {"type": "reply.text", "item": 3, "text": "Hello"}
        for name, fields in (("text", {"text": " Hi "}), ("interrupt", {}), ("mute", {"on": True})):
            await browser.say(name, **fields)
        await held.call.until_told("text", "interrupt", "mute")
        assert held.call.told[0] == ("text", "Hi")
        await browser.say("dance")
        assert (await browser.event("error"))["code"] == "invalid_message"


async def test_a_cleared_answer_falls_silent_and_counts_as_heard_so_far() -> None:
    async with Browser() as browser, line(browser) as held:
        await browser.connected()
        held.peer.leg.play(0, tone(1000, 5, rate_hz=RATE_HZ))
        await browser.until_loud(0.2)
        held.peer.leg.clear()
        heard_s = held.peer.leg.heard_s()
        assert 0.2 <= heard_s < 3
        held.peer.leg.play(1, tone(500, 0.4, rate_hz=RATE_HZ))
        held.peer.leg.end(1)
        await held.call.until_told("played")
        assert held.call.told == [("played", 1)]


async def test_what_is_not_sound_is_declined() -> None:
    async with Browser(video=True) as browser, line(browser):
        answer = str(browser.connection.remoteDescription.sdp)
        assert "a=inactive" in answer[answer.index("m=video") :]


@pytest.mark.contract("SA-28")
@pytest.mark.parametrize(
    "offer",
    [
        "",
        "hello",
        "v=0\r\n",
        "v=0\r\nm=audio",
        "v=x",
        "\x00",
        "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n",
    ],
    ids=["empty", "words", "bare", "cut", "broken", "nul", "silent"],
)
async def test_an_offer_that_makes_no_sense_is_refused(offer: str) -> None:
    peer = Peer("rs_1")
    with pytest.raises(ProtocolError, match="invalid_sdp"):
        await peer.answer(offer)
    await peer.close()


@pytest.mark.contract("SA-28")
@pytest.mark.parametrize("what", ["sections", "candidates"])
async def test_an_offer_with_too_much_in_it_is_refused(what: str) -> None:
    async with Browser() as browser:
        offer = await browser.offer()
    head, sound = offer.split("m=audio", 1)
    line = "a=candidate:1 1 udp 1 192.0.2.9 {} typ host\r\n"
    if what == "sections":
        offer = head + ("m=audio" + sound) * 9
    else:
        offer += "".join(line.format(port) for port in range(1_000, 1_070))
    peer = Peer("rs_1")
    with pytest.raises(ProtocolError, match=rf"invalid_sdp.*more than \d+ {what}"):
        await peer.answer(offer)
    await peer.close()


@pytest.mark.contract("SA-27")
async def test_typed_messages_are_counted() -> None:
    counted: list[None] = []

    async def check() -> None:
        counted.append(None)
        if len(counted) > 1:
            raise ProtocolError(429, "rate_limited", "Too many.", headers={"Retry-After": "3"})

    async with Browser(channel=True) as browser, line(browser, check=check) as held:
        await browser.say("text", text="one")
        await browser.say("text", text="two")
        error = await browser.event("error")
        assert (error["code"], error["retry_after_s"]) == ("rate_limited", 3)
        assert held.call.told == [("text", "one")]


@pytest.mark.contract("SA-28")
async def test_an_offer_is_refused_for_its_size() -> None:
    peer = Peer("rs_1")
    with pytest.raises(ProtocolError, match="65536 bytes"):
        await peer.answer("v=0\r\n" + "a=x\r\n" * 20_000)
    await peer.close()


async def test_a_browser_that_vanishes_leaves_no_error_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with Browser(tone(440, 1), channel=True) as browser, line(browser) as held:
        await browser.connected()
        await browser.say("mute", on=True)
        await held.call.until_told("mute")
        sctp = held.peer._connection.sctp
        assert sctp is not None
        await sctp.transport.transport.stop()  # as when nothing has come for half a minute
        held.peer.leg.tell(ReplyStarted(3))
        await held.call.until_closed()
    gc.collect()  # with which tasks are gone whose errors nobody has looked at
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []
