"""speech-assistant, section 5: telephones by way of Twilio, whose part a stand-in plays over real sockets."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.exceptions import InvalidStatus

from jackfield import ProtocolError
from jackfield.audio.mulaw import decode_mulaw, encode_mulaw
from jackfield.contracts.call import EndReason
from tests.transports.switchboard import TrialCall
from tests.transports.telephones import LONG_ANSWER, MOUNT, PUBLIC_URL, Telephones, telephones
from tests.transports.twilio_phone import (
    FRAME_BYTES,
    FRAME_S,
    NUMBER,
    Line,
    Twilio,
    read_twiml,
    silence,
)
from tests.voices import recording

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(10)]

WEBHOOK = f"{MOUNT}/incoming-call/default"
STREAM = f"wss://phone.example.org{MOUNT}/media-stream/default"
PROXY = {
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Host": "inner.example",
    "X-Forwarded-For": "198.51.100.7",
}
SECOND = b"\x00\x10" * 8000
"""A second of sound at 8 kHz."""


@pytest.fixture(scope="module")
async def house(place: Path | None) -> AsyncIterator[Telephones]:
    async with telephones(replicas=place) as house:
        yield house


@pytest.fixture
def twilio(house: Telephones) -> Twilio:
    return house.twilio


@asynccontextmanager
async def put_through(house: Telephones) -> AsyncIterator[tuple[Line, TrialCall]]:
    """A call that has begun."""
    before = len(house.switchboard.calls)
    async with house.twilio.call(WEBHOOK) as line:
        yield line, await begun(house, before)


async def begun(house: Telephones, before: int) -> TrialCall:
    """Wait for one more call."""
    while len(house.switchboard.calls) == before:
        await anyio.lowlevel.checkpoint()
    return house.switchboard.call


async def settled(line: Line, call: TrialCall) -> None:
    """Wait until everything that was sent over a line has arrived, which a key tells that is pressed last."""
    await line.press("D")
    while ("digit", "D") not in call.told:
        await call.until_more()
    call.told.remove(("digit", "D"))


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


async def handshake_status(twilio: Twilio, url: str, signature: str | None = None) -> int:
    with pytest.raises(InvalidStatus) as refusal:
        async with twilio.line(url, signature=signature):
            pass
    return refusal.value.response.status_code


@pytest.mark.contract("SA-15", "SA-24")
@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_the_webhook_connects_a_call_to_the_stream_of_its_scenario(twilio: Twilio, method: str) -> None:
    path = f"{MOUNT}/incoming-call/Customer-Service"
    fields = twilio.form()
    if method == "GET":
        path = f"{path}?{httpx.QueryParams(fields)}"
        signature = twilio.signature(PUBLIC_URL + path)
        headers = {"X-Twilio-Signature": signature, "Host": "evil.example"}
        response = await twilio.client.get(path, headers=headers)
    else:
        response = await twilio.ask(path, fields, Host="evil.example")

    assert response.status_code == 200
    assert response.headers["content-type"].partition(";")[0] == "text/xml"
    assert response.headers["cache-control"] == "no-store"
    url, token = read_twiml(response.text)
    assert url == f"wss://phone.example.org{MOUNT}/media-stream/customer_service"
    assert len(token) == 32


@pytest.mark.contract("SA-14", "SA-40")
@pytest.mark.parametrize("signature", [b"", b"RSOYDt4T1cUTdK1PDd93/VVr8B8=", b"\xe9"])
async def test_a_webhook_that_is_not_signed_is_refused(twilio: Twilio, signature: bytes) -> None:
    headers = {"X-Twilio-Signature": signature.decode("latin-1")} if signature else {}
    response = await twilio.client.post(
        WEBHOOK, data=twilio.form(), headers=httpx.Headers(headers, "latin-1")
    )

    refused(response, 403, "invalid_signature")


@pytest.mark.contract("SA-14")
async def test_a_signature_is_that_of_the_whole_request(twilio: Twilio) -> None:
    fields = twilio.form()
    good = twilio.signature(PUBLIC_URL + WEBHOOK, fields)

    assert (await twilio.ask(WEBHOOK, fields, signature=good)).status_code == 200
    for path, sent in [
        (WEBHOOK, {**fields, "CallSid": "CA2"}),
        (WEBHOOK, {**fields, "More": ""}),
        (f"{WEBHOOK}?a=b", fields),
        (f"{MOUNT}/incoming-call/gameshow_host", fields),
    ]:
        refused(await twilio.ask(path, sent, signature=good), 403, "invalid_signature")


@pytest.mark.contract("SA-14", "SA-24")
async def test_a_signature_is_good_behind_a_proxy_whatever_that_says_of_addresses(house: Telephones) -> None:
    twilio = replace(house.twilio, calls=900, headers=PROXY)
    before = len(house.switchboard.calls)
    async with twilio.call(WEBHOOK):
        await begun(house, before)


@pytest.mark.contract("SA-14", "SA-24")
@pytest.mark.parametrize("host", ["", "inner.example"], ids=["unsigned", "signed for what the proxy says"])
async def test_nothing_that_a_proxy_says_makes_a_signature_good(house: Telephones, host: str) -> None:
    twilio = replace(house.twilio, calls=950, headers=PROXY)
    fields = twilio.form()
    webhook = twilio.signature(f"http://{host}{WEBHOOK}", fields) if host else ""
    stream = twilio.signature(f"ws://{host}{MOUNT}/media-stream/default") if host else ""

    refused(await twilio.ask(WEBHOOK, fields, signature=webhook), 403, "invalid_signature")
    assert await handshake_status(twilio, STREAM, stream) == 403


@pytest.mark.contract("SA-14", "SA-40")
async def test_a_stream_that_is_not_signed_is_refused_in_the_handshake(twilio: Twilio) -> None:
    for signature in (
        "",
        "wrong",
        twilio.signature(STREAM.replace("wss", "https")),
        twilio.signature(f"{STREAM}x"),
    ):
        assert await handshake_status(twilio, STREAM, signature) == 403


@pytest.mark.contract("SA-14")
async def test_a_stream_may_be_signed_with_a_slash_at_the_end_of_its_address(twilio: Twilio) -> None:
    async with twilio.line(STREAM, signature=twilio.signature(f"{STREAM}/")):
        pass


@pytest.mark.contract("SA-40")
async def test_an_unknown_scenario_is_refused_on_webhook_and_handshake(
    house: Telephones, twilio: Twilio
) -> None:
    before = len(house.switchboard.calls)
    response = await twilio.ask(f"{MOUNT}/incoming-call/unknown", twilio.form())

    refused(response, 404, "scenario_not_found")
    assert await handshake_status(twilio, STREAM.replace("default", "unknown")) == 404
    assert len(house.switchboard.calls) == before


@pytest.mark.contract("SA-40")
async def test_a_webhook_that_tells_of_no_call_is_refused(twilio: Twilio) -> None:
    for fields in (twilio.form(CallSid=""), twilio.form(CallSid="a b"), twilio.form(CallSid="é")):
        refused(await twilio.ask(WEBHOOK, fields), 422, "invalid_request")
    refused(await twilio.ask(WEBHOOK, twilio.form(More="x" * 70_000)), 413, "body_too_large")


@pytest.mark.contract("SA-13", "SA-38")
async def test_what_a_caller_says_arrives_as_it_was_said(house: Telephones) -> None:
    voice = encode_mulaw(recording("two_cities", 8_000))[: 2 * 8000]
    async with put_through(house) as (line, call):
        await line.say(voice)
        await settled(line, call)

        assert bytes(call.sound) == decode_mulaw(voice)
        assert (call.request.rate_hz, call.request.transport) == (8_000, "speech_assistant")
        assert (call.request.turns, call.request.greet) == ("auto", True)
        assert call.request.conversation.mount == MOUNT


@pytest.mark.contract("SA-13", "SA-38")
async def test_what_is_played_arrives_as_mu_law_and_counts_as_heard_with_its_marks(house: Telephones) -> None:
    voice = recording("two_cities", 8_000)[: 2 * 8000 * 3]
    async with put_through(house) as (line, call):
        call.leg.play(1, voice)
        call.leg.end(1)
        await line.until_waiting(1.0)
        assert (call.leg.heard_s(), call.leg.ahead_s()) == (0.0, 3.0)

        await line.play(0.55)
        await settled(line, call)
        assert call.leg.heard_s() == pytest.approx(0.5)

        await line.play_out(3.0)
        await call.until_told("played")
        assert call.told == [("played", 1)]
        assert bytes(line.played) == encode_mulaw(voice)
        assert (call.leg.heard_s(), call.leg.ahead_s()) == (3.0, 0.0)


@pytest.mark.contract("SA-16")
async def test_silence_at_once_is_a_clear_and_only_marks_from_before_it_count(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        call.leg.play(1, SECOND * 2)
        await line.until_waiting(1.0)
        await line.play(0.35)
        await settled(line, call)
        call.leg.clear()
        await line.until("clear")
        await settled(line, call)  # after the marks that the telephone gave back because of it

        assert len(line.marks) >= 10
        assert call.leg.heard_s() == pytest.approx(0.3)
        assert call.leg.ahead_s() == 0.0
        assert call.told == []


@pytest.mark.contract("SA-17")
async def test_keys_reach_the_call(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        for key in "0179*#":
            await line.press(key)
        await call.until_told(*["digit"] * 6)

        assert [value for _name, value in call.told] == list("0179*#")


@pytest.mark.contract("SA-13")
async def test_hanging_up_ends_the_call_and_the_stream(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        await line.stop()

        assert await line.closed() == 1000
        await call.until_closed()
        assert call.reason == "hung_up"


@pytest.mark.contract("SA-40")
@pytest.mark.parametrize(
    ("reason", "code"),
    [("hung_up", 1000), ("idle", 1000), ("provider_lost", 1011), ("bad_audio", 1008), ("shutdown", 1001)],
)
async def test_the_end_of_a_call_closes_the_stream(house: Telephones, reason: EndReason, code: int) -> None:
    async with put_through(house) as (line, call):
        call.hang_up(reason)

        assert await line.closed() == code


@pytest.mark.contract("SA-40")
async def test_a_stream_begins_with_the_token_of_its_own_call_once(house: Telephones, twilio: Twilio) -> None:
    first, second = await twilio.announced(WEBHOOK), await twilio.announced(WEBHOOK)
    for call, token, code in [
        (first.call, None, 1008),
        (first.call, "x" * 32, 1008),
        (first.call, "\ud800", 1008),
        (first.call, second.token, 1008),
        (second.call, second.token, 1008),  # which somebody else has used up
        (first.call, first.token, None),
        (first.call, first.token, 1008),
    ]:
        before = len(house.switchboard.calls)
        async with twilio.line(first.url, call) as line:
            await line.connected()
            await line.start(token)
            if code is None:
                await begun(house, before)
            else:
                assert await line.closed() == code


@pytest.mark.contract("SA-40")
async def test_a_stream_of_another_account_is_refused(twilio: Twilio) -> None:
    announced = await twilio.announced(WEBHOOK)
    async with twilio.line(announced.url, announced.call) as line:
        await line.start(announced.token, accountSid="AC2")
        assert await line.closed() == 1008


@pytest.mark.contract("SA-13", "SA-40")
@pytest.mark.parametrize("event", ["media", "mark", "dtmf", "stop"])
async def test_nothing_comes_before_the_start(twilio: Twilio, event: str) -> None:
    fields = {"media": {"payload": "/w=="}, "mark": {"name": "a"}, "dtmf": {"digit": "1"}, "stop": {}}
    async with twilio.line(STREAM) as line:
        await line.connected()
        await line.send(event, **{event: fields[event]})
        assert await line.closed() == 1008


@pytest.mark.contract("SA-13", "SA-40")
async def test_a_second_start_ends_the_call(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        await line.start("again")

        assert await line.closed() == 1008
        await call.until_closed()


@pytest.mark.contract("SA-13", "SA-40")
async def test_a_frame_of_another_stream_ends_the_call(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        line.stream = "MZ-another"
        await line.say(silence(0.02))

        assert await line.closed() == 1008
        await call.until_closed()


BAD_FRAMES: list[str | bytes] = [
    "",
    "no JSON",
    "[]",
    "{}",
    '{"event": "media"}',
    '{"event": "media", "media": {"payload": "%%%"}}',
    '{"event": "dtmf", "dtmf": {"digit": "12"}}',
    "[" * 30_000,
    "x" * 70_000,
    b"\x00\x01",
]


@pytest.mark.contract("SA-35")
async def test_bad_frames_are_dropped_and_counted_and_the_call_goes_on(house: Telephones) -> None:
    before = await house.dropped_frames()
    async with put_through(house) as (line, call):
        for _ in range(6):  # more than fifty, but never in a row
            for frame in BAD_FRAMES:
                await line.connection.send(frame)
            await line.say(silence(0.02))
        await line.send("later", later={"what": "nobody knows yet"})
        await settled(line, call)

        assert len(call.sound) == 6 * 2 * FRAME_BYTES
        assert await house.dropped_frames() - before == 6 * len(BAD_FRAMES)


@pytest.mark.contract("SA-35", "SA-40")
async def test_the_fiftieth_bad_frame_in_a_row_ends_the_call(house: Telephones) -> None:
    async with put_through(house) as (line, call):
        for _ in range(49):
            await line.connection.send("no JSON")
        await settled(line, call)
        for _ in range(50):
            await line.connection.send("no JSON")

        assert await line.closed() == 1008
        await call.until_closed()
        assert call.reason == "bad_audio"


@pytest.mark.contract("SA-35")
async def test_bad_frames_count_before_the_start_too(twilio: Twilio) -> None:
    async with twilio.line(STREAM) as line:
        for _ in range(50):
            await line.connection.send("no JSON")
        assert await line.closed() == 1008


@pytest.mark.contract("SA-31")
@pytest.mark.parametrize("stage", ["connected", "speaking", "playing"])
async def test_a_stream_that_breaks_off_leaves_nothing_and_no_traceback(
    house: Telephones, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    if stage == "connected":
        async with house.twilio.line(STREAM) as line:
            await line.connected()
            line.connection.transport.abort()
    else:
        async with put_through(house) as (line, call):
            if stage == "speaking":
                await line.say(silence(0.5))
            else:
                call.leg.play(1, SECOND)
                await line.until("media")
            line.connection.transport.abort()
            await call.until_closed()
            assert call.reason == "hung_up"
    while house.streams():
        await anyio.lowlevel.checkpoint()
    assert not [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR]


@pytest.mark.contract("SA-40")
async def test_a_call_that_cannot_be_opened_closes_the_stream(house: Telephones, twilio: Twilio) -> None:
    house.switchboard.refusal = ProtocolError(503, "too_many_calls", "There are too many.")
    try:
        async with twilio.call(WEBHOOK) as line:
            assert await line.closed() == 1013
    finally:
        house.switchboard.refusal = None


@pytest.mark.contract("SA-41")
async def test_the_log_has_a_line_for_the_beginning_and_the_end_and_no_number(
    house: Telephones, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="jackfield_transport_speech_assistant"):
        async with put_through(house) as (line, _call):
            await line.stop()
            await line.closed()
    lines = [record.getMessage() for record in caplog.records if record.name.endswith("media_stream")]
    assert [line.partition(";")[0] for line in lines] == ["telephone call began", "telephone call ended"]
    assert NUMBER.strip("+") not in caplog.text


@pytest.mark.contract("SA-16", "SA-38")
@pytest.mark.timeout(30)
async def test_speaking_into_an_answer_silences_it_at_once_and_history_ends_at_the_last_mark(
    place: Path | None,
) -> None:
    voice = encode_mulaw(recording("two_cities", 8_000))
    frames = [voice[at : at + FRAME_BYTES] for at in range(0, 80_000, FRAME_BYTES)]
    async with (
        telephones(real=True, replicas=place) as house,
        house.twilio.call(WEBHOOK) as line,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(line.talk)
        line.mouth.extend(frames[:40])
        while len(line.played) < 8000:
            await anyio.sleep(0.01)
        line.mouth.extend(frames)
        while not line.clears:
            await anyio.sleep(0.005)
        said_s = (len(frames) - len(line.mouth)) * FRAME_S
        marked_letters = line.marked_bytes // 80  # each is hummed for 10 ms
        while not (answers := await house.answers()):
            await anyio.sleep(0.01)
        await line.stop()

    assert said_s <= 0.2
    assert LONG_ANSWER.startswith(answers[0])
    assert marked_letters - 15 < len(answers[0]) <= marked_letters + 1


@pytest.mark.contract("SA-14")
async def test_signatures_may_be_left_out_but_the_token_of_a_call_may_not() -> None:
    async with telephones(verify_signatures=False, auth_token=None) as house:
        asked = await house.twilio.ask(WEBHOOK, house.twilio.form(), signature="none")
        url, token = read_twiml(asked.text)
        for call, offered in (("CA1", token), ("CA1", None)):
            async with house.twilio.line(url, call, signature="") as line:
                await line.start(offered)
                assert await line.closed() == 1008


@pytest.mark.contract("SA-27")
async def test_a_caller_who_calls_too_often_is_refused_and_others_are_not() -> None:
    async with telephones(config={"limits": {"user_per_minute": 2}}) as house:
        twilio = house.twilio
        answers = [await twilio.ask(WEBHOOK, twilio.form()) for _ in range(3)]
        other = await twilio.ask(WEBHOOK, twilio.form(From="+442071838750"))

    assert [answer.status_code for answer in (*answers, other)] == [200, 200, 429, 200]
