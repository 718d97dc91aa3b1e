"""Several voices that stand for each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing

from anyio.lowlevel import checkpoint

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.resample import Resampler
from jackfield.contracts.tts import TTS, IncrementalTTS, SpeechMark, SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield.resilience.chain import Attempt, Chain, Member
from jackfield.resilience.relay import relay
from jackfield.resilience.spoken_text import SpokenText, piecewise

_CHUNKS_PER_S = 10
"""Into which sound is cut before its rate is changed; between them others have their turn."""


class TTSChain:
    """Speaks with the first member that makes a sound. Implements `TTS`.

    Its rate is the first member's; the sound of the others is brought to it.
    """

    def __init__(self, chain: Chain[TTS]) -> None:
        self._chain = chain

    def rate_hz(self, voice: Voice) -> int:
        """Samples a second of the first member's voice."""
        return self._chain.members[0].object.rate_hz(voice)

    def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        """See `TTS.synthesize`."""

        def start(member: Member[TTS]) -> AsyncGenerator[TTSOutput, None]:
            return self._at_rate(member.object, member.object.synthesize(text, settings), settings.voice)

        def may_end(_held: Sequence[TTSOutput]) -> bool:
            return not any(map(str.isalnum, text))

        attempts = self._chain.attempts(settings.failover)
        return relay(attempts, start, useful=is_sound, may_end=may_end)

    def _at_rate(
        self, tts: TTS, outputs: AsyncGenerator[TTSOutput, None], voice: Voice
    ) -> AsyncGenerator[TTSOutput, None]:
        from_hz, to_hz = tts.rate_hz(voice), self.rate_hz(voice)
        return outputs if from_hz == to_hz else resampled(outputs, from_hz, to_hz)


class IncrementalTTSChain(TTSChain):
    """The same, where the first member takes text in pieces. Implements `IncrementalTTS`.

    A member that does not is given each piece by itself.
    """

    def stream(self, pieces: AsyncIterator[str], settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        """See `IncrementalTTS.stream`."""
        text = SpokenText(pieces)

        def start(member: Member[TTS]) -> AsyncGenerator[TTSOutput, None]:
            tts = member.object
            if isinstance(tts, IncrementalTTS):
                outputs = tts.stream(text.read(), settings)
            else:
                outputs = piecewise(tts, text.read(), settings)
            return self._at_rate(tts, outputs, settings.voice)

        return relay(
            self._while_readable(text, settings),
            start,
            useful=is_sound,
            may_end=lambda _held: not text.speakable,
            busy_since=text.busy_since,
        )

    def _while_readable(self, text: SpokenText, settings: SpeechSettings) -> Iterator[Attempt[TTS]]:
        """Attempts, until the rest of the text is lost.

        :raises ProviderUnavailable: then; who asks again, with the whole text, finds the next member.
        """
        for attempt in self._chain.attempts(settings.failover):
            if text.lost:
                attempt.over(useful=False)
                raise ProviderUnavailable("the text was lost with a voice that failed", retry_after_s=0.0)
            yield attempt


def is_sound(output: TTSOutput) -> bool:
    """Whether it is sound, and any.

    :raises ProviderBadReply: when it is nothing that a voice may give.
    """
    if isinstance(output, SpeechMark):
        return False
    if not isinstance(output, bytes) or len(output) % WIDTH_BYTES:
        raise ProviderBadReply("the voice gave something else than whole samples of sound")
    return bool(output)


async def resampled(
    outputs: AsyncGenerator[TTSOutput, None], from_hz: int, to_hz: int
) -> AsyncGenerator[TTSOutput, None]:
    """Bring sound to another rate; marks stay where they are, for they count in seconds."""
    resampler = Resampler(from_hz, to_hz)
    chunk_bytes = from_hz // _CHUNKS_PER_S * WIDTH_BYTES
    async with aclosing(outputs):
        async for output in outputs:
            if not is_sound(output):
                yield output
                continue
            assert isinstance(output, bytes)
            for start in range(0, len(output), chunk_bytes):
                if start:
                    await checkpoint()
                yield resampler.feed(output[start : start + chunk_bytes])
    yield resampler.flush()
