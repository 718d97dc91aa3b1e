"""Every section of the configuration file. Defaults stand here and nowhere else.

The reference documentation and the JSON schema are generated from these models; options of plugins are
checked against the plugin's own model when the panel is assembled.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

MIB = 1024 * 1024


class Section(BaseModel):
    """A table of the file: frozen, unknown keys refused, values never shown in an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


def _mount(value: str) -> str:
    if not re.fullmatch(r"/|(/[A-Za-z0-9._~-]+)+/?", value):
        raise ValueError('a mount is "/" or a path such as "/chat"')
    return value.rstrip("/")


def _bucket(value: str) -> str:
    if not re.fullmatch(r"(s3|az|gs)://[\w.-]+(/[^\s?#@]*)?|file:///[^\s?#]+", value):
        raise ValueError(
            "clips are kept at s3://BUCKET/PREFIX, az://CONTAINER/PREFIX, gs://BUCKET/PREFIX or "
            "file:///FOLDER; keys and endpoints belong into the options or the environment"
        )
    return value.rstrip("/")


def _origin(value: str) -> str:
    if value != "*" and not re.fullmatch(r"https?://[^/\s]+", value):
        raise ValueError("an origin is a scheme, a host and perhaps a port: http://localhost:3000")
    return value


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        raise ValueError("a proxy is an address or a network: 10.1.2.3, 10.1.0.0/16") from None
    return value


Mount = Annotated[str, AfterValidator(_mount)]
Origin = Annotated[str, AfterValidator(_origin)]
Network = Annotated[str, AfterValidator(_network)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(gt=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
Bucket = Annotated[str, AfterValidator(_bucket)]

_CASCADE: Final = "cascade"
"""What a chain of speech-to-speech models may end in."""


class ServerSection(Section):
    """Where and how the server listens, and what it says of itself."""

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(
        8000,
        ge=0,
        le=65535,
        description="Port to listen on; 0 takes a free one. Without this key the environment's PORT, "
        "else SERVER_PORT, is used.",
    )
    tls_cert: str | None = Field(None, description="Certificate file (PEM) to serve TLS with.")
    tls_key: str | None = Field(None, description="Private key file (PEM) of the certificate.")
    trusted_proxies: tuple[Network, ...] = Field(
        ("127.0.0.1", "::1"),
        description="Addresses or networks of proxies whose X-Forwarded-For and X-Forwarded-Proto count.",
    )
    public_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address under which clients reach this server."
    )
    allow_anonymous: bool = Field(
        False, description="Allow an address other than loopback with a transport that has no authentication."
    )
    environment: Literal["development", "production"] = Field(
        "development",
        description="`production` refuses weak secrets and hides /docs. Without this key: ENVIRONMENT.",
    )
    secret_key: SecretStr | None = Field(
        None, description="At least 16 characters; keys the digests under which conversations are stored."
    )
    cors_origins: tuple[Origin, ...] = Field((), description="Web origins that browsers may call from.")
    cors_credentials: bool = Field(
        True, description="Whether those origins may send cookies and credentials; never with `*`."
    )
    docs: bool | None = Field(None, description="Serve /docs; by default everywhere but in production.")
    metrics: bool = Field(True, description="Serve /metrics.")
    metrics_token: SecretStr | None = Field(None, description="Bearer token that /metrics asks for.")
    title: str = Field("Jackfield", description="Title of the API in /docs.")
    version: str = Field("1.0.0", description="Version of the API in /docs.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level logged.")
    log_format: Literal["text", "json"] = Field("text", description="One line of text or of JSON an event.")
    log_file: str | None = Field(None, description="File that gets the log too.")
    websocket_compression: bool = Field(False, description="Compress every WebSocket message.")


class ProviderSection(Section):
    """One plugin: `use` names it, `options` are its own."""

    use: str = Field(description="Name of the plugin; `jackfield plugins` lists what is installed.")
    options: dict[str, Any] = Field(default_factory=dict, description="The plugin's options.")


class ChainedSection(ProviderSection):
    """A provider, and those that stand in for it."""

    fallback: tuple[ProviderSection, ...] = Field(
        (),
        description="Providers that are asked in order when the one above fails. The last of a "
        'speech-to-speech model may be `use = "cascade"`: recogniser, model and voice go on with the call.',
    )

    def ends_in_cascade(self, kind: str) -> bool:
        """Whether a call goes on without a speech-to-speech model where none is to be had."""
        return kind == "realtime" and bool(self.fallback) and self.fallback[-1].use == _CASCADE

    def stand_ins(self, kind: str) -> tuple[ProviderSection, ...]:
        """The providers behind the first; a cascade is none."""
        return self.fallback[:-1] if self.ends_in_cascade(kind) else self.fallback


class NamedSection(ChainedSection):
    """A provider that is chosen by name."""

    aliases: tuple[str, ...] = Field((), description="Other names for it.")


class ChainSection(ChainedSection):
    """The default provider of a kind, and others that are chosen by name."""

    named: dict[str, NamedSection] = Field(
        default_factory=dict, description="Providers chosen by name: by a client, a transport or a scenario."
    )


class SessionSection(ProviderSection):
    """Where conversations are kept. The plugin serves every role it has; a role may have its own."""

    use: str = Field("memory", description="Name of the plugin.")
    windows: ProviderSection | None = Field(None, description="Another store for expiring conversations.")
    records: ProviderSection | None = Field(None, description="Another store for users and conversations.")
    signals: ProviderSection | None = Field(None, description="Another store for signals between doors.")
    shared: ProviderSection | None = Field(None, description="Another store for counters and leases.")
    ttl_seconds: Positive = Field(1800, description="Life of an expiring conversation since its last turn.")
    max_messages: Count = Field(10, description="Messages kept, and given to the model, of one of those.")
    ids: Literal["client", "server"] = Field(
        "client", description="Who makes session ids; `server` refuses ids that it did not issue."
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="Encrypts expiring conversations in the store: 32 random bytes in base64, or several "
        "such keys with commas between, of which the first encrypts and all decrypt.",
    )


class AudioSection(Section):
    """Stored spoken answers."""

    directory: str = Field("static/audio", description="Folder, relative to where the server is started.")
    url: Bucket | None = Field(
        None,
        description="Object store that they are kept in instead: `s3://BUCKET/PREFIX`, "
        "`az://CONTAINER/PREFIX` or `gs://BUCKET/PREFIX`; `file:///FOLDER` is a folder.",
    )
    options: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Settings of the object store by obstore's names, such as `endpoint`, `region`, "
        "`access_key_id`. What is missing or empty is taken from the environment: AWS_..., AZURE_..., "
        "GOOGLE_....",
    )
    format: Literal["mp3", "ogg", "wav"] = Field("mp3", description="How answers are stored.")
    ttl_seconds: Count = Field(3600, description="Age at which a clip is deleted.")
    max_total_bytes: Count = Field(1024 * MIB, description="Size of them all above which the oldest go.")
    public_base_url: str | None = Field(
        None, pattern=r"^https?://\S+$", description="Address (of a CDN) that clips are served from."
    )

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.url is not None and "directory" in self.model_fields_set:
            raise ValueError("`directory` and `url` name two places; remove one of them")
        if self.options and (self.url is None or self.url.startswith("file:")):
            raise ValueError("`options` are those of an object store, which `url` does not name")
        return self


class LimitsSection(Section):
    """How much anybody may ask for."""

    enabled: bool = Field(True, description="Whether the rates are enforced.")
    user_per_minute: Count = Field(30, description="Requests a minute of one user.")
    session_per_minute: Count = Field(20, description="Requests a minute in one conversation.")
    address_per_minute: Count = Field(
        60, description="Requests a minute of one IP address, for requests without an authenticated user."
    )
    waiting_turns: Count = Field(
        8, description="Turns of one conversation that may wait for the running one."
    )
    audio_bytes: Count = Field(10 * MIB, description="Size of a recorded message.")
    audio_seconds: Positive = Field(300, description="Length of a recorded message.")


class TimeoutsSection(Section):
    """Seconds spent waiting for providers."""

    stt_seconds: Positive = Field(30, description="Transcript, from the end of the sound.")
    llm_first_seconds: Positive = Field(30, description="First output of the model.")
    llm_total_seconds: Positive = Field(60, description="All waiting for the model in a turn.")
    tts_seconds: Positive = Field(30, description="First sound of a spoken piece.")
    tool_seconds: Positive = Field(30, description="One call of a tool.")
    failover_seconds: Positive = Field(
        8, description="Without useful output, after which the next provider of a chain is asked instead."
    )
    cooldown_seconds: Positive = Field(
        5,
        description="For which a provider of a chain that failed is left alone; doubles with each failure in "
        "a row, up to 5 minutes.",
    )
    scan_seconds: Positive = Field(30, description="One scanner's look at an upload; then it is refused.")
    store_seconds: Positive = Field(
        5, description="One operation of a session store, or of the object store of clips."
    )
    request_seconds: Positive = Field(120, description="A whole HTTP request or WebSocket message.")
    shutdown_seconds: Positive = Field(10, description="Running turns when the server is asked to stop.")
    drain_seconds: float = Field(
        0,
        ge=0,
        description="Serving on after SIGTERM while /health says 503, so that a load balancer sends nothing "
        "more before the server stops listening.",
    )


class VoiceSection(Section):
    """The voice that is meant; each TTS plugin takes the nearest it has."""

    name: str | None = Field(None, description="A provider's own name for a voice.")
    language: str | None = Field(None, description="BCP 47 tag.")
    gender: Literal["female", "male"] | None = Field(None, description="Gender of the voice.")
    accent: str | None = Field(None, description="Accent: polish, british.")


class ExampleTurn(Section):
    """A question and the answer that shows the model how to answer."""

    user: str = Field(description="What a user might say.")
    assistant: str = Field(description="What the assistant should answer.")


class AssistantSection(Section):
    """What every conversation starts from."""

    instructions: str = Field(
        "You are a helpful assistant.", description="System prompt; {username} may stand in it."
    )
    examples: tuple[ExampleTurn, ...] = Field((), description="Turns shown to the model before the first.")
    voice: VoiceSection = Field(VoiceSection(), description="Voice of spoken answers.")
    language: str | None = Field(None, description="BCP 47 tag of what users speak.")
    greeting: str | None = Field(None, min_length=1, description="What is said when a call begins.")
    temperature: float | None = Field(None, ge=0, le=2, description="0 is the most predictable.")
    max_tokens: Count | None = Field(None, description="Most tokens of an answer.")
    tool_rounds: Count = Field(8, description="Rounds of tool calls in one turn.")


class ScenarioSection(Section):
    """A part the assistant can play; what it does not say is taken from `[assistant]`."""

    title: str | None = Field(None, description="What clients show.")
    instructions: str = Field(description="System prompt; {username} may stand in it.")
    examples: tuple[ExampleTurn, ...] | None = Field(None, description="Turns shown before the first.")
    voice: VoiceSection | None = Field(None, description="Voice of spoken answers.")
    greeting: str | None = Field(None, description="What is said when a call begins; empty is nothing.")
    llm: str | None = Field(None, description="A named model.")
    temperature: float | None = Field(None, ge=0, le=2, description="0 is the most predictable.")


class CallSection(Section):
    """Live calls: when the user has spoken, when the answer falls silent, and how long anything may take."""

    pipeline: Literal["cascade", "realtime"] = Field(
        "cascade",
        description="Who listens and answers: [stt], [llm] and [tts] one after the other, or the "
        "speech-to-speech model of [realtime].",
    )
    start_ms: Positive = Field(64, description="Milliseconds of speech from which on somebody speaks.")
    checkpoint_ms: Positive = Field(
        128, description="Milliseconds of silence after which the words so far are recognised already."
    )
    silence_ms: Positive = Field(320, description="Milliseconds of silence that end the user's turn.")
    pre_roll_ms: float = Field(
        300, ge=0, description="Milliseconds of sound before speech that are recognised with it."
    )
    start_threshold: Probability = Field(0.5, description="Probability from which on sound is speech.")
    stop_threshold: Probability = Field(0.35, description="Probability below which speech has stopped.")
    utterance_seconds: Positive = Field(60, description="Sound after which the user's turn is ended.")
    speculative: bool = Field(
        True,
        description="Whether the model begins to answer before it is certain that the user has finished. "
        "Nothing of it is heard or stored until it is, but the provider may charge for it.",
    )
    interrupt_ms: Positive = Field(100, description="Milliseconds of speech that interrupt the answer.")
    min_words: int = Field(
        0,
        ge=0,
        description="Words that interrupt the answer; with fewer it pauses, and goes on when no more come.",
    )
    ahead_seconds: Positive = Field(10, description="Sound that is made ahead of what was heard, at most.")
    apology: str = Field(
        "Sorry, something went wrong. Please try again.",
        min_length=1,
        description="What is said when a provider failed.",
    )
    stt_seconds: Positive = Field(5, description="Transcript, from the end of the user's turn.")
    llm_first_seconds: Positive = Field(8, description="First output of the model.")
    tts_seconds: Positive = Field(5, description="First sound of a spoken piece.")
    failover_seconds: Positive = Field(
        3, description="Without useful output, after which the next provider of a chain is asked instead."
    )
    idle_seconds: Positive = Field(600, description="Silence of the user that ends the call.")
    max_seconds: Positive = Field(3600, description="Length of a call.")
    max_calls: Count = Field(250, description="Calls at once; further ones are refused.")


class TransportSection(ProviderSection):
    """A door."""

    mount: Mount = Field("/", validate_default=True, description="Prefix of all its routes.")
    auth: str | None = Field(None, description="Name of the [auth.NAME] section that guards it.")


class AuthSection(ProviderSection):
    """A way to say who somebody is."""


class ExtensionSection(ProviderSection):
    """Something that stands around turns, offers tools, scans uploads or watches."""


class Config(Section):
    """The whole file."""

    server: ServerSection = Field(ServerSection(), description="Where and how the server listens.")
    llm: ChainSection | None = Field(None, description="The language model.")
    stt: ChainSection | None = Field(None, description="The speech recogniser.")
    tts: ChainSection | None = Field(None, description="The voice.")
    realtime: ChainSection | None = Field(None, description="The speech-to-speech model.")
    vad: ProviderSection | None = Field(None, description="The voice activity detector.")
    session: SessionSection = Field(SessionSection(), description="Where conversations are kept.")
    assistant: AssistantSection = Field(AssistantSection(), description="What conversations start from.")
    scenarios: dict[str, ScenarioSection] = Field(default_factory=dict, description="Parts to play.")
    transport: tuple[TransportSection, ...] = Field((), description="The doors.")
    auth: dict[str, AuthSection] = Field(default_factory=dict, description="Ways to say who somebody is.")
    extension: tuple[ExtensionSection, ...] = Field((), description="Extensions, outermost first.")
    call: CallSection = Field(CallSection(), description="Live calls.")
    audio: AudioSection = Field(AudioSection(), description="Stored spoken answers.")
    limits: LimitsSection = Field(LimitsSection(), description="How much anybody may ask for.")
    timeouts: TimeoutsSection = Field(TimeoutsSection(), description="Seconds of waiting.")
