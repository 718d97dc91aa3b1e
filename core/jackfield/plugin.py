"""What a plugin says of itself, and what it is given when it is built."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from pluggy import HookimplMarker
from pydantic import BaseModel, ConfigDict

PROJECT: Final = "jackfield"
API: Final = 1
"""Version of the plugin interface. It grows only by addition: whatever was made for 1 goes on working."""

Kind = Literal["llm", "stt", "tts", "session", "transport", "realtime", "vad", "auth", "extension"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

Role = Literal["windows", "records", "signals", "shared"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

hookimpl = HookimplMarker(PROJECT)
"""Marks a function of a plugin's module as the implementation of the hook of the same name."""


class Options(BaseModel):
    """Base of every plugin's options: frozen, unknown keys refused, secrets as `pydantic.SecretStr`.

    Defaults stand here and nowhere else; the reference documentation and the JSON schema of the
    configuration file are generated from the fields and their descriptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What can be said of a configured plugin without any input or output.

    Fields that a kind has no use for keep their defaults. An empty tuple of languages, voices or models
    means "not limited, or not known".
    """

    streaming: bool = False
    """LLM: yields text before the answer is complete. STT: gives partials. TTS: takes text in pieces."""
    languages: tuple[str, ...] = ()
    """BCP 47 tags."""
    voices: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    context_tokens: int | None = None
    """LLM: tokens of prompt and answer together; None when not known."""
    keeps_prefixes: bool = False
    """LLM: keeps what it has computed of a prompt's beginning for later prompts, at no price. Such a model is
    shown the instructions of every scenario when the server starts."""
    network: bool = False
    """Whether it talks to anything beyond this machine."""
    roles: tuple[Role, ...] = ()
    """Session store: roles it offers. Transport, authentication, extension: roles it needs."""
    persistent: tuple[Role, ...] = ()
    """Session store: roles whose data survive a restart."""
    cancel_s: float = 0.1
    """Seconds within which a cancelled computation really stops."""
    max_concurrency: int | None = None
    """Requests it serves at once; further ones wait. None means it sets no bound of its own."""
    lets_all_in: bool = False
    """Authentication: is configured so that everybody is let in."""
    replicated: bool = False
    """Session store: several servers may use it at the same time. They then take turns in a conversation, and
    count requests together, by its role `shared`."""


def _no_capabilities(_options: Options) -> Capabilities:
    return Capabilities()


@dataclass(frozen=True, slots=True)
class PluginInfo:
    """What `plugin_info()` returns. Making it must not import the plugin's SDK."""

    kind: Kind
    name: str
    """The entry point's name, and the word that `use` takes."""
    summary: str
    """One line for `jackfield plugins`."""
    options: type[Options] = Options
    extra: str | None = None
    """What to install when the SDK is missing, as pip takes it: `jackfield[piper]`."""
    api: int = 1
    """The lowest version of the plugin interface that has all that the plugin uses."""
    capabilities: Callable[..., Capabilities] = field(default=_no_capabilities)
    """Called with the validated options."""


@dataclass(frozen=True, slots=True)
class Site:
    """The place an object is built for."""

    section: str
    """Section of the configuration file, for messages: `llm`, `llm.named.gpt-4`, `transport.1`."""
    plugin: str
    """Name of the plugin."""
    logger: logging.Logger
    """Never give it transcripts, prompts, audio or keys."""
    mount: str = ""
    """Transports: prefix of all routes, without a trailing slash; empty at the root."""
    extensions: Mapping[str, Options] = field(default_factory=dict)
    """Options of every configured extension by name, for extensions that wrap a factory."""
    production: bool = False
    """Whether the server's environment is production, where weak secrets stop the start."""
