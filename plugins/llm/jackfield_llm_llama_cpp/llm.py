"""The language model that the plugin offers."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio import to_thread

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.errors import ProviderError
from jackfield_llm_llama_cpp.engine import Engine
from jackfield_llm_llama_cpp.options import LlamaCppOptions


class LlamaCppLLM:
    """A GGUF model. Entering it loads the file, leaving it frees everything; it can be entered again."""

    def __init__(self, options: LlamaCppOptions, path: Path, logger: logging.Logger) -> None:
        self._options = options
        self._path = path
        self._logger = logger
        self._engine: Engine | None = None
        self._told_of_tools = False

    async def __aenter__(self) -> Self:
        if self._engine is None:
            began_s = anyio.current_time()
            self._engine = await to_thread.run_sync(Engine, self._path, self._options, self._logger)
            self._logger.info(
                "loaded %s in %.2f s: %d chats at once, %d tokens each, %d threads",
                self._options.model_name,
                anyio.current_time() - began_s,
                self._options.sequences,
                self._options.context_tokens,
                self._options.threads,
            )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            with anyio.CancelScope(shield=True):
                await to_thread.run_sync(engine.close)

    @property
    def engine(self) -> Engine:
        """The running engine.

        :raises RuntimeError: when the model was not entered.
        """
        if self._engine is None:
            raise RuntimeError("The model is not loaded: enter it with `async with` first.")
        return self._engine

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """Yield pieces of the answer, then one `Finish`. Offered tools are not called.

        :raises ContextTooLong: when the prompt does not fit.
        :raises ProviderUnavailable: when the model failed or was unloaded.
        """
        if request.tools and not self._told_of_tools:
            self._told_of_tools = True
            self._logger.warning("the plugin llama_cpp cannot call tools: the model is not told of any")
        engine = self.engine
        generation = engine.submit(request)
        try:
            while True:
                output = await generation.delivery.take()
                if isinstance(output, ProviderError):
                    raise output
                yield output
                if isinstance(output, Finish):
                    return
        finally:
            engine.cancel(generation)

    def count_tokens(self, text: str) -> int:
        """Tokens of `text`, without the chat template's own."""
        return self.engine.count_tokens(text)
