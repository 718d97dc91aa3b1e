"""Standing around turns: the FAQ, then answers that were given before, then the model."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from jackfield import Site
from jackfield.contracts.extension import Answer
from jackfield.contracts.llm import Finish, Usage
from jackfield.contracts.panel import Metric, Panel
from jackfield.contracts.turn import ToolStarted, TurnOutput, TurnRequest
from jackfield_extension_cache.answers import Answers, AnswersInMemory, SharedAnswers
from jackfield_extension_cache.options import CacheOptions
from jackfield_extension_cache.wording import wording


class AnswerCache:
    """Gives answers that are known, and keeps those that are not.

    Kept are whole answers to first messages, for which the model called no tool: what a tool says may hold
    for one user, or for one moment.
    """

    def __init__(
        self, options: CacheOptions, site: Site, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._site = site
        self._faq = {wording(way): entry.answer for entry in options.faq for way in entry.questions}
        self._answers: Answers = AnswersInMemory(
            ttl_s=options.ttl_s, max_entries=options.max_entries, clock=clock
        )
        self._asked: Metric | None = None

    async def run(self, panel: Panel) -> None:
        """Take what the server has: the store, and the figures."""
        self._asked = panel.metrics.counter(
            "jackfield_cache_total", "Messages that a cache was asked for.", ["transport", "outcome"]
        )
        if self._options.shared:
            if panel.sessions.shared is None:
                raise RuntimeError("no session store has the role shared")
            self._answers = SharedAnswers(
                panel.sessions.shared, ttl_s=self._options.ttl_s, logger=self._site.logger
            )

    async def around_turn(self, request: TurnRequest, answer: Answer) -> AsyncGenerator[TurnOutput, None]:
        words = wording(request.text)
        known, outcome, key = self._faq.get(words), "faq", None
        if known is None and self._options.keep_answers and request.first:
            key = _key(request, words)
            known = await self._answers.get(key)
            outcome = "miss" if known is None else "hit"
        if known is not None:
            self._count(request, outcome)
            yield known
            yield Finish("stop", Usage(0, 0), provider=self._site.plugin, cached=True)
            return
        outputs = answer(request)
        if key is not None:
            self._count(request, outcome)
            outputs = self._keeping(key, outputs)
        async with aclosing(outputs):
            async for output in outputs:
                yield output

    async def _keeping(
        self, key: str, outputs: AsyncGenerator[TurnOutput, None]
    ) -> AsyncGenerator[TurnOutput, None]:
        """Yield what the model says, and keep it if it may be kept."""
        pieces: list[str] = []
        tools = False
        async with aclosing(outputs):
            async for output in outputs:
                if isinstance(output, Finish):
                    said = "".join(pieces).strip()
                    fits = 0 < len(said) <= self._options.max_answer_chars
                    if fits and output.reason == "stop" and not tools:
                        await self._answers.put(key, said)
                    yield replace(output, cached=False)
                    continue
                if isinstance(output, str):
                    pieces.append(output)
                tools = tools or isinstance(output, ToolStarted)
                yield output

    def _count(self, request: TurnRequest, outcome: str) -> None:
        if self._asked is not None:
            self._asked.inc(request.transport, outcome)


def _key(request: TurnRequest, words: str) -> str:
    """A digest of everything that the answer to a first message depends on."""
    depends = (
        request.transport,
        request.answered_by,
        request.scenario,
        [(message.role, message.content) for message in request.opening],
        request.language,
        words,
    )
    return f"answer:{hashlib.sha256(json.dumps(depends).encode()).hexdigest()}"
