"""When an utterance begins, pauses and ends: decided from how likely each window of sound is speech.

Times are seconds of sound since the call began, so it does not matter when a window is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

CallState = Literal["listening", "thinking", "speaking"]
"""What the server does: waits for the user, prepares an answer, or is heard answering."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient endpointing is. Lengths are counted in windows, rounded to the nearest whole number."""

    min_speech_s: float
    """Speech from which on it is an utterance; a single window of silence within does not interrupt it."""
    checkpoint_s: float
    """Silence that is reported as a short one."""
    silence_s: float
    """Silence that ends the utterance."""
    start_threshold: float
    """Probability from which on a window is speech, after silence."""
    stop_threshold: float
    """Probability below which a window is silence, after speech."""


@dataclass(frozen=True, slots=True)
class Started:
    """An utterance began at `at_s`, where its first speech began."""

    at_s: float


@dataclass(frozen=True, slots=True)
class ShortSilence:
    """Nothing was said for a while. The utterance goes on with `Resumed` or `Ended`."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Speech went on after a short silence."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The utterance is over."""

    spoken_s: float
    """Length from the first speech to the last, pauses within included."""
    silent_since_s: float
    """Where its last speech ended."""


EndpointingEvent = Started | ShortSilence | Resumed | Ended


class Endpointing:
    """A state machine for one speaker. `paces` says how patient it is in each state of the call.

    `window_s` is the length of a window. Windows may be missing; they must come in the order of time.
    """

    def __init__(self, paces: Mapping[CallState, Pace], window_s: float) -> None:
        self._paces = paces
        self._pace = paces["listening"]
        self._window_s = window_s
        self._voiced = False  # whether the last window was speech
        self._onset_s: float | None = None  # where speech began that is no utterance yet
        self._onset_windows = 0
        self._began_s: float | None = None  # where the utterance began
        self._awaiting = False  # whether the utterance was announced, and nothing was said yet
        self._paused = False
        self._voice_end_s = 0.0

    @property
    def in_utterance(self) -> bool:
        """Whether an utterance has started and not ended."""
        return self._began_s is not None

    def set_state(self, state: CallState) -> None:
        """Go by that state's pace from the next window on. May be called at any time."""
        self._pace = self._paces[state]

    def push(self, at_s: float, probability: float) -> EndpointingEvent | None:
        """Take the probability, 0 to 1, that the window which ends at `at_s` is speech."""
        pace = self._pace
        self._voiced = probability >= (pace.stop_threshold if self._voiced else pace.start_threshold)
        if self._began_s is None:
            return self._push_before(at_s)
        if self._voiced:
            return self._speech(at_s)
        return None if self._awaiting else self._silence(at_s)

    def _push_before(self, at_s: float) -> Started | None:
        if not self._voiced:
            if self._onset_s is not None and self._reached(at_s - self._voice_end_s, 2 * self._window_s):
                self._onset_s = None
            return None
        if self._onset_s is None:
            self._onset_s = at_s - self._window_s
            self._onset_windows = 0
        self._onset_windows += 1
        self._voice_end_s = at_s
        if self._reached(self._onset_windows * self._window_s, self._pace.min_speech_s):
            return self.accept()
        return None

    def _speech(self, at_s: float) -> Resumed | None:
        self._voice_end_s = at_s
        self._awaiting = False
        if not self._paused:
            return None
        self._paused = False
        return Resumed()

    def _silence(self, at_s: float) -> ShortSilence | Ended | None:
        silence_s = at_s - self._voice_end_s
        if self._reached(silence_s, self._pace.silence_s):
            return self.end(at_s)
        if not self._paused and self._reached(silence_s, self._pace.checkpoint_s):
            self._paused = True
            return ShortSilence()
        return None

    def _reached(self, length_s: float, limit_s: float) -> bool:
        return length_s > limit_s - self._window_s / 2

    def begin(self, at_s: float) -> Started | None:
        """Start an utterance without hearing speech: silence counts only once something was said.

        None when one has started already.
        """
        if self._began_s is not None:
            return None
        self._awaiting = True
        self._voice_end_s = at_s
        return self._start(at_s)

    def accept(self) -> Started | None:
        """Take speech that is not long enough yet for an utterance; None when there is none."""
        return self._start(self._onset_s) if self._onset_s is not None else None

    def _start(self, at_s: float) -> Started:
        self._began_s = at_s
        self._onset_s = None
        return Started(at_s)

    def end(self, at_s: float) -> Ended | None:
        """End the utterance; None when there is none. Speech that goes on is a new one.

        `at_s` is now: where nothing was recognised as speech, all until then is taken for it.
        """
        began_s, self._began_s = self._began_s, None
        end_s = at_s if self._awaiting else self._voice_end_s
        self._onset_s = None
        self._voiced = self._awaiting = self._paused = False
        return Ended(end_s - began_s, end_s) if began_s is not None else None
