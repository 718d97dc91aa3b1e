"""Language models: messages in, text and tool calls out."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from jackfield.contracts.failover import Failover


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function the model wants called. `arguments` is the JSON text of an object, complete."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt.

    An assistant message may carry `tool_calls`; each is answered by a message of role `tool` whose
    `tool_call_id` names it and whose `content` is the result.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A function the model may call; `parameters` is a JSON schema of its one object argument."""

    name: str
    description: str
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one generation; `cached_tokens` of the prompt's were not computed again."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    estimated: bool = False
    """Whether the model told no figures, and they were reckoned from the texts."""


FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a generation: why, at what cost, by which model of which provider."""

    reason: FinishReason
    usage: Usage | None = None
    model: str = ""
    provider: str = ""
    """Of a turn: the plugin that answered, of a chain the one that served."""
    cached: bool | None = None
    """Of a turn: whether a cache gave the answer. False: it was asked in vain. None: none was asked."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Everything a model is told. None leaves a setting to the plugin's options."""

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    """Most tokens of the answer."""
    stop: tuple[str, ...] = ()
    """Texts that end the answer; they are not part of it."""
    conversation: str | None = None
    """Opaque; the same for all turns of a conversation, so that a computed prefix can be kept."""
    user: str | None = None
    """A pseudonym of the user, for providers that ask for one."""
    warming: bool = False
    """Whether nothing of the answer is wanted, only that the beginning of the prompt is computed."""
    failover: Failover | None = field(default=None, compare=False, repr=False)
    """For chains alone."""


LLMOutput = str | ToolCall | Finish


@runtime_checkable
class LLM(Protocol):
    """A language model."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """Yield pieces of text (possibly empty) and whole tool calls as they come, then one `Finish`.

        Several generations may run at once. Closing the generator (`aclose`, or cancelling the task
        that awaits it) ends the generation: the caller has control within 100 ms, and the computation
        itself stops within the declared `cancel_s`.

        :raises ProviderError: in one of its categories; nothing of an SDK's own errors escapes.
        """
        ...


@runtime_checkable
class TokenCounter(Protocol):
    """A language model that can say how long a text is; optional.

    Without it the core estimates, so a model that has its tokenizer at hand should offer this.
    """

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, without the chat template's own. Quick: it is called on the event loop."""
        ...
