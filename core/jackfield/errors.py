"""Every error Jackfield raises on purpose.

JackfieldError
├── ConfigError                 the configuration file; the operator mends it
├── PluginError                 an installed plugin; one subclass for each way it can fail to load
│   ├── PluginNotFound
│   ├── PluginCannotLoad
│   ├── PluginWrongContract
│   ├── PluginWrongOptions
│   └── PluginCannotStart
├── ProviderError               a model or a service; the world's fault
│   ├── ProviderUnavailable     no connection, a server error, a process that died
│   ├── ProviderRateLimited     the provider asks to wait
│   ├── ProviderUnauthorized    the credentials were refused
│   ├── ProviderTimedOut        no useful output in time
│   ├── ProviderBadReply        an answer that cannot be understood
│   └── ProviderRefused         this request is not acceptable, and would not be elsewhere
│       ├── ContextTooLong      the prompt does not fit the model
│       └── ContentFiltered     the provider's content filter stopped it
├── StoreUnavailable            a session store that cannot be reached, or is full
├── ToolFailed                  a tool's own words for the model, of why it failed
└── ProtocolError               a client's request; carries the HTTP status and a stable code

Messages of provider errors may quote what a provider said: they go to the log, never to a client.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar


class JackfieldError(Exception):
    """The root of the tree."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration, and what to do about it.

    `section` is where in the file (`llm.options.model`), `message` what is wrong there, `fix` the step
    that mends it. None of them ever holds a secret. As a string it is one line, whatever they hold.
    """

    section: str
    message: str
    fix: str

    def __str__(self) -> str:
        return " ".join(f"[{self.section}] {self.message} {self.fix}".split())


@dataclass(frozen=True, slots=True)
class UnknownKey(Problem):
    """A key that nothing reads, whatever its value."""

    key: str


class ConfigError(JackfieldError):
    """Raised when a configuration cannot be used; `problems` lists everything wrong with it at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class PluginError(JackfieldError):
    """Raised when a plugin cannot be used; `problems` say where it was named and how to mend it."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class PluginNotFound(PluginError):
    """Raised when no installed distribution has a plugin of that kind and name, or more than one has."""


class PluginCannotLoad(PluginError):
    """Raised when importing the plugin, or the SDK that it needs, failed."""


class PluginWrongContract(PluginError):
    """Raised when the module or the object it built is not what its kind promises."""


class PluginWrongOptions(PluginError):
    """Raised when the options do not fit the plugin."""


class PluginCannotStart(PluginError):
    """Raised when a built object failed to open what it needs (a model, a socket, a folder)."""


class ProviderError(JackfieldError):
    """Raised by a provider during a request. Plugins turn their SDK's exceptions into one of these."""

    retryable: ClassVar[bool] = False
    """Whether the same request may succeed at the same provider a little later."""

    fails_over: ClassVar[bool] = True
    """Whether another provider may succeed where this one failed."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ProviderUnavailable(ProviderError):
    """Raised when the provider cannot be reached, answers with a server error or has died."""

    retryable = True


class ProviderRateLimited(ProviderError):
    """Raised when the provider asks to wait; `retry_after_s` says how long, when it told."""

    retryable = True


class ProviderUnauthorized(ProviderError):
    """Raised when the provider refused the credentials."""


class ProviderTimedOut(ProviderError):
    """Raised when no useful output came in time."""

    retryable = False


class ProviderBadReply(ProviderError):
    """Raised when the provider's answer cannot be understood."""


class ProviderRefused(ProviderError):
    """Raised when the request itself is not acceptable; another provider is not asked."""

    fails_over = False


class ContextTooLong(ProviderRefused):
    """Raised when the prompt does not fit the model's context."""


class ContentFiltered(ProviderRefused):
    """Raised when the provider's content filter stopped the request or the answer."""


class StoreUnavailable(JackfieldError):
    """Raised when a session store cannot be reached, did not answer in time, or is full."""


class ToolFailed(JackfieldError):
    """Raised by a tool that failed, to say so in its own words.

    The message is the result that the model is given, and may hold what a user said: it is never logged.
    """


@dataclass(frozen=True, slots=True)
class FieldError:
    """One field that breaks its rule: the field's wire name, a stable code and one plain sentence."""

    field: str
    code: str
    message: str


@dataclass(eq=False)  # with equality it would have no hash, which exceptions need
class ProtocolError(JackfieldError):
    """Raised for a request that a client must change (or repeat later) to be served.

    `status` is the HTTP status, `code` stable snake_case, `detail` one plain sentence that is safe to
    show. `errors` lists fields on 422, `headers` are added to the HTTP answer (`Retry-After`), `members`
    to the object in its body where a protocol asks for more (`error` of OAuth 2.0).
    """

    status: int
    code: str
    detail: str
    errors: tuple[FieldError, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.code}: {self.detail}"
