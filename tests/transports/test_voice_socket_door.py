"""The voice socket's own part: messages, sound and refusals, in front of a call that the test plays."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import anyio
import pytest

from jackfield import ProtocolError
from jackfield.audio.opus import OpusDecoder, OpusEncoder
from jackfield.contracts.auth import Auth, Credentials, Identity, UserId
from jackfield.contracts.call import (
    CallEvent,
    CallRequest,
    CallTrouble,
    EndReason,
    ReplyFinished,
    ReplyStarted,
    ReplyText,
    SpeechStarted,
    SpeechStopped,
    UserText,
)
from jackfield.contracts.transport import Transport
from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import ConversationRef, ToolFinished, ToolStarted
from jackfield.plugin import Site
from jackfield.testing import TransportSuite
from jackfield_transport_voice_socket import VoiceSocketOptions, make_transport
from tests.transports.switchboard import Exchange, Phone, TrialCall, exchange

pytestmark = pytest.mark.anyio

SECOND: Final = bytes(48_000)
"""Of sound, as answers are sent by default."""


@pytest.fixture
async def lines() -> AsyncIterator[Exchange]:
    """A server without authentication or rate limits."""
    async with exchange(config={"limits": {"enabled": False}}) as found:
        yield found


@pytest.fixture
async def phone(lines: Exchange) -> AsyncIterator[Phone]:
    async with lines.phone() as phone:
        yield phone


@pytest.fixture
async def call(lines: Exchange, phone: Phone) -> TrialCall:
    """A call that was started with defaults."""
    await phone.start()
    return lines.switchboard.call


async def test_started_says_what_was_chosen(lines: Exchange, phone: Phone) -> None:
    started = await phone.start()

    assert phone.connection.response is not None
    assert started == {
        "type": "started",
        "protocol": 1,
        "call_id": phone.connection.response.headers["x-request-id"],
        "session_id": started["session_id"],
        "audio_in": {"format": "pcm_s16le", "rate_hz": 16_000},
        "audio_out": {"format": "pcm_s16le", "rate_hz": 24_000},
        "turns": "auto",
        "scenario": None,
    }
    assert len(started["session_id"]) >= 22
    assert lines.switchboard.call.leg.rate_hz == 24_000
    assert lines.switchboard.call.request == CallRequest(
        ConversationRef("", UserId("claimed:", ""), started["session_id"]), "voice_socket", 16_000
    )


async def test_everything_that_start_says_reaches_the_call(lines: Exchange, phone: Phone) -> None:
    started = await phone.start(
        protocol=1,
        audio_in={"format": "pcm_s16le", "rate_hz": 8000},
        audio_out={"format": "pcm_s16le", "rate_hz": 48000},
        turns="explicit",
        scenario="host",
        llm="large",
        stt="fast",
        tts="warm",
        language="pl-PL",
        voice={"name": "ada", "language": "en-GB", "gender": "female", "accent": "polish"},
        session_id="s-1",
        user_id="0x1234",
        username=" Crypto\nRacer ",
        greet=False,
    )

    assert (started["session_id"], started["turns"], started["scenario"]) == ("s-1", "explicit", "host")
    assert lines.switchboard.call.leg.rate_hz == 48_000
    assert lines.switchboard.call.request == CallRequest(
        ConversationRef("", UserId("claimed:", "0x1234"), "s-1"),
        "voice_socket",
        8000,
        "explicit",
        "Crypto Racer",
        "host",
        "large",
        "fast",
        "warm",
        "pl-PL",
        Voice("ada", "en-GB", "female", "polish"),
        greet=False,
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"protocol": 2}, "protocol"),
        ({"audio_in": {"format": "mp3"}}, "audio_in.format"),
        ({"audio_in": {}}, "audio_in.format"),
        ({"audio_in": {"format": "pcm_s16le", "rate_hz": 7999}}, "audio_in.rate_hz"),
        ({"audio_out": {"format": "pcm_s16le"}}, "audio_out.rate_hz"),
        ({"audio_out": {"format": "opus", "rate_hz": 48000}}, "audio_out.rate_hz"),
        ({"turns": "never"}, "turns"),
        ({"scenrio": "host"}, "scenrio"),
        ({"voice": {"nme": "ada"}}, "voice.nme"),
        ({"voice": "ada"}, "voice"),
        ({"session_id": "ö"}, "session_id"),
        ({"session_id": "s" * 129}, "session_id"),
        ({"user_id": "a\x00b"}, "user_id"),
        ({"username": "x" * 65}, "username"),
        ({"greet": "yes"}, "greet"),
        ({"llm": ""}, "llm"),
        ({"language": "english, please"}, "language"),
    ],
)
async def test_a_start_that_is_wrong_is_refused_by_its_field(
    phone: Phone, message: dict[str, object], field: str
) -> None:
    await phone.say("start", **message)

    code, error = await phone.refused("invalid_message")
    assert (code, error["field"]) == (1008, field)
    assert error["detail"].startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("first", "code"),
    [
        (b"\0\0", "start_expected"),
        ('{"type": "stop"}', "start_expected"),
        ('{"type": "begin"}', "invalid_message"),
        ('["start"]', "invalid_message"),
        ("", "invalid_message"),
    ],
)
async def test_the_first_message_has_to_be_start(phone: Phone, first: str | bytes, code: str) -> None:
    await phone.connection.send(first)

    assert (await phone.refused(code))[0] == 1008


async def test_a_second_start_is_an_error_and_the_call_goes_on(phone: Phone, call: TrialCall) -> None:
    await phone.say("start")
    assert (await phone.hear("error"))["code"] == "already_started"

    await phone.say("interrupt")
    await call.until_told("interrupt")


async def test_a_client_that_says_nothing_is_sent_away() -> None:
    async with exchange(start_s=0.05) as lines, lines.phone() as phone:
        assert (await phone.refused("start_timeout"))[0] == 1008


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"type": "speech.start"}, ("begin_speech", None)),
        ({"type": "speech.end"}, ("end_speech", None)),
        ({"type": "interrupt"}, ("interrupt", None)),
        ({"type": "text", "text": " Gru\u0308ße\r\n"}, ("text", "Grüße")),
        ({"type": "mute", "on": True}, ("mute", True)),
        ({"type": "mute", "on": False}, ("mute", False)),
        ({"type": "dtmf", "digit": "#"}, ("digit", "#")),
    ],
)
async def test_a_command_reaches_the_call(
    phone: Phone, call: TrialCall, message: dict[str, object], told: tuple[str, object]
) -> None:
    await phone.connection.send(json.dumps(message))
    await call.until_told(told[0])

    assert call.told == [told]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ('{"type": "txt", "text": "x"}', "type"),
        ('{"text": "x"}', "type"),
        ('{"type": "text"}', "text"),
        ('{"type": "text", "text": 5}', "text"),
        ('{"type": "text", "text": " \\u0000 "}', "text"),
        ('{"type": "text", "text": "' + "x" * 4097 + '"}', "text"),
        ('{"type": "text", "text": "x", "txt": "x"}', "txt"),
        ('{"type": "mute"}', "on"),
        ('{"type": "mute", "on": 1}', "on"),
        ('{"type": "dtmf", "digit": "12"}', "digit"),
        ('{"type": "played", "item": 1, "seconds": -1}', "seconds"),
        ('{"type": "played", "item": 1, "seconds": NaN}', "seconds"),
        ('{"type": "scenario", "name": ""}', "name"),
        ("{", None),
        ('"\\ud800"', None),
        ('"start"', "type"),
    ],
)
async def test_a_message_that_is_wrong_is_an_error_and_the_call_goes_on(
    phone: Phone, call: TrialCall, message: str, field: str | None
) -> None:
    await phone.connection.send(message)
    error = await phone.hear("error")
    assert (error["code"], error["fatal"], error.get("field")) == ("invalid_message", False, field)

    await phone.say("interrupt")
    await call.until_told("interrupt")


async def test_another_scenario_is_confirmed_or_refused(phone: Phone, call: TrialCall) -> None:
    await phone.say("scenario", name="unknown")
    assert (await phone.hear("error"))["code"] == "scenario_not_found"

    await phone.say("scenario", name="host")
    assert await phone.hear("scenario") == {"type": "scenario", "name": "host"}
    assert call.told == [("switch", "host")]


async def test_typed_messages_are_counted_as_the_conversations() -> None:
    async with exchange(config={"limits": {"session_per_minute": 2}}) as lines, lines.phone() as phone:
        await phone.start()
        await phone.say("text", text="one")
        await phone.say("text", text="two")
        error = await phone.hear("error")

        assert (error["code"], error["fatal"]) == ("rate_limited", False)
        assert 1 <= error["retry_after_s"] <= 121
        assert lines.switchboard.call.told == [("text", "one")]


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (SpeechStarted(), {"type": "speech.started"}),
        (SpeechStopped(), {"type": "speech.stopped"}),
        (UserText("I am", final=False), {"type": "transcript", "text": "I am", "final": False}),
        (ReplyStarted(3), {"type": "reply.started", "item": 3}),
        (ReplyText(3, "Grüße \ud800"), {"type": "reply.text", "item": 3, "text": "Grüße \ud800"}),
        (ToolStarted("t1", "clock"), {"type": "tool.started", "id": "t1", "name": "clock"}),
        (
            ToolFinished("t1", "clock", ok=True, seconds=0.123456),
            {"type": "tool.finished", "id": "t1", "name": "clock", "ok": True, "seconds": 0.1235},
        ),
        (
            ReplyFinished(3, "Hi", "interrupted", {"first_audio": 0.5}, {"llm": "openai"}),
            {
                "type": "reply.finished",
                "item": 3,
                "text": "Hi",
                "outcome": "interrupted",
                "stages": {"first_audio": 0.5},
                "providers": {"llm": "openai"},
            },
        ),
    ],
)
async def test_an_event_of_the_call_is_told(
    phone: Phone, call: TrialCall, event: CallEvent, message: Mapping[str, Any]
) -> None:
    call.leg.tell(event)

    assert await phone.next() == message


async def test_trouble_is_an_error_that_is_not_fatal(phone: Phone, call: TrialCall) -> None:
    call.leg.tell(CallTrouble("llm_timeout"))

    error = await phone.hear("error")
    assert (error["code"], error["detail"], error["fatal"]) == (
        "llm_timeout",
        "The language model took too long.",
        False,
    )
    assert phone.connection.response is not None
    assert error["request_id"] == phone.connection.response.headers["x-request-id"]


async def test_words_that_have_to_wait_become_one_message(phone: Phone, call: TrialCall) -> None:
    for word in ("One ", "two ", "three"):
        call.leg.tell(ReplyText(1, word))
    call.leg.tell(ReplyText(2, "Four"))

    assert [await phone.next(), await phone.next()] == [
        {"type": "reply.text", "item": 1, "text": "One two three"},
        {"type": "reply.text", "item": 2, "text": "Four"},
    ]


async def test_sound_of_the_client_reaches_the_call_as_it_is(phone: Phone, call: TrialCall) -> None:
    sound = bytes(range(256)) * 5
    await phone.connection.send(sound)
    await phone.connection.send(sound[:2])
    await call.until_fed(len(sound) + 2)

    assert call.sound == sound + sound[:2]


async def test_opus_comes_in_as_pcm_at_48_khz(lines: Exchange, phone: Phone) -> None:
    await phone.start(audio_in={"format": "opus"})
    call = lines.switchboard.call
    for packet in OpusEncoder(16_000).encode(bytes(16_000 * 2)):
        await phone.connection.send(packet)
    await call.until_fed(48_000 * 2)

    assert call.request.rate_hz == 48_000
    assert len(call.sound) == 48_000 * 2


async def test_bad_sound_is_told_once_and_what_follows_is_heard(phone: Phone, call: TrialCall) -> None:
    for _bad in range(49):
        await phone.connection.send(b"odd")
    await phone.connection.send(b"ok")
    for _bad in range(49):
        await phone.connection.send(b"odd")
    await phone.connection.send(b"ok")
    await call.until_fed(4)

    errors = [await phone.hear("error"), await phone.hear("error")]
    assert [(error["code"], error["fatal"]) for error in errors] == [("bad_audio", False)] * 2


@pytest.mark.parametrize("fields", [{}, {"audio_in": {"format": "opus"}}, {"audio_in": None}])
async def test_nothing_but_bad_sound_ends_the_call(phone: Phone, fields: dict[str, object]) -> None:
    await phone.start(**fields)
    for _bad in range(50):
        await phone.connection.send(b"\xff\xff\xff")

    await phone.hear("error")
    assert await phone.hear("ended") == {"type": "ended", "reason": "bad_audio"}
    assert await phone.closed() == 1008


async def test_nothing_but_bad_messages_end_the_call(phone: Phone, call: TrialCall) -> None:
    for _bad in range(50):
        await phone.connection.send("{")
    for _bad in range(50):
        await phone.hear("error")

    assert await phone.hear("ended") == {"type": "ended", "reason": "hung_up"}


@pytest.mark.parametrize("message", [bytes(65_538), "x" * 65_537])
async def test_a_message_that_is_too_large_is_not_taken(
    phone: Phone, call: TrialCall, message: str | bytes
) -> None:
    await phone.connection.send(message)

    assert (await phone.hear("error"))["code"] == "message_too_large"
    assert call.sound == b""


async def test_sound_is_sent_ahead_of_the_listener(phone: Phone, call: TrialCall) -> None:
    call.leg.play(1, SECOND * 10)

    assert b"".join([await phone.sound() for _piece in range(4)]) == SECOND[: 48_000 * 4 // 10]
    assert 9 < call.leg.ahead_s() <= 10


async def test_the_end_of_an_answers_sound_is_told_and_when_it_was_heard(
    phone: Phone, call: TrialCall
) -> None:
    call.leg.play(1, SECOND[:4800])
    call.leg.end(1)

    assert await phone.sound() == SECOND[:4800]
    assert await phone.hear("audio.end") == {"type": "audio.end", "item": 1}
    await call.until_told("played")
    assert call.told == [("played", 1)]


async def test_a_cleared_answer_is_to_be_forgotten(phone: Phone, call: TrialCall) -> None:
    call.leg.play(1, SECOND)
    for _piece in range(4):
        await phone.sound()
    call.leg.clear()
    call.leg.play(2, b"\1\1" * 480)

    assert await phone.hear("audio.clear") == {"type": "audio.clear"}
    assert await phone.sound() == b"\1\1" * 480


async def test_sound_that_still_waits_is_not_sent_after_it_was_cleared(phone: Phone, call: TrialCall) -> None:
    call.leg.play(1, SECOND)
    call.leg.clear()

    assert await phone.hear("audio.clear") == {"type": "audio.clear"}


async def test_the_client_may_say_how_much_was_heard(phone: Phone, call: TrialCall) -> None:
    call.leg.play(1, SECOND)
    call.leg.end(1)
    await phone.say("played", item=1, seconds=0.3)
    await phone.say("interrupt")
    await call.until_told("interrupt")

    assert 0.3 <= call.leg.heard_s() < 1


async def test_opus_goes_out_a_packet_a_message(lines: Exchange, phone: Phone) -> None:
    await phone.start(audio_out={"format": "opus"})
    leg = lines.switchboard.call.leg
    leg.play(1, bytes(round(leg.rate_hz * 0.03) * 2))
    leg.end(1)
    decoder = OpusDecoder()

    assert len(decoder.decode(await phone.sound())) == 960 * 2
    assert len(decoder.decode(await phone.sound())) == 960 * 2
    await phone.hear("audio.end")


@pytest.mark.parametrize(
    ("fields", "listens", "speaks", "turns"),
    [
        ({"audio_in": None}, False, True, "explicit"),
        ({"audio_out": None}, True, False, "auto"),
        ({"audio_in": None, "audio_out": None}, False, False, "explicit"),
    ],
)
async def test_a_client_without_sound_gets_a_call_that_needs_none(
    lines: Exchange, phone: Phone, fields: dict[str, None], listens: bool, speaks: bool, turns: str
) -> None:
    started = await phone.start(**fields)
    request = lines.switchboard.call.request

    assert (request.listens, request.speaks, request.turns) == (listens, speaks, turns)
    assert started["turns"] == turns
    assert [name for name in ("audio_in", "audio_out") if started[name] is None] == list(fields)


async def test_a_client_without_a_loudspeaker_reads_the_answers(lines: Exchange, phone: Phone) -> None:
    await phone.start(audio_out=None)
    leg = lines.switchboard.call.leg
    leg.clear()
    leg.tell(ReplyText(1, "Hello"))

    assert (leg.heard_s(), leg.ahead_s()) == (0, 0)
    assert await phone.hear("reply.text") == {"type": "reply.text", "item": 1, "text": "Hello"}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("hung_up", 1000),
        ("idle", 1000),
        ("too_long", 1000),
        ("provider_lost", 1011),
        ("bad_audio", 1008),
        ("shutdown", 1001),
    ],
)
async def test_the_end_of_the_call_is_told_after_everything_else(
    phone: Phone, call: TrialCall, reason: EndReason, code: int
) -> None:
    call.leg.tell(ReplyText(1, "Good"))
    call.leg.tell(ReplyText(1, "bye"))
    call.hang_up(reason)

    assert (await phone.hear("reply.text"))["text"] == "Goodbye"
    assert await phone.hear("ended") == {"type": "ended", "reason": reason}
    assert await phone.closed() == code


async def test_stop_ends_the_call(phone: Phone, call: TrialCall) -> None:
    await phone.say("stop")

    assert await phone.hear("ended") == {"type": "ended", "reason": "hung_up"}
    await call.until_closed()


async def test_a_client_that_leaves_ends_the_call(lines: Exchange) -> None:
    async with lines.phone() as phone:
        await phone.start()
    await lines.switchboard.call.until_closed()


async def test_a_client_that_vanishes_ends_the_call(lines: Exchange) -> None:
    async with lines.phone() as phone:
        await phone.start()
        phone.connection.transport.abort()
        await lines.switchboard.call.until_closed()


async def test_a_client_that_does_not_read_is_given_up() -> None:
    async with exchange(max_waiting_bytes=65_536) as lines:
        with socket.create_connection(("127.0.0.1", lines.served.port)) as raw:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await _start(raw)
            call = lines.switchboard.call
            told = 0
            while call.reason is None:
                call.leg.tell(UserText("x" * 10_000, final=True))
                told += 1
                assert told < 10_000, "they all wait for a client that does not read"
                await anyio.sleep(0)
            assert told > 6
            await call.until_closed()


async def _start(raw: socket.socket) -> None:
    """Start a call by hand: libraries read ahead."""
    raw.setblocking(False)
    head = "GET /voice HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    raw.sendall(f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
    await anyio.wait_readable(raw)
    assert b" 101 " in raw.recv(4096)
    raw.sendall(b"\x81\x90\0\0\0\0" + b'{"type":"start"}')
    await anyio.wait_readable(raw)


class TestTransport(TransportSuite):
    @pytest.fixture
    def transport(self) -> Transport:
        return make_transport(VoiceSocketOptions(), Site("transport.1", "voice_socket", logging.getLogger()))

    @pytest.fixture
    def panel(self) -> None:
        """Nothing: this transport does not look at its panel while it gives its routes."""


class Tokens:
    """Believes the bearer token `right`."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        return Identity("0xabc") if credentials.bearer == "right" else None


TOKENS: Final[dict[str, Auth]] = {"wallets": Tokens()}


@pytest.fixture
async def guarded() -> AsyncIterator[Exchange]:
    """A server that wants a token."""
    async with exchange(auths=TOKENS, config={"limits": {"enabled": False}}) as found:
        yield found


async def test_a_token_in_the_header_names_the_user(guarded: Exchange) -> None:
    async with guarded.phone(headers={"Authorization": "Bearer right"}) as phone:
        await phone.start(user_id="0xabc")

    assert guarded.switchboard.call.request.conversation.user == UserId("wallets", "0xabc")


async def test_a_page_brings_its_token_as_a_subprotocol(guarded: Exchange) -> None:
    async with guarded.phone(subprotocols=["jackfield.bearer", "right"]) as phone:
        await phone.start()
        assert phone.connection.subprotocol == "jackfield.bearer"


@pytest.mark.parametrize("subprotocols", [[], ["jackfield.bearer", "wrong"]])
async def test_without_a_token_there_is_an_error_and_code_4401(
    guarded: Exchange, subprotocols: list[str]
) -> None:
    async with guarded.phone(subprotocols=subprotocols) as phone:
        code, error = await phone.refused("not_authenticated")

    assert code == 4401
    assert phone.connection.response is not None
    assert error["request_id"] == phone.connection.response.headers["x-request-id"]


async def test_another_user_than_the_tokens_is_refused(guarded: Exchange) -> None:
    async with guarded.phone(headers={"Authorization": "Bearer right"}) as phone:
        await phone.say("start", user_id="0xdef")
        assert (await phone.refused("user_mismatch"))[0] == 4403


async def test_a_page_of_a_foreign_origin_is_refused(lines: Exchange) -> None:
    async with lines.phone(origin="https://evil.example") as phone:
        assert (await phone.refused("origin_not_allowed"))[0] == 4403


async def test_calls_beyond_the_rate_are_refused() -> None:
    async with exchange(config={"limits": {"address_per_minute": 1}}) as lines:
        async with lines.phone() as phone:
            await phone.start()
        async with lines.phone() as phone:
            code, error = await phone.refused("rate_limited")

    assert (code, 1 <= error["retry_after_s"] <= 121) == (4429, True)


@pytest.mark.parametrize(
    ("status", "code"), [(404, 4404), (422, 1008), (503, 1013), (500, 1011), (502, 1011), (418, 1008)]
)
async def test_a_call_that_cannot_be_opened_is_refused(lines: Exchange, status: int, code: int) -> None:
    lines.switchboard.refusal = ProtocolError(status, "some_code", "Some sentence.")
    try:
        async with lines.phone() as phone:
            await phone.say("start")
            closed, error = await phone.refused("some_code")
    finally:
        lines.switchboard.refusal = None

    assert (closed, error["detail"]) == (code, "Some sentence.")


async def test_only_sessions_that_the_server_made_go_on_where_it_makes_them() -> None:
    async with exchange(config={"session": {"ids": "server"}}) as lines:
        async with lines.phone() as phone:
            session_id = (await phone.start())["session_id"]
        async with lines.phone() as phone:
            assert (await phone.start(session_id=session_id))["session_id"] == session_id
        async with lines.phone() as phone:
            await phone.say("start", session_id="mine")
            assert (await phone.refused("session_not_found"))[0] == 4404


async def test_refusals_are_counted_by_their_code(caplog: pytest.LogCaptureFixture) -> None:
    async with exchange(config={"session": {"ids": "server"}}) as lines:
        for _ in range(2):
            async with lines.phone() as phone:
                await phone.say("start", session_id="mine")
                await phone.refused("session_not_found")
        figures = await lines.served.figures()

    assert 'jackfield_errors_total{code="session_not_found",transport="voice_socket"} 2.0' in figures
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_server_that_stops_says_goodbye() -> None:
    async with exchange() as lines, lines.phone() as phone:
        await phone.start()
        lines.served.server.stop(now=False)

        assert await phone.closed() == 1001
        await lines.switchboard.call.until_closed()


async def test_calls_whose_sockets_the_server_closes_end_because_it_stops() -> None:
    async with exchange() as lines, lines.phone() as phone:
        await phone.start()
        for connection in list(lines.served.server.server_state.connections):
            connection.shutdown()  # what uvicorn does without the server around it

        assert await phone.closed() == 1012
        await lines.switchboard.call.until_closed()
        assert lines.switchboard.call.reason == "shutdown"
