"""The voices as the core sees them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from functools import partial
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from jackfield import ProviderError, ProviderUnavailable
from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.workers import Workers
from jackfield_tts_azure.options import AzureTTSOptions
from jackfield_tts_azure.ssml import ssml
from jackfield_tts_azure.synthesis import Synthesis
from jackfield_tts_azure.synthesiser import Synthesiser

_MOST_IDLE: Final = 4
"""Connections that are kept for texts to come; each takes five threads of the SDK."""


class AzureTTS:
    """Speaks over the network. An async context manager: leaving waits for connections to close."""

    def __init__(self, options: AzureTTSOptions) -> None:
        self._options = options
        self._places = anyio.CapacityLimiter(options.connections)
        self._workers = Workers(2 * options.connections)
        self._idle: list[Synthesiser] = []
        self._stack = AsyncExitStack()
        self._background: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._workers)
        self._stack.push_async_callback(self._close_idle)
        self._background = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._background = None
        await self._stack.aclose()

    def rate_hz(self, voice: Voice) -> int:
        return self._options.rate_hz

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        if self._background is None:
            raise RuntimeError("the voices must be entered before they speak")
        document = ssml(text, settings, self._options)
        if document is None:
            return
        options = self._options
        synthesis = Synthesis(options.rate_hz, connect_s=options.connect_s, timeout_s=options.timeout_s)
        place = object()
        await self._places.acquire_on_behalf_of(place)
        synthesiser, state = None, "stopped"
        try:
            synthesiser = self._idle.pop() if self._idle else await self._workers.run(self._build)
            await self._workers.run(partial(synthesiser.begin, document, synthesis.tell))
            async with aclosing(synthesis.outputs()) as outputs:
                async for output in outputs:
                    yield output
            state = "done"
        except ProviderError:
            state = "failed"
            raise
        finally:
            self._give_back(place, synthesiser, state)

    def _build(self) -> Synthesiser:
        try:
            return Synthesiser(self._options)
        except RuntimeError:  # the only one that the SDK raises; it may quote what it was given
            raise ProviderUnavailable("The Azure Speech SDK does not accept the region or host.") from None

    def _give_back(self, place: object, synthesiser: Synthesiser | None, state: str) -> None:
        if synthesiser is not None and state == "done" and len(self._idle) < _MOST_IDLE:
            self._idle.append(synthesiser)
        elif synthesiser is not None and self._background is not None:
            self._background.start_soon(self._put_away, place, synthesiser, state)
            return
        self._places.release_on_behalf_of(place)

    async def _put_away(self, place: object, synthesiser: Synthesiser, state: str) -> None:
        """Stop it, which takes a moment, and give its place back after that."""
        try:
            if state == "stopped" and len(self._idle) < _MOST_IDLE:
                await self._workers.run(synthesiser.stop)
                self._idle.append(synthesiser)
            else:
                await self._workers.run(synthesiser.close)
        finally:
            self._places.release_on_behalf_of(place)

    async def _close_idle(self) -> None:
        while self._idle:
            await self._workers.run(self._idle.pop().close)
