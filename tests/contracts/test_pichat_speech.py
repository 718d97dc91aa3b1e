"""pichat, section 3.5: speech both ways."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest

from jackfield.audio.decode import decode
from jackfield.audio.sniff import sniff
from tests.contracts.harness import ServerFactory, TrialServer
from tests.contracts.pichat_device import Device, started

HEARD = "Will it rain tomorrow?"


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return started(start)


@pytest.fixture
def device(server: TrialServer) -> Iterator[Device]:
    with Device(server) as device:
        yield device


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.contract("PI-11")
def test_a_text_is_answered_with_sound_of_its_type_and_length(device: Device) -> None:
    device.send("text_to_speech", {"text": "Good morning. How are you today?"})
    frame = device.next()
    assert frame["action"] == "speech_audio"
    answer = frame["payload"]
    assert set(answer) == {"audio_data", "mime_type", "duration_ms", "voice_gender", "voice_accent"}
    sound = base64.b64decode(answer["audio_data"], validate=True)
    assert (answer["mime_type"], sniff(sound)) == ("audio/mpeg", "mp3")
    duration_ms = len(decode(sound, max_s=60)) / 32
    assert answer["duration_ms"] == pytest.approx(duration_ms, abs=150)
    assert (answer["voice_gender"], answer["voice_accent"]) == ("female", "polish")


@pytest.mark.contract("PI-12")
@pytest.mark.parametrize("container", ["wav", "webm", "ogg", "mp3", "mp4", "flac"])
def test_a_recording_is_understood_whatever_its_label(
    device: Device, recordings: dict[str, bytes], container: str
) -> None:
    for label in ({}, {"mime_type": "audio/webm"}):
        device.send("speech_to_text", {"audio_data": base64_of(recordings[container]), **label})
        frame = device.next()
        assert frame["action"] == "transcription", frame
        assert set(frame["payload"]) == {"text", "language", "duration_ms"}
        assert frame["payload"]["text"] == HEARD
        assert frame["payload"]["duration_ms"] == pytest.approx(2000, abs=120)


@pytest.mark.contract("PI-12")
def test_sound_without_a_container_needs_its_label(server: TrialServer, device: Device) -> None:
    pcm = base64_of(bytes(32_000))
    label = "audio/l16; rate=16000"
    with server.noting("stt") as heard:
        answer = device.ask("speech_to_text", {"audio_data": pcm, "mime_type": label, "language": "pl-PL"})
    assert answer == {"text": HEARD, "language": "pl-PL", "duration_ms": 1000}
    assert heard[0]["bytes"] == 32_000
    assert device.refused("speech_to_text", {"audio_data": pcm})["code"] == "invalid_audio"


@pytest.mark.contract("PI-12")
def test_base64_may_be_written_in_any_of_its_ways(device: Device, recordings: dict[str, bytes]) -> None:
    plain = base64_of(recordings["webm"])
    lines = "\r\n".join(plain[start : start + 76] for start in range(0, len(plain), 76))
    for written in (
        base64.urlsafe_b64encode(recordings["webm"]).decode(),
        plain.rstrip("="),
        f" {lines}\n",
        f"data:audio/webm;codecs=opus;base64,{plain}",
    ):
        assert device.ask("speech_to_text", {"audio_data": written})["text"] == HEARD


@pytest.mark.contract("PI-12", "PI-13")
@pytest.mark.parametrize(
    "data", ["!!!!", "A", "AAAA=AAAA", "====", " ", "data:audio/wav;base64,", base64_of(b"RIFFxxxxWAVE" * 9)]
)
def test_what_is_no_recording_is_refused(device: Device, data: str) -> None:
    error = device.refused("speech_to_text", {"audio_data": data})
    assert (error["code"], error["action"]) == ("invalid_audio", "speech_to_text")


@pytest.mark.contract("PI-40")
@pytest.mark.parametrize(("size_bytes", "code"), [(1000, "invalid_audio"), (1001, "audio_too_large")])
def test_the_size_of_a_recording_is_limited(start: ServerFactory, size_bytes: int, code: str) -> None:
    server = started(start, "small", limits={"audio_bytes": 1000, "audio_seconds": 0.02})
    with Device(server) as device:
        assert device.refused("speech_to_text", {"audio_data": base64_of(bytes(size_bytes))})["code"] == code


@pytest.mark.contract("PI-40")
def test_what_is_too_long_to_fit_is_not_even_decoded(start: ServerFactory) -> None:
    """It is no base64, which would be told first."""
    server = started(start, "small", limits={"audio_bytes": 1000, "audio_seconds": 0.02})
    with Device(server) as device:
        assert device.refused("speech_to_text", {"audio_data": "!" * 1400})["code"] == "audio_too_large"
        assert device.refused("speech_to_text", {"audio_data": "!" * 1300})["code"] == "invalid_audio"


@pytest.mark.contract("PI-40")
def test_the_length_of_a_recording_is_limited(start: ServerFactory) -> None:
    server = started(start, "small", limits={"audio_bytes": 1000, "audio_seconds": 0.02})
    with Device(server) as device:
        payload = {"audio_data": base64_of(bytes(800)), "mime_type": "audio/l16; rate=16000"}
        assert device.refused("speech_to_text", payload)["code"] == "audio_too_long"


@pytest.mark.contract("PI-40")
def test_the_largest_recording_fits_through_the_socket(device: Device) -> None:
    """As long as may be, at the rate at which it is heard."""
    largest = base64_of(bytes(300 * 32_000))
    payload = {"audio_data": largest, "mime_type": "audio/l16; rate=16000"}
    assert device.ask("speech_to_text", payload)["duration_ms"] == 300_000
    too_large = {"audio_data": base64_of(bytes(10 * 1024 * 1024 + 1))}
    assert device.refused("speech_to_text", too_large)["code"] == "audio_too_large"


@pytest.mark.contract("PI-13")
@pytest.mark.parametrize(
    ("part", "mode", "code"),
    [
        ("stt", "nothing", "no_speech"),
        ("stt", "fail", "stt_failed"),
        ("stt", "raise", "internal_error"),
        ("tts", "fail", "tts_failed"),
        ("tts", "raise", "internal_error"),
    ],
)
def test_providers_that_fail_are_told_apart(
    server: TrialServer, device: Device, part: str, mode: str, code: str
) -> None:
    sound = {"audio_data": base64_of(bytes(3200)), "mime_type": "audio/l16; rate=16000"}
    with server.told(**{part: mode}):
        asked = ("speech_to_text", sound) if part == "stt" else ("text_to_speech", {"text": "hello"})
        error = device.refused(*asked)
    assert error["code"] == code
    assert "secret-123" not in str(error)


@pytest.mark.contract("PI-13", "PI-07")
def test_a_voice_that_fails_does_not_cost_the_answer(server: TrialServer, device: Device) -> None:
    conversation = device.conversation()
    with server.told(tts="fail"):
        device.say(conversation, "hello", is_audio=True)
        error = device.next()["payload"]
    assert (error["code"], error["action"]) == ("tts_failed", "send_message")
    stored = device.ask("get_messages", {"conversation_id": conversation})["messages"]
    assert [(message["role"], message["is_audio"]) for message in stored] == [
        ("user", True),
        ("assistant", True),
    ]
    assert "status" not in stored[0]


@pytest.mark.contract("PI-13", "PI-07")
def test_without_ears_and_voice_there_are_texts_alone(start: ServerFactory) -> None:
    with Device(started(start, "deaf", stt=None, tts=None)) as device:
        question, answer = device.say(device.conversation(), "hello", is_audio=True)
        assert (question["is_audio"], answer["is_audio"]) == (True, True)
        assert device.nothing_came()
        assert device.refused("text_to_speech", {"text": "hello"})["code"] == "not_configured"
        sound = {"audio_data": base64_of(bytes(3200)), "mime_type": "audio/l16; rate=16000"}
        assert device.refused("speech_to_text", sound)["code"] == "not_configured"


@pytest.mark.contract("PI-12", "PI-11")
def test_speech_touches_no_conversation(start: ServerFactory) -> None:
    with Device(started(start, "untouched")) as device:
        device.ask("text_to_speech", {"text": "hello"})
        sound = {"audio_data": base64_of(bytes(3200)), "mime_type": "audio/l16; rate=16000"}
        device.ask("speech_to_text", sound)
        assert device.ask("get_conversations") == {"conversations": []}
