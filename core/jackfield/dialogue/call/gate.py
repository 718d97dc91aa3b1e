"""Which sound of the user belongs to an utterance. Everything here is 16000 Hz; times as in `hearing`."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import Final, Protocol

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.config.sections import CallSection
from jackfield.contracts.stt import STT_RATE_HZ
from jackfield.dialogue.call.endpointing import (
    CallState,
    Ended,
    Endpointing,
    EndpointingEvent,
    Pace,
    Resumed,
    ShortSilence,
    Started,
)
from jackfield.dialogue.call.hearing import EarListener
from jackfield.dialogue.call.windows import SpeechWindows
from jackfield.errors import ProviderError

_BYTES_PER_S: Final = WIDTH_BYTES * STT_RATE_HZ


class Gate(Protocol):
    """Lets sound of utterances through to the listener. The methods are those of the ear."""

    @property
    def now_s(self) -> float: ...

    @property
    def given_s(self) -> float: ...

    def feed(self, pcm: bytes) -> None: ...

    def set_state(self, state: CallState) -> None: ...

    def begin_speech(self) -> None: ...

    def end_speech(self) -> None: ...

    def close(self) -> None: ...


class OpenGate:
    """Lets all sound through: the client says what is an utterance."""

    def __init__(self, settings: CallSection, listener: EarListener) -> None:
        self._listener = listener
        self._most_bytes = round(settings.utterance_seconds * _BYTES_PER_S)
        self._fed_bytes = 0
        self._given_bytes = 0
        self._begun = False

    @property
    def now_s(self) -> float:
        return self._fed_bytes / _BYTES_PER_S

    @property
    def given_s(self) -> float:
        return self._given_bytes / _BYTES_PER_S

    def feed(self, pcm: bytes) -> None:
        size_bytes = len(pcm)
        self._fed_bytes += size_bytes
        self._given_bytes += size_bytes
        self._listener.sound(pcm)
        if self._given_bytes >= self._most_bytes:
            self.end_speech()

    def set_state(self, state: CallState) -> None:
        pass

    def begin_speech(self) -> None:
        self._begun = True
        self._listener.speech_started(self.now_s)
        self._given_bytes = 0

    def end_speech(self) -> None:
        if not self._begun and not self._given_bytes:
            return
        spoken_s = self.given_s
        self._begun = False
        self._given_bytes = 0
        self._listener.speech_ended(spoken_s, self.now_s)

    def close(self) -> None:
        pass


class SpeechGate:
    """Lets sound through while somebody speaks, and from a little before.

    Sound is dealt with window by window once it is judged, so that what comes out is the same however
    the sound was cut when it came in.
    """

    def __init__(self, windows: SpeechWindows, settings: CallSection, listener: EarListener) -> None:
        self._listener = listener
        self._window_bytes = windows.window_samples * WIDTH_BYTES
        self._window_s = self._window_bytes / _BYTES_PER_S
        self._pre_roll_s = settings.pre_roll_ms / 1000
        self._most_bytes = round(settings.utterance_seconds * _BYTES_PER_S)
        self._endpointing = Endpointing(paces(settings), self._window_s)
        self._rest = bytearray()  # the beginning of a window
        self._unjudged: deque[tuple[bytes, float]] = deque()
        self._recent: deque[bytes] = deque(maxlen=self._recent_windows(settings))
        self._fed_bytes = 0
        self._given_bytes = 0
        self._judged_s = 0.0
        self._spent_s = 0.0  # what was heard before this is never given (again)
        self._handle = windows.register(self._judged, self._failed)

    def _recent_windows(self, settings: CallSection) -> int:
        """How many windows an utterance may have to reach back."""
        pre_roll = math.ceil(self._pre_roll_s / self._window_s)
        least_speech = math.ceil(max(settings.start_ms, settings.interrupt_ms) / 1000 / self._window_s)
        return pre_roll + 2 * (least_speech + 1)  # every other window of that speech may be silent

    @property
    def now_s(self) -> float:
        return self._fed_bytes / _BYTES_PER_S

    @property
    def given_s(self) -> float:
        return self._given_bytes / _BYTES_PER_S

    def feed(self, pcm: bytes) -> None:
        rest = self._rest
        rest += pcm
        self._fed_bytes += len(pcm)
        while len(rest) >= self._window_bytes:
            window = bytes(rest[: self._window_bytes])
            del rest[: self._window_bytes]
            at_s = (self._fed_bytes - len(rest)) / _BYTES_PER_S
            self._unjudged.append((window, at_s))
            self._handle.feed(window, at_s)

    def set_state(self, state: CallState) -> None:
        self._endpointing.set_state(state)

    def _failed(self, error: ProviderError, at_s: float) -> None:
        self._judged(0.0, at_s)
        self._listener.detector_failed(error)

    def _judged(self, probability: float, at_s: float) -> None:
        window, _ = self._unjudged.popleft()
        if at_s <= self._spent_s:
            return  # the client was quicker to say that speech begins or ends
        self._judged_s = at_s
        self._recent.append(window)
        in_utterance = self._endpointing.in_utterance
        event = self._endpointing.push(at_s, probability)
        if in_utterance:
            self._give(window)
        if event is not None:
            self._tell(event)
        elif in_utterance and self._given_bytes >= self._most_bytes:
            self._end(at_s)

    def _tell(self, event: EndpointingEvent) -> None:
        match event:
            case Started(at_s):
                self._start(at_s)
            case ShortSilence():
                self._listener.short_silence()
            case Resumed():
                self._listener.speech_resumed()
            case Ended():
                self._ended(event, spent_s=event.silent_since_s)

    def _start(self, at_s: float) -> None:
        self._listener.speech_started(at_s)
        if not self._endpointing.in_utterance:
            return  # the listener did not want it
        since_s = max(at_s - self._pre_roll_s, self._spent_s)
        windows = min(math.ceil((self._judged_s - since_s) / self._window_s - 0.01), len(self._recent))
        self._give(b"".join(islice(self._recent, len(self._recent) - windows, None)))

    def _give(self, pcm: bytes) -> None:
        if pcm:
            self._given_bytes += len(pcm)
            self._listener.sound(pcm)

    def begin_speech(self) -> None:
        now_s = self.now_s
        started = self._endpointing.begin(now_s)
        if started is not None:
            self._forget()
            self._listener.speech_started(now_s)

    def end_speech(self) -> None:
        if not self._endpointing.in_utterance:
            started = self._endpointing.accept()
            if started is not None:
                self._start(started.at_s)
        if not self._endpointing.in_utterance:
            return
        unjudged = [window for window, at_s in self._unjudged if at_s > self._spent_s]
        self._give(b"".join([*unjudged, self._rest]))
        self._forget()
        self._end(self.now_s)

    def _end(self, at_s: float) -> None:
        """End the utterance where it is, at `at_s`."""
        ended = self._endpointing.end(at_s)
        if ended is not None:
            self._ended(ended, spent_s=at_s)

    def _ended(self, ended: Ended, *, spent_s: float) -> None:
        self._spent_s = spent_s
        self._given_bytes = 0
        self._listener.speech_ended(ended.spoken_s, ended.silent_since_s)

    def _forget(self) -> None:
        """Leave all sound that came so far out of what is given later."""
        self._spent_s = self.now_s
        self._rest.clear()

    def close(self) -> None:
        self._handle.close()
        self._endpointing.end(self.now_s)


def paces(settings: CallSection) -> Mapping[CallState, Pace]:
    """How patient endpointing is in each state: only what interrupts an answer has to be longer."""

    def pace(min_speech_ms: float) -> Pace:
        return Pace(
            min_speech_s=min_speech_ms / 1000,
            checkpoint_s=settings.checkpoint_ms / 1000,
            silence_s=settings.silence_ms / 1000,
            start_threshold=settings.start_threshold,
            stop_threshold=settings.stop_threshold,
        )

    calm = pace(settings.start_ms)
    return {"listening": calm, "thinking": calm, "speaking": pace(settings.interrupt_ms)}
