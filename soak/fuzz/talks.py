"""What is rightly said at each door's WebSocket: conversations to break, and one that has to be answered."""

from __future__ import annotations

import base64
import io
import math
import secrets
import wave
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from soak.fuzz.house import HEARD, PREFIX, House
from soak.fuzz.wire import RawSocket
from tests.transports.twilio_phone import read_twiml

Talk = Sequence[object]
"""Messages of a client: bytes are binary, anything else is written as JSON."""

_RATE_HZ: Final = 16_000
SOUND: Final = array("h", (round(9000 * math.sin(at / 6)) for at in range(_RATE_HZ // 5))).tobytes()
"""A fifth of a second, PCM as the doors take it."""


def recording() -> str:
    """The same as a file, in base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        target.writeframes(SOUND)
    return base64.b64encode(file.getvalue()).decode()


def _nothing(_house: House, _mount: str) -> Talk:
    return []


@dataclass(frozen=True, slots=True)
class Door:
    """A door's WebSocket. `greet` holds a whole conversation, and raises for an answer that is not right."""

    mount: str
    path: str
    talks: Sequence[Talk]
    greet: Callable[[RawSocket, str], None]
    announce: Callable[[House, str], Talk] = _nothing
    """Does at a mount what has to be done before; gives what is then said before anything else."""


def _chat_app(socket: RawSocket, text: str) -> None:
    socket.say({"event": "user_message", "message": text, "id": text})
    answer = _until(socket, "event", "ai_response")
    _same(answer["message"], PREFIX + text)
    _same(answer["id"], text)


def _pichat(socket: RawSocket, text: str) -> None:
    socket.say({"action": "create_conversation", "payload": {"title": text}})
    made = _until(socket, "action", "conversation_created")
    chat = made["payload"]["conversation"]["id"]
    socket.say({"action": "send_message", "payload": {"conversation_id": chat, "content": text}})
    answer = _until(socket, "action", "assistant_message")
    _same(answer["payload"]["message"]["content"], PREFIX + text)
    socket.say({"action": "speech_to_text", "payload": {"audio_data": recording()}})
    _same(_until(socket, "action", "transcription")["payload"]["text"], HEARD)
    socket.say({"action": "delete_conversation", "payload": {"id": chat}})
    _until(socket, "action", "conversation_deleted")


def _proxy(socket: RawSocket, text: str) -> None:
    socket.say({"message": text, "id": text})
    answer = _until(socket, "id", text)
    _same(answer["message"], PREFIX + text)
    socket.say({"type": "voice", "audio": recording(), "mimeType": "audio/wav", "id": "sound"})
    _same(_until(socket, "id", "sound")["message"], PREFIX + HEARD)


def _voice(socket: RawSocket, text: str) -> None:
    socket.say({"type": "start", "turns": "explicit", "audio_out": None})
    _until(socket, "type", "started")
    socket.say({"type": "text", "text": text})
    _same(_until(socket, "type", "reply.finished")["text"], PREFIX + text)
    socket.say({"type": "speech.start"})
    for at in range(0, len(SOUND), 640):
        socket.say(SOUND[at : at + 640])
    socket.say({"type": "speech.end"})
    _same(_until(socket, "type", "reply.finished")["text"], PREFIX + HEARD)
    socket.say({"type": "stop"})
    _until(socket, "type", "ended")


def _switch(socket: RawSocket, _text: str) -> None:
    _until(socket, "scenario_id", "quiz")
    socket.say({"type": "scenario.update", "scenario_id": "Customer-Service"})
    _until(socket, "scenario_id", "customer_service")


def _telephone(socket: RawSocket, _text: str) -> None:
    _until(socket, "event", "media")
    socket.say({"event": "dtmf", "streamSid": "MZ1", "dtmf": {"digit": "1"}})
    _until(socket, "event", "mark")
    socket.say({"event": "stop", "streamSid": "MZ1", "stop": {}})


def _session_made(house: House, mount: str) -> Talk:
    house.session(mount)
    return []


def _telephone_called(house: House, mount: str) -> Talk:
    call = f"CA{secrets.token_hex(16)}"
    answer = house.client.post(f"{mount}/incoming-call/gameshow_host", data={"CallSid": call})
    _url, token = read_twiml(answer.raise_for_status().text)
    parameters = {"callSid": call, "streamSid": "MZ1", "customParameters": {"token": token}}
    return [{"event": "connected"}, {"event": "start", "streamSid": "MZ1", "start": parameters}]


def _until(socket: RawSocket, key: str, value: str) -> dict[str, Any]:
    """Give the next message in which a field has a value."""
    while (event := socket.event()).get(key) != value:
        pass
    return event


def _same(found: object, wanted: str) -> None:
    if found != wanted:
        raise ValueError(f"a correct conversation was answered with {found!r}, not {wanted!r}")


_CHAT_TALKS: Final[Sequence[Talk]] = [
    [
        {"event": "user_message", "message": "Hello", "id": "1", "stream": True},
        {"event": "ping", "id": "2"},
        {"event": "get_history", "id": "3"},
        {"event": "user_message", "message": "And again", "chat_id": "a-chat-of-nobody"},
        {"event": "get_history", "chat_id": "a-chat-of-nobody", "id": "4"},
    ],
    [{"message": "The least"}, {"message": "Who are you?", "stream": False, "chat_id": None, "id": None}],
]
_ID: Final = "00000000-0000-4000-8000-000000000000"
_PI_TALKS: Final[Sequence[Talk]] = [
    [
        {"action": "create_conversation", "payload": {"title": "Talk"}, "request_id": "1"},
        {"action": "get_conversations", "payload": {"limit": 5, "cursor": None}, "request_id": "2"},
        {"action": "get_conversation", "payload": {"id": _ID}},
        {"action": "update_conversation", "payload": {"id": _ID, "title": "Other"}},
        {"action": "get_messages", "payload": {"conversation_id": _ID, "limit": 5, "before": _ID}},
        {"action": "delete_conversation", "payload": {"id": _ID}},
        {"action": "ping"},
    ],
    [
        {"action": "send_message", "payload": {"conversation_id": _ID, "content": "Hello", "is_audio": True}},
        {"action": "send_message", "payload": {"conversation_id": _ID, "content": "Hello", "stream": True}},
        {"action": "get_settings", "payload": {}},
        {
            "action": "update_settings",
            "payload": {"selected_model": "gpt-4", "voice_settings": {"gender": "male", "accent": "british"}},
        },
    ],
    [
        {
            "action": "text_to_speech",
            "payload": {"text": "Hi", "voice_gender": "male", "voice_accent": "polish"},
        },
        {
            "action": "speech_to_text",
            "payload": {"audio_data": recording(), "mime_type": "audio/wav", "language": "pl-PL"},
            "request_id": "1",
        },
    ],
]
_PROXY_TALKS: Final[Sequence[Talk]] = [
    [
        {"message": "Hello", "type": "text", "sessionId": "s-1", "username": "Ann", "id": "1"},
        {"type": "ping"},
        {"message": "Who are you?", "id": "2"},
        {"type": "voice", "audio": recording(), "mimeType": "audio/wav", "id": "3"},
        {"message": "Hello", "audio": recording(), "sessionId": "s-2"},
    ]
]
_START: Final = {
    "type": "start",
    "protocol": 1,
    "audio_in": {"format": "pcm_s16le", "rate_hz": 16000},
    "audio_out": {"format": "pcm_s16le", "rate_hz": 24000},
    "turns": "explicit",
    "session_id": "kitchen",
    "user_id": "",
    "username": "Ada",
    "language": "en-GB",
    "voice": {"gender": "female", "language": "en-GB"},
    "greet": True,
}
_SPOKEN: Final = [SOUND[at : at + 640] for at in range(0, len(SOUND), 640)]
_VOICE_TALKS: Final[Sequence[Talk]] = [
    [
        _START,
        {"type": "speech.start"},
        *_SPOKEN,
        {"type": "speech.end"},
        {"type": "played", "item": 1, "seconds": 0.5},
        {"type": "interrupt"},
        {"type": "text", "text": "Hello"},
        {"type": "scenario", "name": "quiz"},
        {"type": "mute", "on": True},
        {"type": "dtmf", "digit": "5"},
        {"type": "stop"},
    ],
    [
        {**_START, "audio_in": {"format": "opus"}, "audio_out": {"format": "opus"}},
        {"type": "speech.start"},
        b"\xf8\xff\xfe" * 10,
        *_SPOKEN[:3],
        {"type": "speech.end"},
        {"type": "played", "item": 0, "seconds": 1e9},
    ],
    [{"type": "start"}, *_SPOKEN, {"type": "text", "text": "Hello"}, *_SPOKEN, {"type": "interrupt"}],
    [{"type": "start", "audio_in": {"format": "pcm_s16le", "rate_hz": 44100}, "audio_out": None}, *_SPOKEN],
]
_SWITCH_TALKS: Final[Sequence[Talk]] = [
    [{"type": "scenario.update", "scenario_id": name} for name in ("quiz", "Gameshow-Host", "nobody's")]
]
_MULAW: Final = base64.b64encode(b"\xff" * 160).decode()
_MEDIA: Final = {"track": "inbound", "chunk": "1", "timestamp": "20", "payload": _MULAW}
_TELEPHONE_TALKS: Final[Sequence[Talk]] = [
    [
        {"event": "media", "sequenceNumber": "2", "streamSid": "MZ1", "media": _MEDIA},
        {"event": "dtmf", "sequenceNumber": "3", "streamSid": "MZ1", "dtmf": {"digit": "#"}},
        {"event": "mark", "sequenceNumber": "4", "streamSid": "MZ1", "mark": {"name": "1"}},
        {"event": "media", "streamSid": "MZ1", "media": {**_MEDIA, "track": "outbound"}},
        {"event": "connected", "protocol": "Call", "version": "1.0.0"},
        {"event": "stop", "sequenceNumber": "5", "streamSid": "MZ1", "stop": {"callSid": "CA1"}},
    ],
    [
        {"event": "connected"},
        {"event": "start", "streamSid": "MZ1", "start": {"streamSid": "MZ1", "callSid": "CA1"}},
        {"event": "media", "streamSid": "MZ1", "media": _MEDIA},
    ],
]

DOORS: Final[Sequence[Door]] = [
    Door("/chat", "/ws/chat", _CHAT_TALKS, _chat_app),
    Door("/chat-service", "/ws/chat", _CHAT_TALKS, _chat_app),
    Door("/pi", "/ws", _PI_TALKS, _pichat),
    Door("/pi-devices", "/ws", _PI_TALKS, _pichat),
    Door("/proxy", "/ws/ann", _PROXY_TALKS, _proxy),
    Door("/proxy-devices", "/ws/default", _PROXY_TALKS, _proxy),
    Door("/voice", "/voice", _VOICE_TALKS, _voice),
    Door("/voice-people", "/voice", _VOICE_TALKS, _voice),
    Door("/speech", "/media-stream/gameshow_host", _TELEPHONE_TALKS, _telephone, _telephone_called),
    Door("/speech", "/update-scenario/quiz", _SWITCH_TALKS, _switch, _session_made),
    Door("/speech-people", "/update-scenario/quiz", _SWITCH_TALKS, _switch, _session_made),
]
