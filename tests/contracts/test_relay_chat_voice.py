"""relay-chat, sections 3.2 and 6: a recording in, speech out."""

from __future__ import annotations

import json

import pytest

from jackfield.audio.sniff import sniff
from tests.contracts.harness import CLIP_NAME, ServerFactory, TrialServer

LABELS = [
    ("webm", "audio/webm"),
    ("webm", "audio/webm;codecs=opus"),
    ("webm", "video/webm"),
    ("ogg", "audio/ogg; codecs=opus"),
    ("wav", "audio/wav"),
    ("wav", "audio/x-wav"),
    ("wav", "audio/wave"),
    ("mp3", "audio/mpeg"),
    ("mp4", "audio/mp4"),
    ("mp4", "audio/x-m4a"),
    ("mp4", "audio/aac"),
    ("aac", "audio/aac"),
    ("flac", "audio/flac"),
]


@pytest.mark.contract("RC-03", "RC-44")
def test_a_recording_goes_through_recogniser_model_and_voice(server: TrialServer, webm: bytes) -> None:
    with server.noting("stt") as heard, server.noting("llm") as asked, server.noting("tts") as spoken:
        response = server.say(webm, sessionId="through")

    body = response.json()
    assert response.headers["x-jackfield-providers"] == "stt=trial, llm=trial, tts=trial"
    assert set(body) == {"message", "type", "audioUrl"}
    assert (body["message"], body["type"]) == ("You said: Will it rain tomorrow?", "voice")
    assert not heard[0]["silent"]
    assert asked[0]["messages"][-1] == ["user", "Will it rain tomorrow?"]
    assert " ".join(note["text"].strip() for note in spoken) == "You said: Will it rain tomorrow?"


@pytest.mark.contract("RC-21", "RC-43")
@pytest.mark.parametrize(("container", "label"), LABELS)
def test_every_kind_of_recording_that_clients_make_is_understood(
    server: TrialServer, recordings: dict[str, bytes], container: str, label: str
) -> None:
    with server.noting("stt") as heard:
        response = server.say(recordings[container], label)

    assert response.json()["type"] == "voice"
    assert heard[0]["bytes"] == pytest.approx(2 * 16_000 * 2, rel=0.06)  # two seconds, 16 kHz, 16 bits


@pytest.mark.contract("RC-21")
@pytest.mark.parametrize("container", ["webm", "ogg", "wav", "mp3", "mp4", "flac"])
@pytest.mark.parametrize("label", [None, "application/octet-stream"])
def test_without_a_label_the_bytes_decide(
    server: TrialServer, recordings: dict[str, bytes], container: str, label: str | None
) -> None:
    assert server.say(recordings[container], label).json()["type"] == "voice"


@pytest.mark.contract("RC-53")
def test_voice_works_with_the_built_in_parts(plain: TrialServer, webm: bytes) -> None:
    body = plain.say(webm).json()

    assert (body["message"], body["type"]) == ("2.0 seconds of sound", "voice")


@pytest.mark.contract("RC-55")
@pytest.mark.parametrize("mode", ["fail", "raise"])
def test_an_answer_that_cannot_be_spoken_is_given_as_text(
    server: TrialServer, webm: bytes, mode: str
) -> None:
    with server.told(tts=mode):
        response = server.say(webm, sessionId=f"degraded-{mode}")

    assert response.status_code == 200
    assert response.json() == {"message": "You said: Will it rain tomorrow?", "type": "text"}
    assert response.headers["x-jackfield-degraded"] == "tts"
    window = server.window(sessionId=f"degraded-{mode}")
    assert window is not None
    assert len(window["messages"]) == 2


@pytest.mark.contract("RC-55")
def test_without_a_voice_the_answer_is_text(start: ServerFactory, webm: bytes) -> None:
    response = start("voiceless", {"tts": None}).say(webm)

    assert response.json() == {"message": "You said: Will it rain tomorrow?", "type": "text"}
    assert response.headers["x-jackfield-degraded"] == "tts"


def test_a_spoken_answer_is_not_called_degraded(server: TrialServer, webm: bytes) -> None:
    assert "x-jackfield-degraded" not in server.say(webm).headers


def test_the_transcript_is_told_where_it_is_wanted(start: ServerFactory, webm: bytes) -> None:
    door = {"use": "relay_chat", "options": {"include_transcript": True}}
    server = start("transcript", {"transport": [door]})

    assert server.say(webm).json()["transcript"] == "Will it rain tomorrow?"
    assert "transcript" not in server.chat().json()


@pytest.mark.contract("RC-15", "RC-31")
@pytest.mark.parametrize(
    ("container", "media_type"), [("mp3", "audio/mpeg"), ("ogg", "audio/ogg"), ("wav", "audio/wav")]
)
def test_the_name_the_type_and_the_bytes_of_an_answer_agree(
    start: ServerFactory, webm: bytes, container: str, media_type: str
) -> None:
    server = start(f"stored-as-{container}", {"audio": {"format": container}})

    url = server.say(webm).json()["audioUrl"]
    response = server.client.get(url)

    assert CLIP_NAME.fullmatch(url.removeprefix("/audio/"))
    assert url.endswith(f".{container}")
    assert response.headers["content-type"] == media_type
    assert sniff(response.content) == container


@pytest.mark.contract("RC-31")
def test_answers_are_stored_compressed_unless_told_otherwise(plain: TrialServer, webm: bytes) -> None:
    answer = plain.say(webm).json()
    sound = plain.client.get(answer["audioUrl"]).content

    pcm_bytes = len(answer["message"]) * 0.06 * 24_000 * 2  # what the tone plugin makes of so many letters
    assert sniff(sound) == "mp3"
    assert len(sound) < pcm_bytes / 3


@pytest.mark.contract("RC-10")
def test_a_voice_preferred_over_an_extension_speaks_the_next_answer(
    start: ServerFactory, webm: bytes
) -> None:
    server = start("preferring", {"extension": [{"use": "trial_preferences"}]})
    session = {"sessionId": "preferring", "userId": "0x1234"}
    preferred = {"voice": {"name": "anna", "language": "de-DE"}, "colour": "green"}
    assert server.chat(**session, message=f"prefer {json.dumps(preferred)}").json()["message"] == "Noted."

    with server.noting("tts") as spoken:
        server.say(webm, **session)

    assert spoken[0]["voice"]["name"] == "anna"
    assert spoken[0]["voice"]["language"] == "de-DE"
    window = server.window(**session)
    assert window is not None
    assert window["user_preferences"] == preferred
    assert len(window["messages"]) == 4
