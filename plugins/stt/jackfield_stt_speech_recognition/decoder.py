"""The program that listens: PocketSphinx in a process of its own, one utterance after the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from pocketsphinx import Decoder, Segment, Vad  # type: ignore[import-untyped]  # it publishes no types

from jackfield.processes import Abandoned, Answer, CannotStart, Fields, Handle, serve

_RATE_HZ: Final = 16_000
_SAMPLE_BYTES: Final = 2
_PART_BYTES: Final = 3_200
_FRAMES_PER_S: Final = 100
_MARGIN_FRAMES: Final = 17
"""Half a second around what the detector of speech takes for it; it misses faint beginnings."""
_LEAST_FRAMES: Final = 5
"""What is shorter is no word: the detector takes whatever it hears first for speech."""


class Listener:
    """A decoder with its model, kept for all utterances."""

    def __init__(self, model: Fields) -> None:
        # Without its second pass, and with fewer guesses at a time, it errs no more, and is done when the
        # sound is: the second pass alone takes 3 s after 44 s of sound, and cannot be stopped.
        self._decoder = Decoder(samprate=_RATE_HZ, loglevel="FATAL", fwdflat=False, maxhmmpf=3_000, **model)
        self._mean = self._decoder.get_cmn(False)

    def handle(self, _request: Fields, pcm: bytes, abandoned: Abandoned) -> Answer:
        start, end = _speech(pcm)
        words = list(self._heard(pcm[start:end], abandoned)) if start < end else []
        if not words:
            return {"text": "", "start_s": 0.0, "end_s": 0.0}, b""
        offset_s = start / _SAMPLE_BYTES / _RATE_HZ
        return {
            "text": " ".join(word.word.partition("(")[0] for word in words),
            "start_s": offset_s + words[0].start_frame / _FRAMES_PER_S,
            "end_s": offset_s + (words[-1].end_frame + 1) / _FRAMES_PER_S,
        }, b""

    def _heard(self, pcm: bytes, abandoned: Abandoned) -> Iterator[Segment]:
        """Yield the words of the sound."""
        decoder = self._decoder
        decoder.set_cmn(self._mean)  # else it would begin with the loudness of another speaker
        decoder.start_utt()
        try:
            for at in range(0, len(pcm), _PART_BYTES):
                if abandoned():
                    return
                decoder.process_raw(pcm[at : at + _PART_BYTES], False, False)
        finally:
            decoder.end_utt()
        if decoder.hyp() is not None:
            yield from (segment for segment in decoder.seg() if _is_word(segment))


def _speech(pcm: bytes) -> tuple[int, int]:
    """Bytes at which speech begins and ends, with a margin: the decoder is slow in silence."""
    detector = Vad(Vad.MEDIUM_STRICT, _RATE_HZ, 0.03)
    size = detector.frame_bytes
    frames = (pcm[at : at + size] for at in range(0, len(pcm) - size + 1, size))
    spoken: list[int] = []
    for speaks, run in groupby(enumerate(frames), lambda frame: detector.is_speech(frame[1])):
        numbers = [number for number, _ in run]
        if speaks and len(numbers) >= _LEAST_FRAMES:
            spoken += numbers
    if not spoken:
        return 0, 0
    return max(0, spoken[0] - _MARGIN_FRAMES) * size, (spoken[-1] + 1 + _MARGIN_FRAMES) * size


def _is_word(segment: Segment) -> bool:
    return not segment.word.startswith(("<", "[", "+"))


def _start(settings: Fields) -> tuple[Fields, Handle]:
    try:
        return {}, Listener(settings).handle
    except (RuntimeError, ValueError) as error:
        raise CannotStart(f"PocketSphinx cannot load the model: {error}", "Check its files.") from error


if __name__ == "__main__":
    serve(_start)
