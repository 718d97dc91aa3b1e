"""Several language models that stand for each other."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from jackfield.contracts.llm import LLM, Finish, GenerationRequest, LLMOutput, TokenCounter, ToolCall
from jackfield.errors import ProviderBadReply
from jackfield.resilience.chain import Chain
from jackfield.resilience.relay import relay


class LLMChain:
    """Answers with the first member that says something useful. Implements `LLM`."""

    def __init__(self, chain: Chain[LLM]) -> None:
        self._chain = chain

    def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """See `LLM.generate`. A request that only warms is the business of the first member alone."""
        attempts = self._chain.attempts(request.failover, first_only=request.warming)

        def may_end(held: Sequence[LLMOutput]) -> bool:
            after_tool = bool(request.messages) and request.messages[-1].role == "tool"
            return after_tool or request.warming or any(map(_ends_for_a_reason, held))

        return relay(
            attempts, lambda member: member.object.generate(request), useful=_is_useful, may_end=may_end
        )


class CountingLLMChain(LLMChain):
    """The same, with `counter` to say how long a text is. Implements `TokenCounter`."""

    def __init__(self, chain: Chain[LLM], counter: TokenCounter) -> None:
        super().__init__(chain)
        self.count_tokens = counter.count_tokens


def _is_useful(output: LLMOutput) -> bool:
    """Whether it is text that is not blank, or a tool call.

    :raises ProviderBadReply: when it is nothing that a language model may say.
    """
    if isinstance(output, str):
        return not (not output or output.isspace())
    if not isinstance(output, ToolCall | Finish):
        raise ProviderBadReply(f"the model said a {type(output).__name__}")
    return isinstance(output, ToolCall)


def _ends_for_a_reason(output: LLMOutput) -> bool:
    return isinstance(output, Finish) and output.reason not in ("stop", "tool_calls")
