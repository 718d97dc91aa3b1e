"""What a speaker has said that no final transcript answers yet, to be said again to another recogniser."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from jackfield.contracts.stt import STTStream


@dataclass(slots=True)
class _Utterance:
    """Sound between two ends."""

    sound: list[bytes] = field(default_factory=list)
    checkpoint: int | None = None
    """How many pieces of sound there were at the last checkpoint."""
    ended: bool = False
    forgotten: bool = False
    """Whether nobody wants its transcript."""


class Utterances:
    """The utterances of a stream that were not answered, the running one last."""

    def __init__(self) -> None:
        self._all: deque[_Utterance] = deque([_Utterance()])

    @property
    def pending(self) -> int:
        """How many have ended whose transcripts are still to come."""
        return len(self._all) - 1

    @property
    def silent(self) -> bool:
        """Whether there is nothing to be recognised."""
        return not (self.pending or self.running)

    @property
    def running(self) -> bool:
        """Whether there is sound of one that has not ended."""
        return bool(self._all[-1].sound)

    @property
    def hushed(self) -> bool:
        """Whether what is heard now belongs to an utterance that nobody wants to know of."""
        return self._all[0].forgotten

    def push(self, pcm: bytes) -> None:
        """Remember sound."""
        self._all[-1].sound.append(pcm)

    def checkpoint(self) -> None:
        """Remember where a tentative transcript was asked for; the last place counts."""
        self._all[-1].checkpoint = len(self._all[-1].sound)

    def end(self) -> None:
        """The running one has ended."""
        self._all[-1].ended = True
        self._all.append(_Utterance())

    def forget(self) -> None:
        """The running one has ended, and nobody wants its transcript."""
        self._all[-1].forgotten = True
        self.end()

    def discard(self) -> None:
        """The running one never was."""
        self._all[-1] = _Utterance()

    def answered(self) -> bool:
        """The oldest has its transcript; says whether that is wanted."""
        return not self._all.popleft().forgotten

    def say_to(self, stream: STTStream) -> None:
        """Say everything that is wanted once more."""
        self._all = deque(utterance for utterance in self._all if not utterance.forgotten)
        for utterance in self._all:
            sound, at = utterance.sound, utterance.checkpoint
            if at is not None and not utterance.ended:
                _push(stream, sound[:at])
                stream.checkpoint()
                sound = sound[at:]
            _push(stream, sound)
            if utterance.ended:
                stream.end_utterance()


def _push(stream: STTStream, sound: list[bytes]) -> None:
    if sound:
        stream.push(b"".join(sound))
