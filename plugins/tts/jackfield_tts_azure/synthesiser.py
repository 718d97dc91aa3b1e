"""One synthesiser of the SDK, with its connection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import azure.cognitiveservices.speech as sdk  # type: ignore[import-untyped]  # it has no types

from jackfield import ProviderError, ProviderUnavailable
from jackfield.contracts.tts import SpeechMark
from jackfield_azure_speech_account.sdk import failure, speech_config
from jackfield_tts_azure.options import AzureTTSOptions

_TICKS_PER_S: Final = 10_000_000
_CONNECTING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Connected:
    """There is a connection."""


@dataclass(frozen=True, slots=True)
class Completed:
    """All sound has come."""


Event = bytes | SpeechMark | Connected | Completed | ProviderError
Tell = Callable[[Event], None]


def _nobody(_event: Event) -> None:
    pass


class Synthesiser:
    """Says one text at a time. Its functions block: call them in threads."""

    def __init__(self, options: AzureTTSOptions) -> None:
        self._tell: Tell = _nobody
        self._order = threading.Lock()
        self._spent = ""
        """The synthesis before, of which marks may come late: each kind of event has a thread of its own."""
        self._result: object = None
        self._synthesiser = sdk.SpeechSynthesizer(_config(options), None)
        self._synthesiser.synthesizing.connect(lambda event: self._tell(event.result.audio_data))
        self._synthesiser.synthesis_completed.connect(self._completed)
        self._synthesiser.synthesis_canceled.connect(self._cancelled)
        self._synthesiser.synthesis_word_boundary.connect(self._word)
        if options.visemes:
            self._synthesiser.viseme_received.connect(self._viseme)
        self._connection = sdk.Connection.from_speech_synthesizer(self._synthesiser)
        self._connected = threading.Event()
        self._connection.connected.connect(self._connect)
        self._connection.disconnected.connect(lambda _event: self._connected.clear())

    def begin(self, ssml: str, tell: Tell) -> None:
        """Begin to say a text. `tell` is called in threads of the SDK."""
        with self._order:
            self._tell = tell
            if self._connected.is_set():
                tell(Connected())
            try:
                self._result = self._synthesiser.start_speaking_ssml_async(ssml).get()
            except RuntimeError:  # the only one that the SDK raises; it may quote what it was given
                tell(ProviderUnavailable("The Azure Speech SDK cannot begin a synthesis."))

    def stop(self) -> None:
        """Say no more. That ends the connection, so the next one is opened beforehand."""
        with self._order, suppress(RuntimeError):  # without a connection there is nothing to stop
            self._tell = _nobody
            self._synthesiser.stop_speaking_async().get()
            self._connected.clear()
            self._connection.open(True)
            self._connected.wait(_CONNECTING_S)  # asked before it is there, the SDK would open another

    def close(self) -> None:
        """Let the connection and its threads go."""
        with self._order, suppress(RuntimeError):
            self._tell = _nobody
            self._synthesiser.stop_speaking_async().get()
        del self._connection, self._synthesiser, self._result

    def _connect(self, _event: object) -> None:
        self._connected.set()
        self._tell(Connected())

    def _completed(self, event: Any) -> None:  # Any: the SDK has no types
        self._spent = event.result.result_id
        self._tell(Completed())

    def _cancelled(self, event: Any) -> None:  # Any: the SDK has no types
        self._spent = event.result.result_id
        details = event.result.cancellation_details
        self._tell(failure(details.error_code.name, details.error_details))

    def _word(self, event: Any) -> None:  # Any: the SDK has no types
        if event.boundary_type == sdk.SpeechSynthesisBoundaryType.Word:
            self._mark("word", event.text, event)

    def _viseme(self, event: Any) -> None:  # Any: the SDK has no types
        self._mark("viseme", str(event.viseme_id), event)

    def _mark(
        self,
        kind: Literal["word", "viseme"],
        value: str,
        event: Any,  # Any: the SDK has no types
    ) -> None:
        if event.result_id != self._spent:
            self._tell(SpeechMark(kind, value, event.audio_offset / _TICKS_PER_S))


def _config(options: AzureTTSOptions) -> Any:  # Any: the SDK has no types
    config = speech_config(options)
    kind = f"Raw{options.rate_hz // 1000}Khz16BitMonoPcm"
    config.set_speech_synthesis_output_format(sdk.SpeechSynthesisOutputFormat[kind])
    return config
