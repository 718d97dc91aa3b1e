"""The thread that owns the model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from pathlib import Path

from jackfield.contracts.llm import GenerationRequest
from jackfield.errors import ProviderUnavailable
from jackfield_llm_llama_cpp.context import DecodingContext, Outcome
from jackfield_llm_llama_cpp.delivery import Delivery
from jackfield_llm_llama_cpp.generation import Generation
from jackfield_llm_llama_cpp.model import Model
from jackfield_llm_llama_cpp.options import LlamaCppOptions
from jackfield_llm_llama_cpp.prompt import ChatPrompt
from jackfield_llm_llama_cpp.scheduler import Scheduler
from jackfield_llm_llama_cpp.slots import Slot


class Engine:
    """Loads a model and computes generations in a thread of its own, until `close`.

    Making one takes as long as loading the model. `submit` and `cancel` may be called from any thread
    and only take a lock that is never held while the model computes.

    :raises FileNotFoundError: when there is no such file.
    :raises ProviderUnavailable: when the model cannot be used with these options.
    """

    def __init__(self, path: Path, options: LlamaCppOptions, logger: logging.Logger) -> None:
        self._logger = logger
        self._model = Model(path, options.gpu_layers)
        try:
            prompt = ChatPrompt(self._model.vocabulary, self._model.chat_template())
            self._context = DecodingContext(self._model, options)
        except BaseException:
            self._model.close()
            raise
        self._scheduler = Scheduler(self._context, self._model.vocabulary, prompt, options, logger)
        self._changed = threading.Condition()
        self._arrived: list[Generation] = []
        self._in_step: Sequence[Generation] = ()
        self._closing = False
        self._warm_up()
        # A daemon: a process that ends without closing must not wait for an endless answer.
        self._thread = threading.Thread(target=self._run, name="jackfield-llama_cpp", daemon=True)
        self._thread.start()

    @property
    def slots(self) -> tuple[Slot, ...]:
        """What each sequence holds, for looking at while nothing runs."""
        return self._scheduler.slots

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`."""
        return len(self._model.vocabulary.tokens(text, special=False))

    def submit(self, request: GenerationRequest) -> Generation:
        """Have `request` answered to the calling event loop.

        :raises ProviderUnavailable: when the engine is closed.
        """
        generation = Generation(request, Delivery())
        with self._changed:
            if self._closing:
                raise ProviderUnavailable("The model was unloaded.")
            self._arrived.append(generation)
            self._changed.notify()
        return generation

    def cancel(self, generation: Generation) -> None:
        """Stop a generation; harmless when it has ended.

        A step that others need is finished without it, one that nobody else needs is broken off.
        """
        with self._changed:
            generation.cancelled = True
            if self._in_step and all(member.cancelled for member in self._in_step):
                self._context.abort()

    def close(self) -> None:
        """End all generations, wait for the thread and free the memory; closing twice is harmless."""
        with self._changed:
            self._closing = True
            self._context.abort()
            self._changed.notify()
        self._thread.join()

    def _warm_up(self) -> None:
        """Read a token, so that the weights are in memory before somebody waits for an answer."""
        self._context.clear_batch()
        self._context.add(max(0, self._model.vocabulary.bos), 0, 0, answer=True)
        if self._context.decode() is not Outcome.DONE:
            self._context.close()
            self._model.close()
            raise ProviderUnavailable("llama.cpp loaded the model but cannot compute with it.")
        self._context.trim(0, 0)

    def _run(self) -> None:
        while (arrived := self._await_work()) is not None:
            try:
                self._step(arrived)
            except Exception:  # whatever happened in the library must not leave anybody waiting
                self._logger.exception("a step of the model failed; its generations end here")
                self._scheduler.fail_all("The model failed in the middle of a step.")
        self._scheduler.fail_all("The model was unloaded.", self._arrived)
        self._context.close()
        self._model.close()

    def _await_work(self) -> list[Generation] | None:
        """Sleep until there is something to do; returns what has arrived since, None for closing."""
        with self._changed:
            while not (self._closing or self._arrived) and self._scheduler.idle:
                self._changed.wait()
            if self._closing:
                return None
            arrived, self._arrived = self._arrived, []
            return arrived

    def _step(self, arrived: Sequence[Generation]) -> None:
        members = self._scheduler.plan(arrived)
        if not members:
            return
        with self._changed:
            if self._closing:
                return
            self._in_step = members
            self._context.resume()
        try:
            self._scheduler.compute()
        finally:
            with self._changed:
                self._in_step = ()
