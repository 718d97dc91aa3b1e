"""A loaded model, and how it is asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from anyio import from_thread

from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings
from jackfield_stt_faster_whisper.options import FasterWhisperOptions

if TYPE_CHECKING:
    import numpy as np
    from faster_whisper import WhisperModel  # type: ignore[import-untyped]  # it publishes no types
    from numpy.typing import NDArray

_SHORT_S: Final = 9.0
_SHORT_FRAMES: Final = (700, 1_000)
"""Frames of 10 ms that the encoder sees of a short utterance at least and at most, instead of 3000."""
_TAIL_FRAMES: Final = 300
"""How many of them are silence behind the speech, within these bounds. With less Whisper repeats itself."""
_CLOSING_S: Final = 0.5
"""A time mark this near the end closes a short utterance; what follows it is invented."""
_TOKENS_PER_S: Final = 8
_TEMPERATURES: Final = (0.0, 0.4, 0.8)
"""Of the whole window. A text that repeats itself is decoded again at the next, as Whisper does."""
_NO_SPEECH: Final = 0.6
_UNSURE: Final = -0.5
"""Mean log probability below which words are dropped that Whisper itself hardly takes for speech."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A stretch of text; times are seconds from the beginning of the utterance."""

    text: str
    start_s: float
    end_s: float
    log_probability: float


class Recogniser:
    """A loaded model. Its methods block, and may run in several threads at once."""

    def __init__(self, options: FasterWhisperOptions, folder: Path) -> None:
        from faster_whisper import WhisperModel
        from faster_whisper.vad import get_vad_model  # type: ignore[import-untyped]  # no types published

        self._options = options
        self._model: WhisperModel = WhisperModel(
            str(folder),
            device="cpu",
            compute_type=options.compute_type,
            cpu_threads=options.threads,
            num_workers=options.workers,
            local_files_only=True,
        )
        get_vad_model()  # loads it; the library keeps it

    def transcribe(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        import numpy as np

        sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32_768)
        start, end = (0, len(sound)) if settings.gated else self._speech(sound)
        speech = sound[start:end]
        language = self._language(settings)
        if not len(speech):
            return Transcript("", "final", language=language)
        hints = " ".join(settings.hints) or None
        offset_s = start / STT_RATE_HZ
        if self._options.fast and len(speech) <= _SHORT_S * STT_RATE_HZ and language is not None:
            heard = self._hear_short(speech, language, hints)
            if heard is not None:
                return _joined(heard, offset_s, language)
        return self._hear(speech, language, hints, offset_s)

    def _language(self, settings: TranscriptionSettings) -> str | None:
        """Give the code that Whisper uses; None where it has to find out."""
        if not self._model.model.is_multilingual:
            return "en"
        code = (settings.language or self._options.language or "").partition("-")[0].lower()
        return code if code in self._model.supported_languages else None

    def _speech(self, sound: NDArray[np.float32]) -> tuple[int, int]:
        """Samples at which speech begins and ends, with a margin; the same twice without any."""
        from faster_whisper.vad import get_speech_timestamps

        if self._options.speech_threshold == 0:
            return 0, len(sound)
        spans = get_speech_timestamps(sound, threshold=self._options.speech_threshold)
        return (spans[0]["start"], spans[-1]["end"]) if spans else (0, 0)

    def _hear(
        self, speech: NDArray[np.float32], language: str | None, hints: str | None, offset_s: float
    ) -> Transcript:
        duration_s = len(speech) / STT_RATE_HZ
        segments, info = self._model.transcribe(
            speech,
            language=language,
            beam_size=self._options.beam_size,
            temperature=_TEMPERATURES,
            max_new_tokens=_room_for(_most_tokens(duration_s)) if duration_s <= _SHORT_S else None,
            condition_on_previous_text=False,
            hotwords=hints,
        )

        def heard() -> Iterator[_Heard]:
            for segment in segments:  # each is recognised as it is asked for
                yield _Heard(segment.text.strip(), segment.start, segment.end, segment.avg_logprob)
                from_thread.check_cancelled()

        return _joined(heard(), offset_s, info.language)

    def _hear_short(
        self, speech: NDArray[np.float32], language: str, hints: str | None
    ) -> list[_Heard] | None:
        """Hear in a short window. The encoder's work does not depend on the speech, only on the window.

        None where Whisper came to no end, for then it repeats itself.
        """
        from faster_whisper.tokenizer import Tokenizer  # type: ignore[import-untyped]  # no types published

        model = self._model
        tokenizer = Tokenizer(
            model.hf_tokenizer, model.model.is_multilingual, task="transcribe", language=language
        )
        prompt = model.get_prompt(tokenizer, [], hotwords=hints)
        duration_s = len(speech) / STT_RATE_HZ
        most_tokens = _most_tokens(duration_s)
        result = model.model.generate(
            model.encode(_in_silence(model.feature_extractor(speech))),
            [prompt],
            beam_size=1,
            max_length=len(prompt) + _room_for(most_tokens),
            max_initial_timestamp_index=50,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        if result.no_speech_prob > _NO_SPEECH and result.scores[0] < _UNSURE:
            return []
        first_mark = tokenizer.timestamp_begin
        words: list[int] = []
        for token in result.sequences_ids[0]:
            if token < tokenizer.eot:
                words.append(token)
            elif words and (token - first_mark) * model.time_precision >= duration_s - _CLOSING_S:
                break
        else:
            if len(result.sequences_ids[0]) >= most_tokens:
                return None
        return [_Heard(tokenizer.decode(words).strip(), 0.0, duration_s, result.scores[0])]


def _most_tokens(duration_s: float) -> int:
    """More than anybody says in this time, marks of time included."""
    return 12 + math.ceil(duration_s * _TOKENS_PER_S)


def _room_for(tokens: int) -> int:
    """What CTranslate2 must be told: it gives half of its length to the prompt."""
    return tokens * 2


def _in_silence(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Put silence behind speech. Shape (bands, frames) before and after.

    The faintest value of the features stands for silence, as in Whisper's training. Zero, with which the
    library pads, is sound: Whisper then drops words at the end.
    """
    import numpy as np

    bands, frames = features.shape
    least, most = _SHORT_FRAMES
    window = max(least, min(frames + frames % 2 + _TAIL_FRAMES, most))  # an even number
    within = np.full((bands, window), features.min(), features.dtype)
    within[:, :frames] = features
    return within


def _joined(heard: Iterable[_Heard], offset_s: float, language: str | None) -> Transcript:
    parts = [part for part in heard if part.text]
    if not parts:
        return Transcript("", "final", language=language)
    log_probability = sum(part.log_probability for part in parts) / len(parts)
    return Transcript(
        " ".join(part.text for part in parts),
        "final",
        start_s=offset_s + parts[0].start_s,
        end_s=offset_s + parts[-1].end_s,
        confidence=min(1.0, math.exp(log_probability)),
        language=language,
    )
