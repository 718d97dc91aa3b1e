"""What the model has read, and the next step of reading and writing."""

from __future__ import annotations

import ctypes
import enum

import llama_cpp as C

from jackfield.errors import ProviderUnavailable
from jackfield_llm_llama_cpp.model import Model
from jackfield_llm_llama_cpp.native_log import native_log
from jackfield_llm_llama_cpp.options import LlamaCppOptions


class Outcome(enum.Enum):
    """How a step ended. After FULL nothing has changed; after ABORTED and FAILED what it read is unknown."""

    DONE = enum.auto()
    FULL = enum.auto()
    ABORTED = enum.auto()
    FAILED = enum.auto()


class DecodingContext:
    """The key-value cache of all sequences, and one batch.

    Belongs to one thread at a time, but for `abort`, which any thread may call.

    :raises ProviderUnavailable: when there is not enough memory, or the model is trained for less context.
    """

    def __init__(self, model: Model, options: LlamaCppOptions) -> None:
        if options.context_tokens > model.trained_tokens:
            raise ProviderUnavailable(
                f"The option `context_tokens` is {options.context_tokens}, but {options.model_name} is made "
                f"for {model.trained_tokens}. Lower the option."
            )
        context = C.llama_init_from_model(model.pointer, _settings(options))
        if context is None:
            tokens = options.sequences * options.context_tokens
            raise ProviderUnavailable(
                f"llama.cpp cannot set memory aside for {tokens} tokens of {options.model_name} "
                f"({native_log().last_error or 'no reason given'}). Lower `sequences` or `context_tokens`."
            )
        self.pointer = context
        self._memory = C.llama_get_memory(context)
        self.divisible = model.divisible
        """Whether a sequence can be cut back to, or share, any beginning of it."""
        self._room = options.batch_tokens
        self._batch = C.llama_batch_init(self._room, 0, 1)
        self._open = True
        self._abort_flag = ctypes.create_string_buffer(2)
        self._abort_check = _watch(context, self._abort_flag)

    def clear_batch(self) -> None:
        """Begin a new batch."""
        self._batch.n_tokens = 0

    def add(self, token: int, position: int, sequence: int, *, answer: bool) -> int:
        """Put a token into the batch; `answer` asks for what follows it. Returns its row."""
        batch = self._batch
        row: int = batch.n_tokens
        batch.token[row] = token
        batch.pos[row] = position
        batch.n_seq_id[row] = 1
        batch.seq_id[row][0] = sequence
        batch.logits[row] = answer
        batch.n_tokens = row + 1
        return row

    def decode(self) -> Outcome:
        """Compute the batch; the global interpreter lock is free meanwhile."""
        code = C.llama_decode(self.pointer, self._batch)
        known = {0: Outcome.DONE, 1: Outcome.FULL, 2: Outcome.ABORTED}
        return known.get(code, Outcome.FAILED)

    def trim(self, sequence: int, length: int) -> bool:
        """Forget all but the first `length` tokens of a sequence; False when all had to be forgotten."""
        if C.llama_memory_seq_rm(self._memory, sequence, length, -1):
            return True
        C.llama_memory_seq_rm(self._memory, sequence, -1, -1)
        return length == 0

    def share(self, source: int, target: int, length: int) -> None:
        """Let `target`, which is empty, begin with the first `length` tokens of `source`, without a copy."""
        C.llama_memory_seq_cp(self._memory, source, target, 0, length)

    def abort(self) -> None:
        """Make the running `decode`, and every later one until `resume`, return at once."""
        self._abort_flag[0] = b"\x01"

    def resume(self) -> None:
        """Take `abort` back."""
        self._abort_flag[0] = b"\x00"

    def close(self) -> None:
        """Free the memory; closing twice is harmless."""
        if self._open:
            self._open = False
            C.llama_batch_free(self._batch)
            C.llama_free(self.pointer)


def _settings(options: LlamaCppOptions) -> C.llama_context_params:
    settings: C.llama_context_params = C.llama_context_default_params()
    settings.n_ctx = options.sequences * options.context_tokens
    settings.n_seq_max = options.sequences + options.kept_sequences
    settings.n_batch = options.batch_tokens
    settings.n_ubatch = options.batch_tokens
    settings.n_threads = options.threads
    settings.n_threads_batch = options.threads
    # One pool of cells for all sequences: only so can two of them own the same cell.
    settings.kv_unified = True
    # With less than the full window some models could not be cut back to a prefix.
    settings.swa_full = True
    return settings


def _watch(context: C.llama_context_p, flag: ctypes.Array[ctypes.c_char]) -> object:
    """Have llama.cpp look at the flag between any two operations; returns what must be kept alive.

    The check runs hundreds of times a step. A function in Python would need the interpreter's lock each
    time and stall behind the event loop, so it is C's `strlen`: false for an empty string, true otherwise.
    """
    check = ctypes.cast(ctypes.CDLL(None).strlen, C.ggml_abort_callback)
    C.llama_set_abort_callback(context, check, ctypes.cast(flag, ctypes.c_void_p))
    return check
