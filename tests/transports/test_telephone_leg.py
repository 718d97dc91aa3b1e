"""The telephone's leg by itself: what is sent, and what counts as heard."""

from __future__ import annotations

import base64
import json
from typing import Any

import anyio
import pytest
from hypothesis import given, settings, strategies as st

from jackfield import ProtocolError
from jackfield.contracts.auth import UserId
from jackfield.contracts.call import CallRequest
from jackfield.contracts.turn import ConversationRef
from jackfield.web.outbox import Outbox
from jackfield_transport_speech_assistant.telephone.frames import Media, Started, read_frame
from jackfield_transport_speech_assistant.telephone.leg import PhoneLeg
from tests.transports.switchboard import TrialCall

pytestmark = pytest.mark.anyio

SECOND = b"\x00\x10" * 8000


class Sent:
    """A leg, and the frames that it has sent."""

    def __init__(self) -> None:
        self.outbox = Outbox(10_000_000, lambda: None)
        self.leg = PhoneLeg(self.outbox, "MZ1")
        request = CallRequest(ConversationRef("", UserId("claimed:", "a"), "s"), "speech_assistant", 8_000)
        self.call = self.leg.call = TrialCall(request, self.leg)

    async def frames(self) -> list[dict[str, Any]]:
        """What was sent since the last time."""
        found: list[dict[str, Any]] = []

        async def take(message: Any) -> None:
            found.append(json.loads(message.get("text") or message["bytes"]))

        with anyio.move_on_after(0):
            await self.outbox.run(take)
        return found

    async def marks(self) -> list[str]:
        return [frame["mark"]["name"] for frame in await self.frames() if frame["event"] == "mark"]


@pytest.fixture
async def sent() -> Sent:
    return Sent()


def samples(frames: list[dict[str, Any]]) -> int:
    return sum(len(base64.b64decode(f["media"]["payload"])) for f in frames if f["event"] == "media")


async def test_a_second_is_sent_ahead_and_more_with_each_mark(sent: Sent) -> None:
    sent.leg.play(1, SECOND * 3)
    first = await sent.frames()
    sent.leg.marked(first[1]["mark"]["name"])

    assert [frame["event"] for frame in first] == ["media", "mark"] * 10
    assert samples(first) == 8000
    assert samples(await sent.frames()) == 800
    assert (sent.leg.heard_s(), sent.leg.ahead_s()) == (0.1, 2.9)


async def test_a_mark_stands_for_those_before_it(sent: Sent) -> None:
    sent.leg.play(1, SECOND)
    sent.leg.marked((await sent.marks())[4])

    assert sent.leg.heard_s() == 0.5


async def test_a_pause_silences_and_what_follows_goes_on_from_the_last_mark(sent: Sent) -> None:
    sent.leg.play(1, SECOND)
    sent.leg.end(1)
    marks = await sent.marks()
    sent.leg.marked(marks[2])
    sent.leg.pause()
    assert [frame["event"] for frame in await sent.frames()] == ["clear"]
    for mark in marks[3:]:  # which come back at once, and say nothing
        sent.leg.marked(mark)
    assert (sent.leg.heard_s(), sent.leg.ahead_s(), sent.call.told) == (0.3, 0.7, [])

    sent.leg.resume()
    again = await sent.frames()
    assert samples(again) == 5600
    sent.leg.marked(again[-1]["mark"]["name"])
    assert (sent.leg.heard_s(), sent.call.told) == (1.0, [("played", 1)])


async def test_an_end_without_sound_is_told_when_its_mark_comes_back(sent: Sent) -> None:
    sent.leg.end(1)
    (mark,) = await sent.marks()
    assert sent.call.told == []
    sent.leg.marked(mark)
    assert sent.call.told == [("played", 1)]


async def test_an_end_that_is_told_late_waits_for_a_mark_of_its_own(sent: Sent) -> None:
    sent.leg.play(1, SECOND[:3200])
    sent.leg.marked((await sent.marks())[-1])
    assert sent.call.told == []
    sent.leg.end(1)
    sent.leg.marked((await sent.marks())[-1])
    assert sent.call.told == [("played", 1)]


async def test_a_clear_ends_the_item_and_a_new_one_begins_at_zero(sent: Sent) -> None:
    sent.leg.play(1, SECOND)
    sent.leg.clear()
    sent.leg.clear()
    sent.leg.play(1, SECOND)
    assert [frame["event"] for frame in await sent.frames()].count("clear") == 1
    assert sent.leg.ahead_s() == 0.0
    sent.leg.play(2, SECOND[:330])
    assert samples(await sent.frames()) == 160  # whole frames, until the end is told
    sent.leg.end(2)
    assert samples(await sent.frames()) == 5


async def test_nothing_is_sent_after_the_close(sent: Sent) -> None:
    sent.leg.play(1, SECOND)
    await sent.frames()
    sent.leg.close()
    sent.leg.play(2, SECOND)
    assert await sent.frames() == []


def test_of_a_start_only_what_is_needed_has_to_be_there() -> None:
    started = read_frame('{"event":"start","start":{"streamSid":"MZ1","callSid":"CA1"}}')
    assert started == Started("MZ1", "CA1", "", "")


@pytest.mark.parametrize(
    "changes",
    [
        {"callSid": None},
        {"streamSid": 'MZ"'},
        {"mediaFormat": {"encoding": "audio/x-alaw", "sampleRate": 8000, "channels": 1}},
        {"mediaFormat": 3},
    ],
)
def test_a_start_that_cannot_be_used_is_refused(changes: dict[str, Any]) -> None:
    start = {"streamSid": "MZ1", "callSid": "CA1", **changes}
    with pytest.raises(ProtocolError, match="invalid_frame"):
        read_frame(json.dumps({"event": "start", "start": start}))


def test_sound_of_the_other_direction_is_none() -> None:
    frame = {"event": "media", "streamSid": "MZ1", "media": {"track": "outbound", "payload": "/w=="}}
    assert read_frame(json.dumps(frame)) == Media("MZ1", None)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["payload", "name", "digit", "track", "callSid"]), inner, max_size=4
        )
    ),
    max_leaves=6,
)
_EVENTS = ("connected", "start", "media", "dtmf", "mark", "stop", "later")


@settings(max_examples=60, deadline=None)
@given(st.fixed_dictionaries({"event": st.sampled_from(_EVENTS), "streamSid": _VALUES}), _VALUES)
def test_whatever_comes_is_a_frame_or_a_bad_one(frame: dict[str, Any], value: object) -> None:
    code = "invalid_frame"
    try:
        read_frame(json.dumps({**frame, str(frame["event"]): value}))
    except ProtocolError as error:
        code = error.code
    assert code == "invalid_frame"
