"""Sound from one rate to another while it still comes in."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, cast

from jackfield.audio.pcm import WIDTH_BYTES

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.filter.graph import Graph

# FFmpeg would build a filter of gigabytes for an absurd pair of rates.
_MIN_HZ: Final = 4_000
_MAX_HZ: Final = 192_000


class Resampler:
    """Changes the rate of a stream of PCM: signed 16-bit little-endian, mono, in whole samples.

    It holds back two milliseconds of sound at the most, until `flush`; how the sound is cut into feeds
    makes no difference. A stream shorter than those two milliseconds may come to nothing. Equal rates pass
    through untouched. One stream each; not for several threads.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """:raises ValueError: for a rate outside 4 000 to 192 000 samples a second."""
        for rate_hz in (from_hz, to_hz):
            if not _MIN_HZ <= rate_hz <= _MAX_HZ:
                raise ValueError(f"Resampler needs rates from {_MIN_HZ} to {_MAX_HZ} Hz; got {rate_hz}")
        self._passes = from_hz == to_hz
        self._from_hz = from_hz
        self._to_hz = to_hz
        self._fed = False
        if self._passes:
            return
        from av.audio.frame import AudioFrame

        self._new_frame = partial(AudioFrame, format="s16", layout="mono", align=1)
        self._filter = _new_filter(from_hz, to_hz)

    def feed(self, pcm: bytes) -> bytes:
        """Take the next sound; gives what is ready of it at the new rate, perhaps nothing.

        :raises ValueError: when it is not a whole number of samples.
        """
        if self._passes or not pcm:
            return pcm
        samples, rest_bytes = divmod(len(pcm), WIDTH_BYTES)
        if rest_bytes:
            raise ValueError(f"feed() needs whole samples of {WIDTH_BYTES} bytes; got {len(pcm)} bytes")
        frame = self._new_frame(samples=samples)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._from_hz
        self._fed = True
        self._filter.push(frame)
        return _pulled(self._filter)

    def flush(self) -> bytes:
        """Give the sound that was held back; the next `feed` begins a new stream."""
        if not self._fed:
            return b""
        self._filter.push(None)
        rest = _pulled(self._filter)
        self._filter = _new_filter(self._from_hz, self._to_hz)
        self._fed = False
        return rest


def resample(pcm: bytes, from_hz: int, to_hz: int) -> bytes:
    """Change the rate of a whole sound. Takes about a millisecond for each second of it.

    :raises ValueError: as `Resampler` does.
    """
    resampler = Resampler(from_hz, to_hz)
    return resampler.feed(pcm) + resampler.flush()


def _new_filter(from_hz: int, to_hz: int) -> Graph:
    # What av.AudioResampler does, but for the threads: that starts as many as there are processor cores,
    # none of them of any use, for each stream.
    from av.filter.graph import Graph

    graph = Graph()
    graph.threads = 1
    source = graph.add("abuffer", sample_rate=str(from_hz), sample_fmt="s16", channel_layout="mono")
    change = graph.add("aresample", str(to_hz))
    form = graph.add("aformat", sample_fmts="s16", channel_layouts="mono")
    graph.link_nodes(source, change, form, graph.add("abuffersink")).configure()
    return graph


def _pulled(graph: Graph) -> bytes:
    pieces: list[bytes] = []
    while True:
        try:
            frame = cast("AudioFrame", graph.pull())  # a graph of sound gives no pictures
        except (BlockingIOError, EOFError):  # it wants more sound; all has been flushed
            return b"".join(pieces)
        pieces.append(bytes(memoryview(frame.planes[0])[: frame.samples * WIDTH_BYTES]))  # planes are padded
