"""A model's file in memory."""

from __future__ import annotations

from pathlib import Path

import llama_cpp as C

from jackfield.errors import ProviderUnavailable
from jackfield_llm_llama_cpp.native_log import native_log
from jackfield_llm_llama_cpp.vocabulary import Vocabulary


class Model:
    """Weights, vocabulary and chat template of a GGUF file.

    Whoever made it calls `close`, after everything that uses it is closed; closing twice is harmless.

    :raises FileNotFoundError: when there is no such file.
    :raises ProviderUnavailable: when the file is not a model that can chat.
    """

    def __init__(self, path: Path, gpu_layers: int) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"The option `model` leads to {path}, which is not a file. Give the path of a GGUF file, or "
                "the name of a model that `jackfield models list` shows."
            )
        self._path = path
        self.pointer = _load(path, gpu_layers)
        self._open = True
        self.vocabulary = Vocabulary(self.pointer)
        self.trained_tokens = C.llama_model_n_ctx_train(self.pointer)
        # Such a model folds all it has read into one state, which cannot be cut back to a prefix.
        self.divisible = not (
            C.llama_model_is_recurrent(self.pointer) or C.llama_model_is_hybrid(self.pointer)
        )

    def chat_template(self) -> str:
        """The Jinja template that the file carries."""
        template: bytes | None = C.llama_model_chat_template(self.pointer, None)
        if not template:
            raise ProviderUnavailable(
                f"{self._path.name}, which the option `model` names, has no chat template. Take a model "
                "made for chat (instruct)."
            )
        return template.decode("utf-8")

    def close(self) -> None:
        """Free the memory."""
        if self._open:
            self._open = False
            C.llama_model_free(self.pointer)


def _load(path: Path, gpu_layers: int) -> C.llama_model_p:
    log = native_log()
    log.last_error = ""
    settings = C.llama_model_default_params()
    settings.n_gpu_layers = gpu_layers if gpu_layers >= 0 else 2**31 - 1
    model: C.llama_model_p | None = C.llama_model_load_from_file(str(path).encode(), settings)
    if model is None:
        raise ProviderUnavailable(
            f"llama.cpp cannot load {path.name}, which the option `model` names: "
            f"{log.last_error or 'no reason given'}. Is it a whole GGUF file?"
        )
    return model
