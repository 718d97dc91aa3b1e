"""One recogniser of the SDK, with its connection."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import azure.cognitiveservices.speech as sdk  # type: ignore[import-untyped]  # it has no types

from jackfield import ProviderError, ProviderUnavailable
from jackfield.contracts.stt import STT_RATE_HZ
from jackfield_azure_speech_account.sdk import failure, speech_config
from jackfield_stt_azure.options import AzureSTTOptions
from jackfield_stt_azure.sound import Sound

_TICKS_PER_S: Final = 10_000_000
_WIDTH_BITS: Final = 16


@dataclass(frozen=True, slots=True)
class Heard:
    """Words, while they are spoken or for good. Times are seconds since the first sound of the connection."""

    text: str
    start_s: float
    end_s: float
    lasting: bool
    confidence: float | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class PartEnded:
    """All words of a part have come."""


Event = Heard | PartEnded | ProviderError


class Recogniser:
    """Recognises the parts of a sound, each after `start`. Its functions block: call them in threads.

    `tell` is called in threads of the SDK.
    """

    def __init__(
        self,
        options: AzureSTTOptions,
        languages: Sequence[str],
        hints: Sequence[str],
        sound: Sound,
        tell: Callable[[Event], None],
    ) -> None:
        self._sound = sound  # which the SDK does not keep alive
        self._tell = tell
        self._languages = languages
        input_format = sdk.audio.AudioStreamFormat(STT_RATE_HZ, _WIDTH_BITS, 1)
        self._input = sdk.audio.PullAudioInputStream(sound, input_format)
        self._recogniser = sdk.SpeechRecognizer(
            _config(options, languages),
            sdk.audio.AudioConfig(stream=self._input),
            auto_detect_source_language_config=_detection(languages),
        )
        phrases = sdk.PhraseListGrammar.from_recognizer(self._recogniser)
        for hint in hints:
            phrases.addPhrase(hint)
        self._recogniser.recognizing.connect(self._recognising)
        self._recogniser.recognized.connect(self._recognised)
        self._recogniser.canceled.connect(self._cancelled)
        self._recogniser.session_stopped.connect(lambda _event: tell(PartEnded()))
        self._connection = sdk.Connection.from_recognizer(self._recogniser)
        self._connection.open(True)

    def start(self) -> None:
        """Begin to read the next part of the sound. Why that failed is told, if the SDK knows."""
        try:
            self._recogniser.start_continuous_recognition_async().get()
        except RuntimeError:  # the only one that the SDK raises
            self._tell(ProviderUnavailable("The connection to Azure Speech is of no use any more."))

    def close(self) -> None:
        """Stop whatever goes on and let the connection and its threads go."""
        self._sound.close()
        with suppress(RuntimeError):  # it was broken anyway
            self._recogniser.stop_continuous_recognition_async().get()
        del self._connection, self._recogniser, self._input

    def _recognising(self, event: Any) -> None:  # Any: the SDK has no types
        self._tell(self._heard(event.result))

    def _recognised(self, event: Any) -> None:  # Any: the SDK has no types
        if event.result.reason == sdk.ResultReason.RecognizedSpeech and event.result.text:
            self._tell(self._heard(event.result, _confidence(event.result.json)))

    def _cancelled(self, event: Any) -> None:  # Any: the SDK has no types
        details = event.cancellation_details
        if details.reason == sdk.CancellationReason.Error:
            self._tell(failure(details.code.name, details.error_details))

    def _heard(self, result: Any, confidence: float | None = None) -> Heard:  # Any: the SDK has no types
        return Heard(
            text=result.text,
            start_s=result.offset / _TICKS_PER_S,
            end_s=(result.offset + result.duration) / _TICKS_PER_S,
            lasting=result.reason == sdk.ResultReason.RecognizedSpeech,
            confidence=confidence,
            language=self._language(result),
        )

    def _language(self, result: Any) -> str | None:  # Any: the SDK has no types
        if len(self._languages) == 1:
            return self._languages[0]
        return sdk.AutoDetectSourceLanguageResult(result).language or None


def _config(options: AzureSTTOptions, languages: Sequence[str]) -> Any:  # Any: the SDK has no types
    config = speech_config(options)
    if len(languages) == 1:
        config.speech_recognition_language = languages[0]
    config.output_format = sdk.OutputFormat.Detailed
    config.set_profanity(sdk.ProfanityOption[options.profanity.capitalize()])
    config.set_property_by_name("SPEECH-TransmitLengthBeforThrottleMs", str(round(options.fast_s * 1000)))
    # Whoever stops it does not want to know what was heard.
    config.set_property_by_name("SPEECH-StopRecognitionTimeoutInSeconds", "0")
    return config


def _detection(languages: Sequence[str]) -> Any:  # Any: the SDK has no types
    if len(languages) == 1:
        return None
    return sdk.languageconfig.AutoDetectSourceLanguageConfig(languages=list(languages))


def _confidence(answer: str) -> float | None:
    found: Mapping[str, Any] = json.loads(answer)  # Any: outside data
    best = found.get("NBest") or [{}]
    confidence = best[0].get("Confidence")
    return min(1.0, max(0.0, confidence)) if isinstance(confidence, int | float) else None
