"""The seam between a call and whatever listens and answers in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jackfield.contracts.call import EndReason
from jackfield.dialogue.call.endpointing import CallState
from jackfield.dialogue.call.hearing import EarListener


class Host(Protocol):
    """The call, as its responder sees it. Plain functions that return at once."""

    def set_state(self, state: CallState) -> None:
        """The call listens, prepares an answer or is heard from now on. The same again changes nothing."""
        ...

    def user_active(self) -> None:
        """The user did something, so the call is not idle."""
        ...

    def silent_for_s(self, since_s: float) -> float:
        """Seconds of sound that came since `since_s`, in the ear's time."""
        ...

    def end_speech(self) -> None:
        """End the user's utterance now: `speech_ended` follows."""
        ...

    def hang_up(self, reason: EndReason) -> None:
        """End the call."""
        ...


class Responder(EarListener, Protocol):
    """Listens and answers: a cascade of recogniser, model and voice, or one model that does all three.

    All but `run` are plain functions that return at once, and may be called before it. It is told what the
    ear of the call hears.
    """

    def give_way(self) -> None:
        """The user wants to speak: stop what is said; a question without an answer stays open."""
        ...

    def text(self, text: str) -> None:
        """Answer a typed message, normalised and not empty."""
        ...

    def interrupt(self) -> None:
        """Stop the answer that is being spoken or prepared, and forget what it was to answer."""
        ...

    def played(self, item: int) -> None:
        """All sound of the item was heard."""
        ...

    def switch(self, scenario: str) -> None:
        """Play another part from the next answer on.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        ...

    async def run(self) -> None:
        """Listen and answer until cancelled.

        :raises ProviderError: when it cannot go on; users were told of it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Left:
    """What the user said, and nobody has answered."""

    text: str = ""
    sound: bytes = b""
    """What nobody has heard: PCM, signed 16-bit little-endian, mono, at the rate of the call."""
    said: bool = False
    """Whether the client says that the user has finished what is in the sound."""


@runtime_checkable
class Replaceable(Protocol):
    """What a responder is as well for which another can go on."""

    def left(self) -> Left:
        """What the next one has to answer, once `run` has failed."""
        ...
