"""A message of a user, checked, as it came by the form or by a WebSocket."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from jackfield.audio.sniff import matches_label, pcm_rate_hz, sniff
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import ConversationRef
from jackfield.errors import ProtocolError
from jackfield.sockets import offered_token
from jackfield.text import printable
from jackfield.web.chat_form import TEXT_FIELDS, ChatForm
from jackfield.web.form import Form, Part
from jackfield_transport_smart_proxy.answers import loop
from jackfield_transport_smart_proxy.upstream import Outgoing

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

_HOP_HEADER: Final = "X-Jackfield-Hop"
_MAX_HOPS: Final = 3
_HOPS: Final = re.compile(r"\d{1,4}")
_LABEL: Final = re.compile(r"[\x20-\x7e]{0,200}")


@dataclass(frozen=True, slots=True)
class Way:
    """How a message came, for the server that it is passed on to."""

    request_id: str
    address: str
    authorization: str = field(repr=False)
    """The header as it came; empty without one."""
    hops: int
    """Proxies of this kind that it has passed."""

    def headers(self) -> dict[str, str]:
        """The headers that go with it: no cookie, no host, nothing of the connection."""
        found = {
            "X-Request-Id": self.request_id,
            "X-Forwarded-For": self.address,
            "Authorization": self.authorization,
            _HOP_HEADER: str(self.hops + 1),
        }
        return {name: value for name, value in found.items() if value}


def way_of(connection: HTTPConnection, panel: Panel) -> Way:
    """Tell how a request, or a WebSocket, came.

    :raises ProtocolError: 508 `proxy_loop` for what has passed too many proxies.
    """
    told = connection.headers.get(_HOP_HEADER, "")
    hops = int(told) if _HOPS.fullmatch(told) else 0
    if hops >= _MAX_HOPS:
        raise loop()
    client = connection.client
    return Way(panel.request_id(connection), client.host if client else "", _authorization(connection), hops)


def _authorization(connection: HTTPConnection) -> str:
    token = offered_token(connection)
    return connection.headers.get("authorization") or (f"Bearer {token}" if token else "")


@dataclass(frozen=True, slots=True)
class Asked:
    """A message, who it is from, and what of it is passed on."""

    form: ChatForm
    conversation: ConversationRef
    texts: Mapping[str, str] = field(repr=False)
    """The text fields as the client wrote them, without control characters."""
    way: Way

    def outgoing(self) -> Outgoing:
        """The message as it is passed on."""
        return Outgoing(self.texts, self.form.audio, self.way.headers())


def texts_of(form: Form) -> dict[str, str]:
    """Give the text fields of a form that was checked."""
    return {name: printable(form[name].data.decode()) for name in TEXT_FIELDS if name in form}


def checked_audio(form: ChatForm) -> ChatForm:
    """Refuse a recording that no server of this form takes; the name of its file is cleaned.

    :raises ProtocolError: 413 `audio_too_large`, 415 `unsupported_audio_type`.
    """
    form.check_audio_size()
    if form.audio is None:
        return form
    if form.type == "voice":
        _check_type(form.audio)
    label = form.audio.media_type if _LABEL.fullmatch(form.audio.media_type) else ""
    name = " ".join(printable(form.audio.filename).split())
    return replace(form, audio=replace(form.audio, media_type=label, filename=name or "audio"))


def _check_type(audio: Part) -> None:
    if pcm_rate_hz(audio.media_type) is not None:
        return
    container = sniff(bytes(audio.data[:12]))
    known = container is not None and matches_label(audio.media_type, container)
    if not known or not _LABEL.fullmatch(audio.media_type):
        raise ProtocolError(415, "unsupported_audio_type", "This type of recording is not accepted.")
