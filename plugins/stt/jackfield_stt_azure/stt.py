"""The recogniser as the core sees it."""

from __future__ import annotations

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final, Self

import anyio
from anyio.abc import TaskGroup

from jackfield.contracts.stt import TranscriptionSettings
from jackfield.workers import Workers
from jackfield_stt_azure.options import AzureSTTOptions
from jackfield_stt_azure.recogniser import Recogniser
from jackfield_stt_azure.stream import AzureStream

_THREADS: Final = 64


class AzureSTT:
    """Recognises over the network. An async context manager: leaving waits for connections to close."""

    def __init__(self, options: AzureSTTOptions) -> None:
        self._options = options
        self._workers = Workers(_THREADS)
        self._stack = AsyncExitStack()
        self._closing: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._workers)
        self._closing = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._closing = None

    def stream(self, settings: TranscriptionSettings) -> AzureStream:
        if self._closing is None:
            raise RuntimeError("the recogniser must be entered before it listens")
        return AzureStream(self._options, settings, self._workers, self._retire)

    def _retire(self, recogniser: Recogniser) -> None:
        if self._closing is not None:
            self._closing.start_soon(self._workers.run, recogniser.close)
