"""Choosing the next token."""

from __future__ import annotations

from typing import Final

import llama_cpp as C

from jackfield_llm_llama_cpp.options import LlamaCppOptions

_PENALISED_TOKENS: Final = 64


class Sampler:
    """Chooses the tokens of one answer; whoever made it calls `close`, once."""

    def __init__(self, options: LlamaCppOptions, vocabulary_size: int, temperature: float) -> None:
        self._chain = C.llama_sampler_chain_init(C.llama_sampler_chain_default_params())
        for link in _links(options, vocabulary_size, temperature):
            C.llama_sampler_chain_add(self._chain, link)

    def sample(self, context: C.llama_context_p, row: int) -> int:
        """The token that follows the one in `row` of the batch just computed."""
        token: int = C.llama_sampler_sample(self._chain, context, row)
        return token

    def close(self) -> None:
        """Free the memory."""
        C.llama_sampler_free(self._chain)


def _links(options: LlamaCppOptions, vocabulary_size: int, temperature: float) -> list[C.llama_sampler_p]:
    links: list[C.llama_sampler_p] = []
    if options.repeat_penalty > 1.0:
        links.append(
            C.llama_sampler_init_penalties(
                vocabulary_size, _PENALISED_TOKENS, options.repeat_penalty, 0.0, 0.0
            )
        )
    if temperature <= 0.0:
        return [*links, C.llama_sampler_init_greedy()]
    if options.top_k:
        links.append(C.llama_sampler_init_top_k(options.top_k))
    seed = C.LLAMA_DEFAULT_SEED if options.seed is None else options.seed
    return [
        *links,
        C.llama_sampler_init_top_p(options.top_p, 1),
        C.llama_sampler_init_temp(temperature),
        C.llama_sampler_init_dist(seed),
    ]
