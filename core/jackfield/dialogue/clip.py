"""Recorded messages: from an upload to a transcript, and from an answer to a stored clip."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import partial

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES, duration_s
from jackfield.config.sections import LimitsSection, TimeoutsSection
from jackfield.contracts.extension import Event, Scanner, Upload
from jackfield.contracts.panel import Clips, Heard, Spoken
from jackfield.contracts.stt import STT, STT_RATE_HZ, STTStream, Transcript, TranscriptionSettings
from jackfield.contracts.tts import TTS, SpeechSettings, TTSOutput
from jackfield.dialogue.audio_figures import AudioFigures
from jackfield.dialogue.failures import client_error, failover_noted, report
from jackfield.dialogue.steps import Work
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import (
    FieldError,
    ProtocolError,
    ProviderBadReply,
    ProviderError,
    ProviderTimedOut,
    StoreUnavailable,
)
from jackfield.resilience.guard import Patience, guard, in_time
from jackfield.resilience.retry import retrying
from jackfield.text import normalise
from jackfield.workers import Workers

logger = logging.getLogger(__name__)


class ClipReader:
    """Checks, decodes and transcribes uploads."""

    def __init__(
        self,
        scanners: Sequence[Built[Scanner]],
        limits: LimitsSection,
        timeouts: TimeoutsSection,
        figures: AudioFigures,
        publish: Callable[[Event], None],
    ) -> None:
        self._publish = publish
        self._scanners = scanners
        self._limits = limits
        self._timeouts = timeouts
        self._figures = figures
        self._decoders = Workers(2)  # decoding is short; a crowd of uploads shall not take all

    async def read(
        self, upload: Upload, stt: Built[STT], settings: TranscriptionSettings, waterfall: Waterfall
    ) -> str:
        """Give the words of a recorded message.

        :raises ProtocolError: when it is refused, cannot be used, or holds no words.
        """
        return (await self.hear(upload, stt, settings, waterfall)).text

    async def hear(
        self, upload: Upload, stt: Built[STT], settings: TranscriptionSettings, waterfall: Waterfall
    ) -> Heard:
        """Give the words of a recording with what is known of it; raises as `read` does."""
        raw_hz = self._check(upload)
        await self._scan(upload)
        pcm = upload.data if raw_hz == STT_RATE_HZ else await self._decode(upload, raw_hz)
        waterfall.reached("decoded")
        self._figures.used(stt, duration_s(pcm, STT_RATE_HZ))
        with waterfall.steps.begin("stt", stt) as work:
            failover = failover_noted(self._timeouts.failover_seconds, waterfall, "stt_failover", work)
            transcript = await self._transcribe(pcm, stt, replace(settings, failover=failover), work)
        waterfall.reached("transcript")
        text = normalise(transcript.text)
        if not text:
            raise ProtocolError(422, "no_speech", "No words could be heard in the recording.")
        language = transcript.language or settings.language
        return Heard(text, language, duration_s(pcm, STT_RATE_HZ))

    def _check(self, upload: Upload) -> int | None:
        """Refuse what cannot be a recording; gives the rate of PCM without a container."""
        from jackfield.audio.sniff import matches_label, pcm_rate_hz, sniff

        if len(upload.data) > self._limits.audio_bytes:
            raise ProtocolError(413, "audio_too_large", "The recording is too large.")
        raw_hz = pcm_rate_hz(upload.media_type)
        if raw_hz is not None:
            self._check_pcm(upload.data, raw_hz)
            return raw_hz
        container = sniff(upload.data)
        if container is None or not matches_label(upload.media_type, container):
            raise ProtocolError(415, "unsupported_audio_type", "This type of recording is not accepted.")
        return None

    def _check_pcm(self, data: bytes, rate_hz: int) -> None:
        if not data or len(data) % WIDTH_BYTES:
            raise _invalid("audio_undecodable", "The recording cannot be decoded.")
        if len(data) > self._limits.audio_seconds * rate_hz * WIDTH_BYTES:
            raise _invalid("audio_too_long", "The recording is too long.")

    async def _scan(self, upload: Upload) -> None:
        for scanner in self._scanners:
            try:
                clean = await in_time(scanner.object.scan(upload), self._timeouts.scan_seconds)
            except ProviderError as error:
                logger.warning("%s cannot scan: %s", scanner.section, type(error).__name__)
                raise ProtocolError(503, "scanner_unavailable", "Uploads cannot be checked now.") from error
            if not clean:
                raise _invalid("file_rejected", "The file was rejected.")

    async def _decode(self, upload: Upload, raw_hz: int | None) -> bytes:
        from jackfield.audio.decode import AudioTooLong, Undecodable, decode
        from jackfield.audio.encode import encode

        data = upload.data if raw_hz is None else encode(upload.data, raw_hz, "wav")  # a header, no more
        call = partial(decode, data, max_s=self._limits.audio_seconds)
        try:
            pcm = await self._decoders.run(call)
        except AudioTooLong:
            self._figures.step("decode", ok=False)
            raise _invalid("audio_too_long", "The recording is too long.") from None
        except Undecodable:
            self._figures.step("decode", ok=False)
            raise _invalid("audio_undecodable", "The recording cannot be decoded.") from None
        self._figures.step("decode", ok=True)
        return pcm

    async def _transcribe(
        self, pcm: bytes, stt: Built[STT], settings: TranscriptionSettings, work: Work
    ) -> Transcript:
        try:
            transcript = await self._heard(pcm, stt.object, settings)
        except ProviderError as error:
            self._figures.step("stt", ok=False)
            work.end(type(error))
            report(stt, error, self._publish)
            raise client_error("stt", error) from error
        self._figures.step("stt", ok=True)
        return transcript

    async def _heard(self, pcm: bytes, stt: STT, settings: TranscriptionSettings) -> Transcript:
        try:
            with anyio.fail_after(self._timeouts.stt_seconds):
                return await retrying(partial(_hear, pcm, stt, settings))
        except TimeoutError:
            raise ProviderTimedOut("no transcript in time") from None


async def _hear(pcm: bytes, stt: STT, settings: TranscriptionSettings) -> Transcript:
    async with stt.stream(settings) as stream:
        stream.push(pcm)
        stream.end_utterance()
        return await _final(stream)


async def _final(stream: STTStream) -> Transcript:
    transcripts = aiter(stream)
    try:
        async for transcript in transcripts:
            if transcript.kind == "final":
                return transcript
    finally:
        if isinstance(transcripts, AsyncGenerator):
            await transcripts.aclose()
    raise ProviderBadReply("the stream ended without a final transcript")


def _invalid(code: str, detail: str) -> ProtocolError:
    return ProtocolError(422, code, detail, (FieldError("audio", code, detail),))


class Speaker:
    """Speaks answers while they are written, and stores them."""

    def __init__(
        self, clips: Clips, timeouts: TimeoutsSection, figures: AudioFigures, publish: Callable[[Event], None]
    ) -> None:
        self._publish = publish
        self._clips = clips
        self._timeouts = timeouts
        self._figures = figures

    async def speak(
        self,
        pieces: MemoryObjectReceiveStream[str],
        tts: Built[TTS],
        settings: SpeechSettings,
        waterfall: Waterfall,
    ) -> str | None:
        """Speak the pieces as they come; gives the clip's name, None when there is none."""
        async with pieces:
            try:
                clip = await self._speak(pieces, tts, settings, waterfall)
            except StoreUnavailable as error:  # the voice did not fail
                logger.warning("the spoken answer cannot be stored, and goes out as text: %s", error)
            except Exception as error:  # noqa: BLE001  # a broken voice costs the sound, not the answer
                report(tts, error, self._publish)
            else:
                self._figures.step("tts", ok=True)
                waterfall.reached("spoken")
                return clip
            self._figures.step("tts", ok=False)
            async for _ in pieces:
                pass  # who writes the answer must not wait for a voice that is gone
            return None

    async def _speak(
        self,
        pieces: MemoryObjectReceiveStream[str],
        tts: Built[TTS],
        settings: SpeechSettings,
        waterfall: Waterfall,
    ) -> str:
        sound = await self._sound(pieces, tts, settings, waterfall)
        return await self._clips.save(sound, tts.object.rate_hz(settings.voice))

    async def spoken(self, text: str, tts: Built[TTS], settings: SpeechSettings) -> Spoken:
        """Give a text as a file.

        :raises ProtocolError: when the voice fails.
        """
        from jackfield.dialogue.pieces import Pieces  # needs the extra `audio`

        cutter = Pieces(settings.voice.language)
        pieces = [*cutter.add(text), *cutter.end()]
        try:
            sound = await self._sound(_each(pieces), tts, settings, Waterfall())
        except ProviderError as error:
            self._figures.step("tts", ok=False)
            report(tts, error, self._publish)
            raise client_error("tts", error) from error
        self._figures.step("tts", ok=True)
        rate_hz = tts.object.rate_hz(settings.voice)
        data, media_type = await self._clips.compress(sound, rate_hz)
        return Spoken(data, media_type, len(sound) / (WIDTH_BYTES * rate_hz))

    async def _sound(
        self, pieces: AsyncIterable[str], tts: Built[TTS], settings: SpeechSettings, waterfall: Waterfall
    ) -> bytes:
        sound = bytearray()
        patience = Patience(self._timeouts.request_seconds)
        async for piece in pieces:
            waterfall.reached("first_sentence")
            with waterfall.steps.begin("tts", tts) as work:
                failover = failover_noted(self._timeouts.failover_seconds, waterfall, "tts_failover", work)
                noted = replace(settings, failover=failover)
                async with aclosing(self._say(piece, tts.object, noted, patience)) as outputs:
                    async for output in outputs:
                        if isinstance(output, bytes):
                            work.reached_first()
                            waterfall.reached("first_audio")
                            sound += output
        if not sound:
            raise ProviderBadReply("no sound came")
        self._figures.used(tts, duration_s(sound, tts.object.rate_hz(settings.voice)))
        return bytes(sound)

    def _say(
        self, piece: str, tts: TTS, settings: SpeechSettings, patience: Patience
    ) -> AsyncGenerator[TTSOutput, None]:
        return guard(
            partial(tts.synthesize, piece.strip(), settings),
            first_s=self._timeouts.tts_seconds,
            patience=patience,
            useful=_is_sound,
        )


async def _each(pieces: Iterable[str]) -> AsyncGenerator[str, None]:
    for piece in pieces:
        yield piece


def _is_sound(output: TTSOutput) -> bool:
    return isinstance(output, bytes) and bool(output)
