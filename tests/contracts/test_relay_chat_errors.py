"""relay-chat, section 3.4: every row of the table of errors, and what bad input must never do."""

from __future__ import annotations

import json
import random
import socket
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from itertools import repeat

import pytest

from tests.contracts.harness import FORM, ServerFactory, TrialServer, raw_request, refusal, until

MIB = 1024 * 1024
BOUNDARY = "frontier"
MULTIPART = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
HEAD = f"POST /chat HTTP/1.1\nHost: x\nContent-Type: {MULTIPART['Content-Type']}\n"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"


@pytest.fixture(scope="module")
def impatient(start: ServerFactory) -> TrialServer:
    """A server that waits half a second for a model."""
    limits = {"llm_first_seconds": 0.5, "llm_total_seconds": 0.5, "stt_seconds": 0.5}
    return start("impatient", {"timeouts": limits})


def silence(seconds: float, rate_hz: int = 8000) -> bytes:
    file = BytesIO()
    with wave.open(file, "wb") as recording:
        recording.setnchannels(1)
        recording.setsampwidth(2)
        recording.setframerate(rate_hz)
        recording.writeframes(bytes(int(seconds * rate_hz) * 2))
    return file.getvalue()


# 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not a form at all",
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="type"\r\n\r\ntext'.encode(),
        f"--{BOUNDARY}\r\nno colon\r\n\r\ntext\r\n--{BOUNDARY}--".encode(),
        random.Random(2).randbytes(5000),
    ],
)
def test_malformed_body(server: TrialServer, body: bytes) -> None:
    refusal(server.client.post("/chat", content=body, headers=MULTIPART), 400, "malformed_body")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_malformed_body_without_a_boundary(server: TrialServer, content_type: str) -> None:
    response = server.client.post("/chat", content=b"x", headers={"Content-Type": content_type})

    refusal(response, 400, "malformed_body")


# 413


@pytest.mark.contract("RC-22")
def test_body_too_large_by_its_length(server: TrialServer) -> None:
    head = f"{HEAD}Content-Length: {12 * MIB}\n"

    answer, _ = raw_request(server, head, [])

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer


@pytest.mark.contract("RC-22")
def test_body_too_large_while_it_streams(server: TrialServer) -> None:
    head = HEAD + "Transfer-Encoding: chunked\n"
    opening = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'.encode()

    def endless() -> Iterator[bytes]:
        yield chunked(opening)
        yield from repeat(chunked(bytes(64 * 1024)), 16 * 1024)

    answer, sent = raw_request(server, head, endless())

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b'"code":"body_too_large"' in answer
    assert sent < 200 * MIB


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


@pytest.mark.contract("RC-22")
@pytest.mark.parametrize("kind", ["voice", "text"])
def test_audio_too_large(server: TrialServer, kind: str) -> None:
    with server.noting("scanner") as scanned:
        response = server.say(b"\x1a\x45\xdf\xa3" + bytes(10 * MIB), type=kind)

    refusal(response, 413, "audio_too_large")
    assert scanned == []


@pytest.mark.contract("RC-22")
def test_audio_of_exactly_the_limit_is_not_too_large(server: TrialServer) -> None:
    sound = b"\x1a\x45\xdf\xa3".ljust(10 * MIB, b"\0")

    refusal(server.say(sound), 422, "audio_undecodable")


# 415


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/mixed; boundary=x"])
def test_unsupported_media_type(server: TrialServer, content_type: str) -> None:
    response = server.client.post(
        "/chat", content=json.dumps(FORM).encode(), headers={"Content-Type": content_type}
    )

    refusal(response, 415, "unsupported_media_type")


def test_unsupported_media_type_when_none_is_named(server: TrialServer) -> None:
    refusal(server.client.post("/chat"), 415, "unsupported_media_type")


@pytest.mark.contract("RC-21")
@pytest.mark.parametrize(
    "label", ["audio/midi", "image/png", "text/plain", "application/zip", "audio", "*/*"]
)
def test_unsupported_audio_type_by_label(server: TrialServer, webm: bytes, label: str) -> None:
    refusal(server.say(webm, label), 415, "unsupported_audio_type")


@pytest.mark.contract("RC-21")
@pytest.mark.parametrize(
    ("container", "label"),
    [("webm", "audio/mpeg"), ("ogg", "audio/webm"), ("wav", "audio/ogg"), ("mp3", "audio/wav")],
)
def test_unsupported_audio_type_when_the_bytes_are_not_what_the_label_says(
    server: TrialServer, recordings: dict[str, bytes], container: str, label: str
) -> None:
    with server.noting("stt") as heard:
        refusal(server.say(recordings[container], label), 415, "unsupported_audio_type")
    assert heard == []


@pytest.mark.contract("RC-21")
@pytest.mark.parametrize("content", [b"MZ\x90\x00", b"\x89PNG\r\n\x1a\n", b"#!/bin/sh\n", b"<html>"])
def test_unsupported_audio_type_when_the_bytes_are_no_sound(server: TrialServer, content: bytes) -> None:
    refusal(server.say(content + bytes(1000), "audio/webm"), 415, "unsupported_audio_type")


# 422


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("message", None, "required"),
        ("username", None, "required"),
        ("message", "x" * 4097, "too_long"),
        ("sessionId", "x" * 129, "too_long"),
        ("userId", "x" * 129, "too_long"),
        ("username", "x" * 65, "too_long"),
        ("type", "fax", "invalid_choice"),
        ("sessionId", "a b", "invalid_characters"),
        ("userId", "a\tb", "invalid_characters"),
    ],
)
def test_invalid_request(server: TrialServer, field: str, value: str | None, code: str) -> None:
    errors = refusal(server.chat(**{field: value}), 422, "invalid_request")["errors"]

    assert [(error["field"], error["code"]) for error in errors] == [(field, code)]


def test_audio_required(server: TrialServer) -> None:
    refusal(server.chat(type="voice"), 422, "audio_required")


@pytest.mark.parametrize("container", ["webm", "ogg", "wav", "mp4", "flac"])
def test_audio_undecodable(server: TrialServer, recordings: dict[str, bytes], container: str) -> None:
    beginning = recordings[container][:12]

    refusal(server.say(beginning + b"\x55" * 3000, None), 422, "audio_undecodable")


@pytest.mark.contract("RC-22")
def test_audio_too_long(server: TrialServer) -> None:
    with server.noting("stt") as heard:
        refusal(server.say(silence(301), "audio/wav"), 422, "audio_too_long")
    assert heard == []


def test_no_speech(server: TrialServer, webm: bytes) -> None:
    with server.told(stt="nothing"), server.noting("llm") as asked:
        refusal(server.say(webm), 422, "no_speech")
    assert asked == []


def test_file_rejected(server: TrialServer, webm: bytes) -> None:
    with server.noting("stt") as heard:
        refusal(server.say(webm + EICAR), 422, "file_rejected")
    assert heard == []


# 429


@pytest.mark.contract("RC-12", "RC-49")
def test_session_busy_when_eight_already_wait(server: TrialServer) -> None:
    with ThreadPoolExecutor(10) as pool:
        with server.told(llm="hold"):
            requests = [pool.submit(server.chat, sessionId="busy") for _ in range(10)]
            until(lambda: any(request.done() for request in requests), "the tenth request is refused")
        responses = [request.result() for request in requests]

    refused = [response for response in responses if response.status_code != 200]
    assert len(refused) == 1
    refusal(refused[0], 429, "session_busy")


# 500


@pytest.mark.contract("RC-50")
def test_internal_error(server: TrialServer) -> None:
    with server.told(llm="raise"):
        body = refusal(server.chat(), 500, "internal_error")

    assert body["detail"] == "Something went wrong on the server."
    lines = server.output().splitlines()
    assert any("secret-123" in line for line in lines)
    assert any(body["request_id"] in line and " - ERROR - " in line for line in lines)


@pytest.mark.contract("RC-50")
def test_internal_error_of_a_recogniser(server: TrialServer, webm: bytes) -> None:
    with server.told(stt="raise"):
        refusal(server.say(webm), 500, "internal_error")


# 502, 503, 504


@pytest.mark.contract("RC-50")
@pytest.mark.parametrize("mode", ["fail", "break"])
def test_llm_failed(server: TrialServer, mode: str) -> None:
    with server.told(llm=mode):
        refusal(server.chat(), 502, "llm_failed")


def test_llm_failed_in_a_voice_message(server: TrialServer, webm: bytes) -> None:
    before = server.clips()
    with server.told(llm="break"):
        refusal(server.say(webm), 502, "llm_failed")
    assert server.clips() == before


def test_stt_failed(server: TrialServer, webm: bytes) -> None:
    with server.told(stt="fail"), server.noting("llm") as asked:
        refusal(server.say(webm), 502, "stt_failed")
    assert asked == []


def test_scanner_unavailable(server: TrialServer, webm: bytes) -> None:
    with server.told(scanner="down"), server.noting("stt") as heard:
        refusal(server.say(webm), 503, "scanner_unavailable")
    assert heard == []


@pytest.mark.parametrize("mode", ["down", "read only"])
def test_store_unavailable(server: TrialServer, mode: str) -> None:
    with server.told(store=mode):
        refusal(server.chat(), 503, "store_unavailable")


def test_llm_timeout(impatient: TrialServer) -> None:
    with impatient.told(llm="hang"), impatient.noting("llm") as happened:
        refusal(impatient.chat(), 504, "llm_timeout")
    assert [note["event"] for note in happened] == ["asked", "closed"]


def test_stt_timeout(impatient: TrialServer, webm: bytes) -> None:
    with impatient.told(stt="hang"):
        refusal(impatient.say(webm), 504, "stt_timeout")


# What no input may do


@pytest.mark.contract("RC-21", "RC-24", "RC-44")
@pytest.mark.parametrize("container", ["webm", "ogg", "wav", "mp3", "mp4", "aac", "flac"])
def test_cut_and_scrambled_recordings_are_never_a_server_error(
    server: TrialServer, recordings: dict[str, bytes], container: str
) -> None:
    chance = random.Random(container)
    sound = recordings[container]
    for length in (1, 4, 13, len(sound) // 3, len(sound) // 2, len(sound) - 1):
        scrambled = bytearray(sound[:length])
        for _ in range(length // 50):
            scrambled[chance.randrange(length)] = chance.randrange(256)
        for damaged in (sound[:length], bytes(scrambled)):
            assert server.say(damaged, None).status_code in (200, 415, 422)


@pytest.mark.contract("RC-21", "RC-24")
def test_random_bytes_are_never_a_server_error(server: TrialServer) -> None:
    chance = random.Random(3)
    for size in (1, 100, 10_000, 2 * MIB):
        refusal(server.say(chance.randbytes(size), None), 415, "unsupported_audio_type")


@pytest.mark.contract("RC-24")
def test_an_upload_that_is_broken_off_leaves_nothing(server: TrialServer) -> None:
    head = f"{HEAD}Content-Length: {9 * MIB}\n"
    opening = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="audio"; filename="x"\r\n\r\n'.encode()

    broken_off(server, head, opening + bytes(3 * MIB))

    assert server.leftovers() == []
    assert server.chat().status_code == 200


def broken_off(server: TrialServer, head: str, body: bytes) -> None:
    """Hang up in the middle of a request."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n" + body)


@pytest.mark.contract("RC-50")
@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/chat", 405, "method_not_allowed"),
        ("DELETE", "/audio/x", 405, "method_not_allowed"),
    ],
)
def test_errors_of_the_framework_have_the_same_shape(
    server: TrialServer, method: str, path: str, status: int, code: str
) -> None:
    refusal(server.client.request(method, path), status, code)


# The order of checks, section 3.3: each request is wrong in two ways and hears of the earlier one.


def test_a_form_is_checked_before_the_size_of_its_sound(server: TrialServer) -> None:
    refusal(server.say(bytes(10 * MIB + 1), userId=None), 422, "invalid_request")


def test_the_type_of_the_body_is_checked_before_the_user(guarded: TrialServer) -> None:
    refusal(guarded.client.post("/chat", json=FORM), 415, "unsupported_media_type")


def test_the_user_is_checked_before_the_form(guarded: TrialServer) -> None:
    refusal(guarded.chat(userId=None, type="fax"), 401, "not_authenticated")


def test_the_form_is_checked_before_whose_it_is(guarded: TrialServer) -> None:
    headers = {"Authorization": "Bearer token-of-0xabc"}

    refusal(guarded.chat(userId="0xdef", type="fax", headers=headers), 422, "invalid_request")
