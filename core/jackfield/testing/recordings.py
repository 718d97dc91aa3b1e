"""Recordings as clients send them: sound in the containers and codecs that browsers and phones write."""

from __future__ import annotations

import io
from typing import Final, Literal

from jackfield.audio.sniff import Container

_Codec = Literal["libopus", "pcm_s16le", "libmp3lame", "aac", "flac"]

# Container to FFmpeg's name of it, and the codec inside.
_FORMATS: Final[dict[Container, tuple[str, _Codec]]] = {
    "webm": ("webm", "libopus"),
    "ogg": ("ogg", "libopus"),
    "wav": ("wav", "pcm_s16le"),
    "mp3": ("mp3", "libmp3lame"),
    "mp4": ("mp4", "aac"),
    "aac": ("adts", "aac"),
    "flac": ("flac", "flac"),
}


def record(pcm: bytes, container: Container, *, rate_hz: int = 48_000) -> bytes:
    """Make a recording of PCM, signed 16-bit little-endian, mono, at a rate that the codec knows."""
    import av
    import numpy as np

    muxer, codec = _FORMATS[container]
    frame = av.AudioFrame.from_ndarray(np.frombuffer(pcm, "<i2").reshape(1, -1), format="s16", layout="mono")
    frame.sample_rate = rate_hz
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as target:
        stream = target.add_stream(codec, rate=rate_hz, layout="mono")
        target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    return file.getvalue()
