"""The panel: all that a transport, an authentication plugin or an extension may touch."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

from jackfield.contracts.auth import UserId
from jackfield.contracts.call import Calls
from jackfield.contracts.extension import Upload
from jackfield.contracts.forwarding import Forwarding
from jackfield.contracts.session import Records, Shared, Signals, Window, Windows
from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import ClipAnswer, ConversationRef, TurnOutput, TurnRequest


@dataclass(frozen=True, slots=True)
class Heard:
    """The words of a recording."""

    text: str = field(repr=False)
    language: str | None
    """BCP 47 tag: what the recogniser detected, else what was asked for."""
    duration_s: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as sound, compressed into a whole file."""

    data: bytes = field(repr=False)
    media_type: str
    duration_s: float


class Assistant(Protocol):
    """What happens between a user's message and the answer."""

    async def hear(self, upload: Upload, language: str | None = None) -> Heard:
        """Give the words of a recording, and do nothing else with them.

        A label `audio/l16; rate=16000` says that the bytes are PCM, signed 16-bit little-endian, mono.

        :raises ProtocolError: for a recording that cannot be used, as `reply_to_clip` does; 422
            `voice_not_configured` without a recogniser; 502 `stt_failed`, 504 `stt_timeout`.
        """
        ...

    async def speak(self, text: str, voice: Voice | None = None) -> Spoken:
        """Give a text as sound; without `voice`, in that of the configuration file.

        :raises ProtocolError: 422 `voice_not_configured` without a voice; 502 `tts_failed`, 504
            `tts_timeout`.
        """
        ...

    def reply(self, request: TurnRequest) -> AsyncGenerator[TurnOutput, None]:
        """Answer a message: pieces of text and tool activity as they come, then one `Finish`.

        Turns of one conversation run one at a time in the order of the calls. The turn is stored before
        `Finish` is yielded. Closing the generator cancels the turn and stores nothing.

        :raises ProtocolError: 429 `session_busy` when too many already wait; 502 `llm_failed` or 504
            `llm_timeout` when the model failed, and nothing was stored.
        :raises StoreUnavailable: when the conversation cannot be read or stored.
        """
        ...

    async def reply_to_clip(self, request: TurnRequest, upload: Upload) -> ClipAnswer:
        """Answer a recorded message in text and, where there is a voice, in sound.

        `request.text` is not used: the transcript takes its place.

        :raises ProtocolError: for a clip that cannot be used (`unsupported_audio_type`,
            `audio_undecodable`, `audio_too_long`, `no_speech`, `file_rejected`, ...).
        """
        ...


class Clips(Protocol):
    """Stored spoken answers, served under unguessable names and cleaned up by age and size."""

    async def save(self, pcm: bytes, rate_hz: int) -> str:
        """Compress and store; gives the file's name. PCM, signed 16-bit little-endian, mono.

        :raises StoreUnavailable: when the disk or the object store does not take it.
        """
        ...

    async def compress(self, pcm: bytes, rate_hz: int) -> tuple[bytes, str]:
        """Give a whole file as stored clips are, and its media type; stores nothing."""
        ...

    async def find(self, name: str) -> StoredClip | None:
        """Give a clip; None for a name that is malformed, unknown or expired.

        :raises StoreUnavailable: when that cannot be told now.
        """
        ...

    def url(self, name: str, route: str) -> str:
        """Address for clients: `route` is the path of the transport's own audio route, mount included."""
        ...


@dataclass(frozen=True, slots=True)
class StoredClip:
    """A clip that can be served now, by `jackfield.web.clip.ClipResponse` for one."""

    path: Path
    """The file. Of a clip that is kept elsewhere, which has `content`, its name alone."""
    media_type: str
    expires_in_s: int
    content: ClipContent | None = None


class ClipContent(Protocol):
    """A stored clip that is no file of this machine."""

    @property
    def size_bytes(self) -> int:
        """Size of all of it."""
        ...

    def read(self, part: range) -> AsyncGenerator[bytes, None]:
        """Give the bytes at these places, in pieces.

        :raises FileNotFoundError: when the clip was deleted in the meantime.
        :raises StoreUnavailable: when it cannot be read now.
        """
        ...


class Sessions(Protocol):
    """Conversations and stores. A role no store has is None; the loader saw to it that needs are met."""

    windows: Windows | None
    records: Records | None
    signals: Signals | None
    shared: Shared | None

    def owner(self, user: UserId) -> str:
        """The user of somebody's records: the same behind every door of one section of authentication."""
        ...

    async def window(self, conversation: ConversationRef) -> Window | None:
        """Give what is remembered of a conversation; None when unknown or expired."""
        ...

    async def refresh(self, conversation: ConversationRef) -> bool:
        """Restart a conversation's clock; False when unknown or expired."""
        ...

    async def set_preferences(self, conversation: ConversationRef, preferences: Mapping[str, Any]) -> None:
        """Replace the preferences; `voice` in them is an object with the fields of `Voice`."""
        ...

    def new_session_id(self, user: UserId) -> str:
        """Issue an unguessable session id (128 random bits) that is this user's alone."""
        ...

    def issued(self, conversation: ConversationRef) -> bool:
        """Whether the conversation's session id was issued by `new_session_id` to its user."""
        ...


class Limits(Protocol):
    """Rate limits."""

    async def check_user(self, user: UserId) -> None:
        """Count a request of the user.

        :raises ProtocolError: 429 `rate_limited` with `Retry-After`.
        """
        ...

    async def check_session(self, conversation: ConversationRef) -> None:
        """Count a request in the conversation; raises as `check_user` does."""
        ...

    async def check_address(self, connection: HTTPConnection) -> None:
        """Count a request from the client's address; raises as `check_user` does."""
        ...


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """A scenario as clients see it."""

    name: str
    title: str
    voice: Voice


class Scenarios(Protocol):
    """Named instructions and voices."""

    def names(self) -> Sequence[str]:
        """Every scenario of the configuration file, and those that doors bring along."""
        ...

    def get(self, name: str) -> ScenarioInfo | None:
        """One of them."""
        ...


class Metric(Protocol):
    """A counter, gauge or histogram; label values in the order of the label names."""

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Counter, gauge: add."""
        ...

    def set(self, value: float, *labels: str) -> None:
        """Gauge: be this."""
        ...

    def observe(self, value: float, *labels: str) -> None:
        """Histogram: take this."""
        ...


class Metrics(Protocol):
    """Figures on `/metrics`. Labels never hold user, session or message data."""

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Metric:
        """Make a counter, or give the one of that name."""
        ...

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Metric:
        """Make a gauge, or give the one of that name."""
        ...

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()
    ) -> Metric:
        """Make a histogram, or give the one of that name. Times are in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class PanelSettings:
    """What of the configuration file a door may need to know."""

    max_audio_bytes: int
    max_audio_s: float
    max_body_bytes: int
    session_ids: str
    """`client`: clients make session ids; `server`: only ids that this server made start a session."""
    request_s: float
    """Seconds a whole HTTP request may take."""
    public_url: str = ""
    """Address of this server as clients see it, without a slash at the end; empty when it is not told."""


class Panel(Protocol):
    """What a door or an extension is given. Nothing is a global."""

    settings: PanelSettings
    assistant: Assistant
    calls: Calls
    clips: Clips
    sessions: Sessions
    limits: Limits
    scenarios: Scenarios
    metrics: Metrics
    models: Sequence[str]
    """Names and aliases of the language models that a turn may ask for."""
    authenticates: bool
    """Whether the door has a section of authentication, and that turns anybody away."""
    forwarding: Forwarding

    async def identify(self, connection: HTTPConnection) -> UserId | None:
        """Say who sent the request, by the door's authentication section; None when it has none.

        :raises ProtocolError: 401 `not_authenticated`.
        """
        ...

    def check_origin(self, connection: HTTPConnection) -> None:
        """Refuse a WebSocket that a page of a foreign web site opened.

        Browsers let any page open one, and say in `Origin` where it is from. Welcome are `cors_origins` of
        the configuration file, pages of this server itself, and clients that are no browsers.

        :raises ProtocolError: 403 `origin_not_allowed`.
        """
        ...

    def request_id(self, connection: HTTPConnection) -> str:
        """The id of a request, which is in its log lines and errors; of a WebSocket as long as it lives."""
        ...

    def claimed(self, subject: str) -> UserId:
        """A user that a client merely claims to be, in a namespace of this mount's (or extension's) own."""
        ...

    def is_user(self, claimed: str, user: UserId) -> bool:
        """Whether the id that a client claims names the authenticated user."""
        ...
