"""PCM in, a file out: MP3, Opus in Ogg or WebM, or WAV."""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from typing import Final, Literal

from jackfield.audio.pcm import WIDTH_BYTES

ClipFormat = Literal["mp3", "ogg", "wav"]
"""A format in which spoken answers are stored; also the extension of the file."""

FileFormat = ClipFormat | Literal["webm"]
"""A format in which sound can be written; also the extension of the file."""


@dataclass(frozen=True, slots=True)
class _Encoder:
    codec: Literal["libmp3lame", "libopus"]
    bit_rate: int


_ENCODERS: Final[dict[FileFormat, _Encoder]] = {
    "mp3": _Encoder("libmp3lame", 64_000),
    "ogg": _Encoder("libopus", 32_000),
    "webm": _Encoder("libopus", 32_000),
}

_MIN_S: Final = 0.02
"""Encoders write nothing at all for less than a frame; silence makes one of it."""


def can_encode(container: FileFormat) -> bool:
    """Whether this installation has an encoder for the format. WAV needs none."""
    if container == "wav":
        return True
    try:
        from av.codec.codec import Codec, UnknownCodecError
    except ImportError:
        return False
    try:
        Codec(_ENCODERS[container].codec, "w")
    except UnknownCodecError:
        return False
    return True


def encode(pcm: bytes, rate_hz: int, container: FileFormat) -> bytes:
    """Compress PCM (signed 16-bit little-endian, mono) into a whole file.

    A rate that the encoder does not know becomes the next higher one that it does. Blocks: call it in a
    worker thread.

    :raises ValueError: when there is no sound, or not a whole number of samples.
    """
    if not pcm or len(pcm) % WIDTH_BYTES:
        raise ValueError(f"encode() needs a whole number of samples, at least one; got {len(pcm)} bytes")
    return _wav(pcm, rate_hz) if container == "wav" else _compressed(pcm, rate_hz, container)


def _wav(pcm: bytes, rate_hz: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(WIDTH_BYTES)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


def _compressed(pcm: bytes, rate_hz: int, container: FileFormat) -> bytes:
    import av
    import numpy as np

    encoder = _ENCODERS[container]
    pcm = pcm.ljust(int(_MIN_S * rate_hz) * WIDTH_BYTES, b"\0")
    rates = av.Codec(encoder.codec, "w").audio_rates or [rate_hz]
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    file = io.BytesIO()
    with av.open(file, "w", format=container) as target:
        target_hz = min((rate for rate in rates if rate >= rate_hz), default=max(rates))
        stream = target.add_stream(encoder.codec, rate=target_hz, layout="mono")
        stream.bit_rate = encoder.bit_rate
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return file.getvalue()
