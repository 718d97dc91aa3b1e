"""Reading a form off the wire: multipart or urlencoded, in memory, with a limit on every field.

No temporary file is made: the whole body is bounded by the server, and a recording has to be in memory to
be decoded anyway. What is over a field's limit is read and dropped, so that the order of a request's
checks does not depend on how fast it comes in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, QuerystringParser, parse_options_header
from starlette.requests import Request

from jackfield.errors import ProtocolError

MULTIPART: Final = "multipart/form-data"
URLENCODED: Final = "application/x-www-form-urlencoded"

_MAX_FIELDS: Final = 100
_MAX_NAME_BYTES: Final = 128
_PERCENT_ENCODED_BYTES: Final = 3
"""Bytes that one byte may take in an urlencoded form."""


@dataclass(slots=True)
class Part:
    """One field as it was sent. `data` is cut at the field's limit, and `cut` says whether it was."""

    max_bytes: int
    data: bytearray = field(default_factory=bytearray, repr=False)
    media_type: str = ""
    cut: bool = False
    filename: str = field(default="", repr=False)
    """What the client calls the file. Never to be used as a path."""

    def add(self, data: bytes) -> None:
        left = self.max_bytes - len(self.data)
        self.cut = self.cut or len(data) > left
        self.data += data[:left]


Form = dict[str, Part]


class _Reader(Protocol):
    form: Form

    def write(self, data: bytes) -> None: ...

    def finish(self) -> None: ...


def media_type(request: Request) -> tuple[str, Mapping[bytes, bytes]]:
    """Give the body's type and its parameters.

    :raises ProtocolError: 415 `unsupported_media_type` for a body that is no form.
    """
    name, parameters = parse_options_header(request.headers.get("content-type"))
    kind = name.decode("latin-1")
    if kind not in (MULTIPART, URLENCODED):
        detail = f"Send the form as {MULTIPART} or {URLENCODED}."
        raise ProtocolError(415, "unsupported_media_type", detail)
    return kind, parameters


async def read_form(request: Request, max_bytes: Mapping[str, int]) -> Form:
    """Read the fields named in `max_bytes`, of which the last of a name counts; others are dropped.

    :raises ProtocolError: 400 `malformed_body`, 415 `unsupported_media_type`, and what the server raises
        while the body comes in.
    """
    kind, parameters = media_type(request)
    try:
        reader: _Reader
        if kind == MULTIPART:
            reader = _MultipartReader(parameters.get(b"boundary", b""), max_bytes)
        else:
            reader = _UrlencodedReader(max_bytes)
        async for chunk in request.stream():
            reader.write(chunk)
        reader.finish()
    except FormParserError as error:
        raise _malformed("The form cannot be read.") from error
    return reader.form


def _malformed(detail: str) -> ProtocolError:
    return ProtocolError(400, "malformed_body", detail)


class _MultipartReader:
    """Collects the parts of a multipart body."""

    def __init__(self, boundary: bytes, max_bytes: Mapping[str, int]) -> None:
        if not boundary:
            raise _malformed("The form's content type names no boundary.")
        self.form: Form = {}
        self._max_bytes = max_bytes
        self._parts = 0
        self._part: Part | None = None
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_begin": self._begin_header,
                "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": self._add,
                "on_end": self._end,
            },
        )

    def write(self, data: bytes) -> None:
        self._parser.write(data)

    def finish(self) -> None:
        if not self._ended:
            raise _malformed("The form ends before its last boundary.")

    def _begin(self) -> None:
        self._parts += 1
        if self._parts > _MAX_FIELDS:
            raise _malformed(f"The form has more than {_MAX_FIELDS} fields.")
        self._part = None
        self._headers = {}

    def _begin_header(self) -> None:
        self._header_name.clear()
        self._header_value.clear()

    def _end_header(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)

    def _open(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        if b"name" not in options:
            raise _malformed("A part of the form has no name.")
        name = options[b"name"].decode("utf-8", "replace")
        if name in self._max_bytes:
            label = self._headers.get(b"content-type", b"").decode("latin-1")
            filename = options.get(b"filename", b"").decode("utf-8", "replace")
            self._part = self.form[name] = Part(self._max_bytes[name], media_type=label, filename=filename)

    def _add(self, data: bytes, start: int, end: int) -> None:
        if self._part is not None:
            self._part.add(data[start:end])

    def _end(self) -> None:
        self._ended = True


class _UrlencodedReader:
    """Collects the fields of an urlencoded body."""

    def __init__(self, max_bytes: Mapping[str, int]) -> None:
        self.form: Form = {}
        self._max_bytes = max_bytes
        self._fields = 0
        self._name = Part(_MAX_NAME_BYTES)
        self._value = Part(0)
        self._widest = max(max_bytes.values()) * _PERCENT_ENCODED_BYTES
        self._parser = QuerystringParser(
            {
                "on_field_start": self._begin,
                "on_field_name": lambda data, start, end: self._name.add(data[start:end]),
                "on_field_data": lambda data, start, end: self._value.add(data[start:end]),
                "on_field_end": self._end,
            }
        )

    def write(self, data: bytes) -> None:
        self._parser.write(data)

    def finish(self) -> None:
        self._parser.finalize()

    def _begin(self) -> None:
        self._fields += 1
        if self._fields > _MAX_FIELDS:
            raise _malformed(f"The form has more than {_MAX_FIELDS} fields.")
        self._name = Part(_MAX_NAME_BYTES)
        self._value = Part(self._widest)

    def _end(self) -> None:
        name = _unquote(self._name.data).decode("utf-8", "replace")
        if name in self._max_bytes:
            part = Part(self._max_bytes[name], cut=self._value.cut)
            part.add(_unquote(self._value.data))
            self.form[name] = part


def _unquote(data: bytearray) -> bytes:
    return unquote_to_bytes(bytes(data.replace(b"+", b" ")))
