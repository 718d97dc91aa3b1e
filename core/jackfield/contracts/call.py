"""Live calls: a door brings sound and plays sound, the core holds the conversation.

Sound is PCM, signed 16-bit little-endian, mono, in whole samples, at the rate that is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import ConversationRef, ToolFinished, ToolStarted

Turns = Literal["auto", "explicit"]
"""Who says when the user has finished: the server, from voice activity; or the client."""

EndReason = Literal["hung_up", "idle", "too_long", "provider_lost", "bad_audio", "shutdown"]
"""Why a call ended: the client left or said so; nobody spoke; it took too long; ..."""


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What a call begins with. None leaves a choice to the scenario and the configuration file."""

    conversation: ConversationRef
    transport: str
    """Name of the transport plugin, a label of metrics."""
    rate_hz: int
    """Samples a second of the sound that `Call.feed` will be given."""
    turns: Turns = "auto"
    username: str = ""
    scenario: str | None = None
    llm: str | None = None
    """A named model; `stt` and `tts` likewise."""
    stt: str | None = None
    tts: str | None = None
    language: str | None = None
    voice: Voice | None = None
    greet: bool = True
    """Whether the scenario's greeting is spoken at the start, where it has one."""
    listens: bool = True
    """Whether the user may speak. Without it there is no recogniser, and sound that is fed is dropped."""
    speaks: bool = True
    """Whether answers are spoken. Without it there is no voice and nothing is played: what was told as
    `ReplyText` counts as heard, and nobody has to say `Call.played`."""
    pipeline: Literal["cascade", "realtime"] | None = None
    """Who listens and answers: a recogniser, a model and a voice, or one speech-to-speech model."""
    realtime: str | None = None
    """A named speech-to-speech model; naming one chooses that pipeline."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The user began to speak."""


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """The user's turn is over, or what was taken for speech was none."""


@dataclass(frozen=True, slots=True)
class UserText:
    """What the user said: a guess that may change, or what the answer will be to."""

    text: str
    final: bool


@dataclass(frozen=True, slots=True)
class ReplyStarted:
    """The answer `item` begins; everything about an earlier one is over."""

    item: int


@dataclass(frozen=True, slots=True)
class ReplyText:
    """More words of the answer, as the model writes them: ahead of the sound."""

    item: int
    text: str


@dataclass(frozen=True, slots=True)
class ReplyFinished:
    """The answer was heard to its end, or to where the user interrupted it.

    `text` is what was heard and stored. `stages` maps names of the turn's stages to seconds since the
    user stopped speaking (or since the turn began, where nobody spoke).
    """

    item: int
    text: str
    outcome: Literal["ok", "interrupted", "failed"]
    stages: Mapping[str, float] = field(default_factory=dict)
    providers: Mapping[str, str] = field(default_factory=dict)
    """Who did it: `stt`, `llm`, `tts` or `realtime` to the plugin, of a chain the one that served. What an
    extension answered in place of the model is the extension's."""


@dataclass(frozen=True, slots=True)
class CallTrouble:
    """Something failed; the call goes on. `code` is one of the error codes of the HTTP doors."""

    code: str


CallEvent = (
    SpeechStarted
    | SpeechStopped
    | UserText
    | ReplyStarted
    | ReplyText
    | ToolStarted
    | ToolFinished
    | ReplyFinished
    | CallTrouble
)


class CallLeg(Protocol):
    """The door's side of a call: it plays sound and knows what of it was heard.

    All are plain functions, called on the event loop, that return at once. Sound of one item at a time
    is played; an item's number is higher than that of every earlier one.
    """

    @property
    def rate_hz(self) -> int:
        """Samples a second of the sound that `play` takes."""
        ...

    def play(self, item: int, pcm: bytes) -> None:
        """Add sound to the end of what is to be played."""
        ...

    def end(self, item: int) -> None:
        """No more sound of the item will come. `Call.played(item)` is owed once all of it was heard."""
        ...

    def pause(self) -> None:
        """Be silent at once, and keep what was not heard yet. More sound may be added meanwhile."""
        ...

    def resume(self) -> None:
        """Go on after `pause`, where the listener heard it stop."""
        ...

    def clear(self) -> None:
        """Be silent at once and forget what was not heard yet; the item is over and nothing is owed."""
        ...

    def heard_s(self) -> float:
        """Seconds of the current or last item that the listener has heard; never more than was given."""
        ...

    def ahead_s(self) -> float:
        """Seconds of sound that were given and not heard yet."""
        ...

    def tell(self, event: CallEvent) -> None:
        """Let the client know."""
        ...


class Call(Protocol):
    """The core's side of a call. All but `run` are plain functions that return at once."""

    def feed(self, pcm: bytes) -> None:
        """Take sound of the user, as it comes in."""
        ...

    def begin_speech(self) -> None:
        """The client says that the user begins to speak: forgets sound of before, interrupts an answer."""
        ...

    def end_speech(self) -> None:
        """The client says that the user has finished. With turns `auto` it may, with `explicit` it must."""
        ...

    def text(self, text: str) -> None:
        """Take a typed message: it interrupts an answer and is answered like a spoken one."""
        ...

    def interrupt(self) -> None:
        """Stop the answer that is being spoken or prepared."""
        ...

    def played(self, item: int) -> None:
        """All sound of an ended item was heard."""
        ...

    def mute(self, *, on: bool) -> None:
        """Stop listening, or listen again. Sound that is fed meanwhile is dropped."""
        ...

    def digit(self, digit: str) -> None:
        """A key of a telephone (0-9, *, #, A-D) was pressed."""
        ...

    def switch(self, scenario: str) -> None:
        """Play another scenario from the next answer on; the conversation so far is kept.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        ...

    def hang_up(self, reason: EndReason = "hung_up") -> None:
        """End the call: `run` returns."""
        ...

    async def run(self) -> EndReason:
        """Hold the conversation until the call ends; gives the reason. Cancelling it ends the call too."""
        ...


class Calls(Protocol):
    """Where calls are opened."""

    def open(self, request: CallRequest, leg: CallLeg) -> AbstractAsyncContextManager[Call]:
        """Open a call; its providers are released when it is left. `run` does the work meanwhile.

        :raises ProtocolError: 404 `scenario_not_found`, 422 `invalid_request` for a provider that is not
            configured, 422 `voice_not_configured` where a call that speaks has no voice and where one that
            listens has no recogniser or, for turns `auto`, no voice activity detector; 503
            `too_many_calls`, `server_stopping`.
        """
        ...

    async def check(self, request: CallRequest) -> None:
        """Find out whether such a call could be answered now.

        A speech-to-speech model is asked for a session, and gives it back at once. Nobody is asked where
        recogniser, model and voice answer, or would in the place of such a model.

        :raises ProtocolError: 422 `voice_not_configured`, `invalid_request` as `open` does.
        :raises ProviderError: when the model gives no session.
        """
        ...
