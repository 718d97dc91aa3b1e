"""One answer in the making."""

from __future__ import annotations

from dataclasses import dataclass, field

from jackfield.contracts.llm import FinishReason, GenerationRequest, Usage
from jackfield_llm_llama_cpp.answer_text import AnswerText
from jackfield_llm_llama_cpp.delivery import Delivery
from jackfield_llm_llama_cpp.sampler import Sampler
from jackfield_llm_llama_cpp.slots import Slot


@dataclass(eq=False)
class Generation:
    """A request and where it has got to. All but `cancelled` belongs to the worker's thread."""

    request: GenerationRequest
    delivery: Delivery
    cancelled: bool = False
    """Set under the engine's lock, by whoever no longer wants the answer."""
    tokens: list[int] = field(default_factory=list)
    """The prompt, then the answer as far as it has come."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    max_tokens: int = 0


class Run:
    """A generation that has a slot. Whoever made it calls `close`, once."""

    def __init__(self, generation: Generation, slot: Slot, sampler: Sampler) -> None:
        self.generation = generation
        self.slot = slot
        self.sampler = sampler
        self.text = AnswerText(generation.request.stop)
        self.follows: Run | None = None
        """A run that is just reading the same beginning, which this one waits to share."""
        self.follows_until = 0
        """How many tokens of it are the same."""
        self.share = 0
        """Tokens in the present step."""
        self.row = -1
        """Row of the batch that tells the next token, -1 for none."""

    @property
    def missing(self) -> int:
        """Tokens that the model has yet to read."""
        return len(self.generation.tokens) - len(self.slot.tokens)

    @property
    def reading(self) -> bool:
        """Whether the prompt is not yet read to its end."""
        return len(self.slot.tokens) < self.generation.prompt_tokens

    @property
    def answer_tokens(self) -> int:
        """Length of the answer so far."""
        return len(self.generation.tokens) - self.generation.prompt_tokens

    def advance(self) -> None:
        """Note that the model has read this step's share."""
        begin = len(self.slot.tokens)
        self.slot.tokens.extend(self.generation.tokens[begin : begin + self.share])

    def accept(self, token: int, piece: bytes | None) -> tuple[str, FinishReason | None]:
        """Add the model's next token; returns the text it makes certain, and why the answer ends, if so."""
        if piece is None:
            return self.text.finish(), "stop"
        self.generation.tokens.append(token)
        text = self.text.feed(piece)
        if self.text.stopped:
            return text, "stop"
        if self.answer_tokens >= self.generation.max_tokens:
            return text + self.text.finish(), "length"
        return text, None

    def usage(self) -> Usage:
        """What it has cost."""
        generation = self.generation
        return Usage(generation.prompt_tokens, self.answer_tokens, generation.cached_tokens)

    def close(self) -> None:
        """Free the sampler's memory."""
        self.sampler.close()
