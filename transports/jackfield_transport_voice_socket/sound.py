"""Formats of sound: from a client's message to PCM, and from PCM to messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from jackfield.audio.decode import Undecodable
from jackfield.audio.opus import OpusDecoder, OpusEncoder
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.errors import FieldError, ProtocolError
from jackfield.web.call_commands import invalid
from jackfield_transport_voice_socket.commands import AudioFormat, OpusFormat
from jackfield_transport_voice_socket.events import SoundFormat

_OPUS_OUT_HZ: Final = 24_000
"""Voices seldom have more."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """What a client sends. `decode` raises `Undecodable` for a message that is no sound."""

    rate_hz: int
    decode: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What a client wants to get."""

    rate_hz: int
    encode: Callable[[bytes], Sequence[bytes]]


def incoming(wanted: AudioFormat) -> Incoming:
    """Make the way in.

    :raises ProtocolError: 422 `invalid_message` where this server has no decoder.
    """
    if not isinstance(wanted, OpusFormat):
        return Incoming(wanted.rate_hz, _whole_samples)
    try:
        return Incoming(OpusDecoder.rate_hz, OpusDecoder().decode)
    except ImportError:
        raise _no_opus("audio_in") from None


def outgoing(wanted: AudioFormat) -> Outgoing:
    """Make the way out.

    :raises ProtocolError: 422 `invalid_message` where this server has no encoder.
    """
    if not isinstance(wanted, OpusFormat):
        return Outgoing(wanted.rate_hz, _as_it_is)
    try:
        return Outgoing(_OPUS_OUT_HZ, OpusEncoder(_OPUS_OUT_HZ).encode)
    except ImportError:
        raise _no_opus("audio_out") from None


def shown(wanted: AudioFormat | None) -> SoundFormat | None:
    """Give a format as `started` tells it."""
    if wanted is None:
        return None
    if isinstance(wanted, OpusFormat):
        return {"format": "opus"}
    return {"format": wanted.format, "rate_hz": wanted.rate_hz}


def _whole_samples(data: bytes) -> bytes:
    if not data or len(data) % WIDTH_BYTES:
        raise Undecodable(f"{len(data)} bytes are no whole number of samples of {WIDTH_BYTES} bytes.")
    return data


def _as_it_is(pcm: bytes) -> Sequence[bytes]:
    return (pcm,)


def _no_opus(field: str) -> ProtocolError:
    message = "This server cannot do Opus; ask for pcm_s16le. Its operator can install jackfield[audio]."
    return invalid(FieldError(f"{field}.format", "invalid_choice", message))
