"""Reading a form: what is kept, what is dropped, what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from jackfield import ProtocolError
from jackfield.web.form import Form, read_form

pytestmark = pytest.mark.anyio

LIMITS = {"message": 20, "audio": 1000}
MULTIPART = "multipart/form-data; boundary=frontier"
URLENCODED = "application/x-www-form-urlencoded"


def request(chunks: Iterable[bytes], content_type: str | None) -> Request:
    messages: Iterator[Message] = iter(
        [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
    )

    async def receive() -> Message:
        return next(messages, {"type": "http.request", "body": b"", "more_body": False})

    headers = [] if content_type is None else [(b"content-type", content_type.encode("latin-1"))]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive)


async def read(body: bytes, content_type: str | None = MULTIPART, chunk_bytes: int = 65536) -> Form:
    chunks = (body[at : at + chunk_bytes] for at in range(0, len(body), chunk_bytes))
    return await read_form(request(chunks, content_type), LIMITS)


def part(name: str, data: bytes, *more_headers: str, filename: str | None = None) -> bytes:
    disposition = f'Content-Disposition: form-data; name="{name}"'
    if filename is not None:
        disposition += f'; filename="{filename}"'
    headers = "\r\n".join([disposition, *more_headers])
    return b"--frontier\r\n" + headers.encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--frontier--\r\n"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65536])
async def test_a_multipart_form_is_the_same_however_it_is_cut(chunk_bytes: int) -> None:
    sound = bytes(range(256)) + b"\r\n--frontie\r\n--frontierx"
    body = part("message", "Grüße".encode()) + part("audio", sound, "Content-Type: audio/webm", filename="x")

    form = await read(body + END, chunk_bytes=chunk_bytes)

    assert form["message"].data.decode() == "Grüße"
    assert form["audio"].data == sound
    assert form["audio"].media_type == "audio/webm"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 65536])
async def test_an_urlencoded_form_is_the_same_however_it_is_cut(chunk_bytes: int) -> None:
    body = b"x=1&message=a+b%2Bc%26%C3%BC&&flag"

    form = await read(body, URLENCODED + "; charset=UTF-8", chunk_bytes=chunk_bytes)

    assert form["message"].data.decode() == "a b+c&ü"
    assert set(form) == {"message"}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (part("message", b"x" * 21) + part("audio", b"y" * 1001) + END, MULTIPART),
        (b"message=" + b"x" * 21 + b"&audio=" + b"y" * 1001, URLENCODED),
        (b"message=" + b"%41" * 5000 + b"&audio=" + b"y" * 5000, URLENCODED),
    ],
)
async def test_what_is_over_a_limit_is_dropped_and_marked(body: bytes, content_type: str) -> None:
    form = await read(body, content_type, chunk_bytes=10)

    assert {name: (len(found.data), found.cut) for name, found in form.items()} == {
        "message": (20, True),
        "audio": (1000, True),
    }


async def test_what_is_just_at_a_limit_is_whole() -> None:
    form = await read(part("message", b"x" * 20) + END)

    assert not form["message"].cut


async def test_fields_that_nobody_asked_for_are_dropped() -> None:
    assert await read(part("other", b"x" * 5000) + END) == {}


async def test_the_last_of_several_fields_of_a_name_counts() -> None:
    form = await read(part("message", b"first") + part("message", b"last") + END)

    assert form["message"].data == b"last"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", MULTIPART),
        (b"\x00\xff\xfe random", MULTIPART),
        (part("message", b"hello"), MULTIPART),
        (part("audio", b"cut in the midd")[:-3], MULTIPART),
        (b"--frontier\r\n\r\nno name\r\n" + END, MULTIPART),
        (b'--frontier\r\nContent-Disposition: form-data; filename="x"\r\n\r\n\r\n' + END, MULTIPART),
        (b"--frontier\r\nbad header\r\n\r\n\r\n" + END, MULTIPART),
        (part("message", b"", "X: " + "y" * 100_000) + END, MULTIPART),
        (part("message", b"", *[f"X-{n}: y" for n in range(1000)]) + END, MULTIPART),
        (part("message", b"hello") + END, "multipart/form-data"),
        (part("message", b"hello") + END, 'multipart/form-data; boundary=""'),
        (part("message", b"hello") + END, "multipart/form-data; boundary=" + "b" * 1000),
        (part("message", b"hello") + END, "multipart/form-data; boundary=another"),
        (b"".join(part(f"f{n}", b"") for n in range(101)) + END, MULTIPART),
        (b"&".join(b"f%d=" % n for n in range(101)), URLENCODED),
    ],
)
async def test_a_body_that_cannot_be_read_is_malformed(body: bytes, content_type: str) -> None:
    with pytest.raises(ProtocolError) as refused:
        await read(body, content_type)

    assert (refused.value.status, refused.value.code) == (400, "malformed_body")


@pytest.mark.parametrize("content_type", [None, "", "application/json", "text/plain", "multipart/mixed", "x"])
async def test_a_body_that_is_no_form_is_not_read(content_type: str | None) -> None:
    with pytest.raises(ProtocolError) as refused:
        await read(b"{}", content_type)

    assert (refused.value.status, refused.value.code) == (415, "unsupported_media_type")


async def test_the_label_of_the_type_may_be_in_capitals() -> None:
    assert await read(END, "Multipart/Form-Data; Boundary=frontier") == {}


@pytest.mark.parametrize(("sent", "kept"), [("voice.webm", "voice.webm"), (None, "")])
async def test_a_part_knows_what_its_sender_calls_the_file(sent: str | None, kept: str) -> None:
    form = await read(part("audio", b"x", filename=sent) + END)
    assert form["audio"].filename == kept
