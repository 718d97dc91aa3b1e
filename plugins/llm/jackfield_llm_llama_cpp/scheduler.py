"""Which tokens the next step computes, and what becomes of them."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

from jackfield.contracts.llm import Finish
from jackfield.errors import ContextTooLong, ProviderError, ProviderRefused, ProviderUnavailable
from jackfield_llm_llama_cpp.context import DecodingContext, Outcome
from jackfield_llm_llama_cpp.delivery import Rounds
from jackfield_llm_llama_cpp.generation import Generation, Run
from jackfield_llm_llama_cpp.options import LlamaCppOptions
from jackfield_llm_llama_cpp.prompt import ChatPrompt
from jackfield_llm_llama_cpp.sampler import Sampler
from jackfield_llm_llama_cpp.slots import Slot, SlotTable, common_length, shares
from jackfield_llm_llama_cpp.vocabulary import Vocabulary

_WORTH_WAITING_TOKENS: Final = 16
"""A beginning that another run is reading is waited for when it spares at least so many tokens."""


class Scheduler:
    """Runs all generations together, step by step: `plan`, then `compute`. Belongs to one thread.

    Each step takes one token of every answer in the making, and parts of the prompts still to be read.
    """

    def __init__(
        self,
        context: DecodingContext,
        vocabulary: Vocabulary,
        prompt: ChatPrompt,
        options: LlamaCppOptions,
        logger: logging.Logger,
    ) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self._prompt = prompt
        self._options = options
        self._logger = logger
        self._slots = SlotTable(context, options.sequences, options.kept_sequences)
        self._rounds = Rounds()
        self._waiting: deque[Generation] = deque()
        self._runs: list[Run] = []

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self._runs and not self._waiting

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What each sequence holds, for looking at."""
        return self._slots.slots

    def plan(self, arrived: Sequence[Generation]) -> list[Generation]:
        """Take in what has arrived, drop what was cancelled, and fill the batch; returns who is in it."""
        self._waiting.extend(arrived)
        for run in [run for run in self._runs if run.generation.cancelled]:
            self._end(run)
        for generation in arrived:
            self._prepare(generation)
        self._admit()
        self._fill_batch()
        self._rounds.send()
        return [run.generation for run in self._runs if run.share]

    def compute(self) -> None:
        """Compute the batch that `plan` filled and give every generation what it made."""
        outcome = self._context.decode()
        while outcome is Outcome.FULL and self._slots.evict():
            outcome = self._context.decode()
        members = [run for run in self._runs if run.share]
        if outcome is Outcome.DONE:
            for run in members:
                run.advance()
                if run.row >= 0:
                    self._continue(run)
        else:
            for run in members:
                self._slots.trim(run.slot, len(run.slot.tokens))
                if outcome is not Outcome.ABORTED:
                    self._fail(run, outcome)
        self._rounds.send()

    def fail_all(self, reason: str, arrived: Sequence[Generation] = ()) -> None:
        """End everything, and what has just `arrived`, because the engine cannot go on with it."""
        self._waiting.extend(arrived)
        for run in list(self._runs):
            self._rounds.put(run.generation.delivery, ProviderUnavailable(reason))
            self._end(run)
        for generation in self._waiting:
            self._rounds.put(generation.delivery, ProviderUnavailable(reason))
        self._waiting.clear()
        self._rounds.send()

    def _prepare(self, generation: Generation) -> None:
        try:
            self._tokenise(generation)
        except ProviderError as refusal:
            self._waiting.remove(generation)
            self._rounds.put(generation.delivery, refusal)

    def _tokenise(self, generation: Generation) -> None:
        tokens = self._prompt.tokens(generation.request.messages)
        room = self._options.context_tokens - len(tokens)
        if not tokens:
            raise ProviderRefused("The prompt is empty.")
        if room < 1:
            raise ContextTooLong(
                f"The prompt has {len(tokens)} tokens, but prompt and answer together may have "
                f"{self._options.context_tokens} (option `context_tokens`)."
            )
        asked = generation.request.max_tokens
        most = self._options.max_tokens if asked is None else max(1, asked)
        generation.tokens = tokens
        generation.prompt_tokens = len(tokens)
        generation.max_tokens = min(most, room)

    def _admit(self) -> None:
        while self._waiting:
            generation = self._waiting[0]
            if not generation.cancelled:
                slot = self._slots.acquire(generation.tokens, generation.request.conversation)
                if slot is None:
                    return
                self._begin(generation, slot)
            self._waiting.popleft()

    def _begin(self, generation: Generation, slot: Slot) -> None:
        asked = generation.request.temperature
        temperature = self._options.temperature if asked is None else asked
        run = Run(generation, slot, Sampler(self._options, self._vocabulary.size, temperature))
        generation.cached_tokens = len(slot.tokens)
        if self._context.divisible:
            self._follow(run)
        self._runs.append(run)

    def _follow(self, run: Run) -> None:
        """Let `run` wait for one that is just reading what both begin with, rather than read it twice."""
        tokens = run.generation.tokens
        for other in self._runs:
            until = min(common_length(other.generation.tokens, tokens), len(tokens) - 1)
            spared = until - max(run.follows_until, len(run.slot.tokens))
            if other.reading and len(other.slot.tokens) < until and spared >= _WORTH_WAITING_TOKENS:
                run.follows, run.follows_until = other, until

    def _catch_up(self, run: Run) -> None:
        leader = run.follows
        if leader is None or (leader in self._runs and len(leader.slot.tokens) < run.follows_until):
            return
        run.follows = None
        self._slots.adopt(run.slot, run.generation.tokens)
        run.generation.cached_tokens = len(run.slot.tokens)

    def _fill_batch(self) -> None:
        self._context.clear_batch()
        for run in self._runs:
            self._catch_up(run)
        wanted = [0 if run.follows else run.missing for run in self._runs]
        for run, share in zip(self._runs, shares(wanted, self._options.batch_tokens), strict=True):
            run.share, run.row = share, -1
            begin = len(run.slot.tokens)
            last = len(run.generation.tokens) - 1
            for position in range(begin, begin + share):
                row = self._context.add(
                    run.generation.tokens[position], position, run.slot.sequence, answer=position == last
                )
                if position == last:
                    run.row = row

    def _continue(self, run: Run) -> None:
        token = run.sampler.sample(self._context.pointer, run.row)
        text, reason = run.accept(token, self._vocabulary.piece(token))
        delivery = run.generation.delivery
        if text:
            self._rounds.put(delivery, text)
        if reason:
            usage = run.usage()
            self._rounds.put(delivery, Finish(reason, usage, self._options.model_name, "llama_cpp"))
            self._end(run)
            self._logger.debug("answered: %s, ended by %s", usage, reason)

    def _fail(self, run: Run, outcome: Outcome) -> None:
        self._logger.error("llama.cpp could not compute a step (%s)", outcome.name)
        failure = ProviderUnavailable(f"llama.cpp could not compute a step ({outcome.name}).")
        self._rounds.put(run.generation.delivery, failure)
        self._end(run)

    def _end(self, run: Run) -> None:
        self._runs.remove(run)
        self._slots.release(run.slot)
        run.close()
