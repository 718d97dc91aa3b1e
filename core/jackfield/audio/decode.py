"""Recordings in, PCM out. The bytes come from strangers, so nothing in them is believed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.sniff import Container, sniff
from jackfield.errors import JackfieldError

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.container import InputContainer

_DEMUXERS: Final[dict[Container, str]] = {
    "webm": "matroska",
    "ogg": "ogg",
    "wav": "wav",
    "mp3": "mp3",
    "mp4": "mov",
    "aac": "aac",
    "flac": "flac",
}
# FFmpeg left to itself also knows playlists, which name further files and addresses, and hundreds of
# decoders that no recorder uses. So the demuxer is fixed and everything else is shut out.
_DECODERS: Final = frozenset(
    [
        *("opus", "libopus", "vorbis", "mp3float", "mp3", "aac", "alac", "flac"),
        *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw"),
    ]
)
_OPEN_OPTIONS: Final = {"protocol_whitelist": "none", "codec_whitelist": ",".join(sorted(_DECODERS))}
# A resampler from an absurd rate would take gigabytes for its filter.
_MIN_SOURCE_HZ: Final = 4_000
_MAX_SOURCE_HZ: Final = 384_000


class Undecodable(JackfieldError):
    """Raised for bytes that are no recording, or one that is too damaged to hear."""


class AudioTooLong(JackfieldError):
    """Raised for a recording that lasts longer than is allowed."""


def decode(data: bytes, *, rate_hz: int = 16_000, max_s: float) -> bytes:
    """Decode a recording to PCM, signed 16-bit little-endian, mono, at `rate_hz`.

    A recording that was cut off gives what is there. Blocks: call it in a worker thread. Never holds
    more than about `max_s` seconds of sound, however much the bytes unpack to.

    :raises Undecodable: when no sound comes out, or most of it is damaged.
    :raises AudioTooLong: when it lasts longer than `max_s` seconds.
    """
    import av

    container = sniff(data)
    if container is None:
        raise Undecodable("The bytes are no recording in a known container.")
    try:
        with av.open(
            io.BytesIO(data),
            "r",
            format=_DEMUXERS[container],
            options=_OPEN_OPTIONS,
            metadata_errors="replace",
        ) as source:
            pcm = _read(source, rate_hz, max_s)
    except (av.FFmpegError, ValueError, OverflowError) as error:
        raise Undecodable(f"The {container} recording cannot be decoded ({type(error).__name__}).") from error
    if not pcm:
        raise Undecodable(f"The {container} recording holds no sound.")
    return pcm


def _read(source: InputContainer, rate_hz: int, max_s: float) -> bytes:
    from av.audio.resampler import AudioResampler

    if not source.streams.audio:
        raise Undecodable("The recording has no sound track.")
    context: AudioCodecContext | None = source.streams.audio[0].codec_context  # None: no such decoder
    decoder = context.name if context else "unknown"
    if decoder not in _DECODERS:
        raise Undecodable(f"The recording's codec, {decoder}, is not one that recorders use.")
    resampler = AudioResampler(format="s16", layout="mono", rate=rate_hz)
    pcm = bytearray()
    heard_s = 0.0
    for frame in _frames(source):
        if not _MIN_SOURCE_HZ <= frame.sample_rate <= _MAX_SOURCE_HZ:
            raise Undecodable(f"The recording's rate, {frame.sample_rate} Hz, is out of bounds.")
        heard_s += frame.samples / frame.sample_rate
        if heard_s > max_s:
            raise AudioTooLong(f"The recording is longer than {max_s:g} s.")
        pcm += _resampled(resampler, frame)
    if heard_s:
        pcm += _resampled(resampler, None)
    return bytes(pcm)


def _frames(source: InputContainer) -> Iterator[AudioFrame]:
    """Yield what can be decoded; damaged packets are skipped, unless most of them are."""
    import av

    good = bad = 0
    for packet in source.demux(source.streams.audio[0]):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            bad += 1
            continue
        good += bool(frames)
        yield from frames
    if bad > good:
        raise Undecodable(f"{bad} of {good + bad} packets of the recording are damaged.")


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> bytes:
    """Push one frame through; None gives what the filter still holds."""
    return b"".join(
        bytes(out.planes[0])[: out.samples * WIDTH_BYTES]  # planes are padded
        for out in resampler.resample(frame)
    )
