"""llama.cpp's own messages."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Final

import llama_cpp as C

_ERROR: Final = 4
"""`GGML_LOG_LEVEL_ERROR`."""


class NativeLog:
    """Keeps llama.cpp's messages off the terminal and remembers its last error.

    The library has one log for the whole process, so there is one of these: `native_log()`.
    """

    def __init__(self) -> None:
        self.last_error = ""
        # Held, because the library keeps only the bare pointer.
        self._callback = C.llama_log_callback(self._receive)
        C.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _receive(self, level: int, text: bytes, _user_data: int | None) -> None:
        if level == _ERROR:
            self.last_error = text.decode("utf-8", "replace").strip()


@cache
def native_log() -> NativeLog:
    """The process's one log; the first call starts llama.cpp's backend."""
    log = NativeLog()
    C.llama_backend_init()
    return log
