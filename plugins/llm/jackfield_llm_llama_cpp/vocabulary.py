"""A model's tokens."""

from __future__ import annotations

import ctypes

import llama_cpp as C


class Vocabulary:
    """Turns text into tokens and tokens into pieces of text."""

    def __init__(self, model: C.llama_model_p) -> None:
        vocab = C.llama_model_get_vocab(model)
        if vocab is None:
            raise ValueError("the model has no vocabulary")
        self._vocab = vocab
        self._pieces: dict[int, bytes | None] = {}
        self.size = C.llama_vocab_n_tokens(vocab)
        self.bos = C.llama_vocab_bos(vocab)
        self.eos = C.llama_vocab_eos(vocab)
        self.adds_bos = bool(C.llama_vocab_get_add_bos(vocab))

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of `text`; `special` says whether the names of control tokens in it become those tokens."""
        data = text.encode("utf-8", "replace")
        count = -(len(data) + 8)  # nearly always enough; when not, the answer says what is
        while count < 0:
            room = -count
            buffer = (C.llama_token * room)()
            count = C.llama_tokenize(self._vocab, data, len(data), buffer, room, False, special)
        return list(buffer[:count])

    def piece(self, token: int) -> bytes | None:
        """UTF-8 of `token`, maybe only a part of a character; None when the token ends the answer."""
        try:
            return self._pieces[token]
        except KeyError:
            ends = C.llama_vocab_is_eog(self._vocab, token)
            piece = None if ends else self._render(token)
            self._pieces[token] = piece
            return piece

    def _render(self, token: int) -> bytes:
        room = 256
        buffer = ctypes.create_string_buffer(room)
        count = C.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        if count < 0:
            room = -count
            buffer = ctypes.create_string_buffer(room)
            count = C.llama_token_to_piece(self._vocab, token, buffer, room, 0, False)
        return buffer.raw[:count]

    def name(self, token: int) -> str:
        """The name of a control token as a chat template writes it; empty for no token."""
        return "" if token < 0 else C.llama_vocab_get_text(self._vocab, token).decode("utf-8", "replace")

    def control_names(self) -> list[str]:
        """Names of all tokens that steer the model rather than stand for text."""
        tokens = (token for token in range(self.size) if C.llama_vocab_is_control(self._vocab, token))
        return [name for token in tokens if (name := self.name(token))]
