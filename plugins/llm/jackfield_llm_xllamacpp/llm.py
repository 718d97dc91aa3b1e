"""The language model: loads a GGUF file and generates."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Barrier, Event
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio import to_thread

from jackfield.contracts.llm import Finish, GenerationRequest, LLMOutput
from jackfield.errors import PluginCannotStart, Problem, ProviderError
from jackfield.plugin import Site
from jackfield_llm_xllamacpp.generation import ChatServer, Generation
from jackfield_llm_xllamacpp.gguf import ModelHead, NotGGUF, read_head
from jackfield_llm_xllamacpp.options import XllamacppOptions
from jackfield_llm_xllamacpp.prompt import PromptWriter
from jackfield_llm_xllamacpp.slots import Slots

_CLOSING_S: Final = 10.0
_HAS_SOCKET_FILES: Final = hasattr(socket, "AF_UNIX") and os.name == "posix"


class XllamacppLLM:
    """A model of one GGUF file; enter it once, from then on any number of generations may run at once."""

    def __init__(self, options: XllamacppOptions, path: Path, site: Site) -> None:
        import xllamacpp  # type: ignore[import-untyped]  # it comes without annotations

        self._library: Any = xllamacpp
        self._options = options
        self._path = path
        self._site = site
        self._server: ChatServer | None = None
        self._closing = Event()

    async def __aenter__(self) -> Self:
        head = await to_thread.run_sync(self._read_head)
        self._prompts = PromptWriter(self._options, head.control_tokens)
        self._server = await to_thread.run_sync(self._load)
        self._slots = Slots(
            self._options.slots,
            keeps_chats=self._options.kept_chats_mib > 0,
            touch=partial(_touch, self._server),
        )
        self._threads = _started_threads(self._options.slots)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._closing.set()
        with anyio.move_on_after(_CLOSING_S, shield=True):
            await to_thread.run_sync(self._close, abandon_on_cancel=True)
            return
        self._site.logger.warning("The model still worked %g s after it was closed.", _CLOSING_S)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[LLMOutput, None]:
        """See `jackfield.contracts.llm.LLM.generate`."""
        if self._server is None:
            raise RuntimeError("the model is not loaded: generate only inside `async with`")
        body = self._prompts.body(request)
        generation = Generation(request, body, self._options.model_name, self._closing)
        place = self._threads.submit(generation.run, self._server, self._slots)
        try:
            while True:
                output = await generation.delivery.take()
                if isinstance(output, ProviderError):
                    raise output
                yield output
                if isinstance(output, Finish):
                    return
        finally:
            generation.abandon()
            place.cancel()

    def _read_head(self) -> ModelHead:
        if not self._path.is_file():
            raise self._cannot_start(f"There is no file {self._path}.")
        try:
            head = read_head(self._path)
        except NotGGUF as error:
            raise self._cannot_start(f"{self._path} is not a model in GGUF format: {error}.") from error
        if head.trained_tokens is not None and self._options.context_tokens > head.trained_tokens:
            self._site.logger.warning(
                "context_tokens is %d, but the model was trained for %d: what is further back confuses it.",
                self._options.context_tokens,
                head.trained_tokens,
            )
        if not (head.has_chat_template or self._options.chat_template):
            self._site.logger.warning("The model has no chat template: it may not be made for conversation.")
        return head

    def _load(self) -> ChatServer:
        with tempfile.TemporaryDirectory(prefix="jackfield-", ignore_cleanup_errors=True) as folder:
            parameters = self._parameters(Path(folder) / "llm.sock")
            try:
                server: ChatServer = self._library.Server(parameters)
            except (RuntimeError, ValueError) as error:
                raise self._cannot_start(
                    f"llama.cpp cannot load {self._path}: the file is incomplete or damaged, this version "
                    "does not know the model, or the memory does not suffice."
                ) from error
        server.handle_chat_completions(_WARM_UP | {"id_slot": 0}, lambda _chunk: False)
        return server

    def _parameters(self, socket_file: Path) -> Any:
        options, parameters = self._options, self._library.CommonParams()
        parameters.model.path = str(self._path)
        parameters.n_ctx, parameters.n_parallel = options.context_tokens * options.slots, options.slots
        parameters.n_batch = parameters.n_ubatch = options.batch_tokens
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = options.threads
        parameters.n_gpu_layers = options.gpu_layers
        parameters.fit_params = False
        parameters.warmup = False
        parameters.verbosity = 0
        parameters.prefill_assistant = False
        if options.chat_template is not None:
            parameters.chat_template = self._read_template(options.chat_template)
        # Where no slot is asked for, the longest idle one is taken, and what it held is kept in memory
        # beside the slots. Choosing by likeness instead, as is llama.cpp's default, lets a new chat overwrite
        # one that merely has the same instructions.
        parameters.slot_prompt_similarity = 0.0
        parameters.kv_unified = False
        parameters.cache_ram_mib = options.kept_chats_mib
        _lock_http(parameters, socket_file)
        return parameters

    def _read_template(self, path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise self._cannot_start(f"The chat template {path} cannot be read.") from error

    def _close(self) -> None:
        if self._server is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)
            del self._slots  # it has the server too
            self._server = None  # its destructor ends the native threads and waits for them

    def _cannot_start(self, message: str) -> PluginCannotStart:
        fix = "Give the path of a GGUF file, or the name of a model that `jackfield models list` shows."
        return PluginCannotStart(Problem(f"{self._site.section}.options.model", message, fix))


_WARM_UP: Final[dict[str, Any]] = {
    "messages": [{"role": "user", "content": "Hi"}],
    "max_tokens": 1,
    "stream": True,
}


def _touch(server: ChatServer, index: int) -> None:
    """Let a slot complete a prompt of no tokens, which leaves alone what it holds."""
    # When it fails, a conversation may be read again; that is no reason to end one.
    with suppress(RuntimeError, ValueError):
        server.handle_completions({"prompt": [[]], "n_predict": 0, "id_slot": index})


def _started_threads(slots: int) -> ThreadPoolExecutor:
    """As many threads as slots; the queue in front of them is the order in which chats wait."""
    threads = ThreadPoolExecutor(slots, thread_name_prefix="xllamacpp")
    all_there = Barrier(slots)
    for _ in range(slots):
        threads.submit(all_there.wait)  # started now, so that no thread appears during use
    return threads


def _lock_http(parameters: Any, socket_file: Path) -> None:
    """Keep everybody out of the HTTP server that comes with the library."""
    if _HAS_SOCKET_FILES:
        parameters.hostnames = [str(socket_file)]
    parameters.port = 0
    parameters.api_keys = [secrets.token_urlsafe(32)]
    parameters.n_threads_http = 1
    parameters.ui = False
    parameters.endpoint_slots = parameters.endpoint_props = parameters.endpoint_metrics = False
