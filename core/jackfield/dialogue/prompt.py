"""What a model is told in a turn: the opening, what was said before, and the new message."""

from __future__ import annotations

from itertools import dropwhile
from typing import Final

from jackfield.assembly import Built
from jackfield.contracts.llm import LLM, Message
from jackfield.contracts.session import Window
from jackfield.dialogue.history import History, token_counter, tokens_of, told
from jackfield.dialogue.scenarios import Part

_ANSWER_SHARE: Final = 4
"""The answer may take this part of a model's context where the file sets no `max_tokens`."""


class PromptWriter:
    """Writes prompts that hold at most `max_messages` messages beside the opening and fit the model."""

    def __init__(self, max_messages: int, max_tokens: int | None) -> None:
        self._max_messages = max_messages
        self._max_tokens = max_tokens
        self._history = History()

    def write(
        self,
        key: str,
        window: Window,
        part: Part,
        llm: Built[LLM],
        text: str,
        username: str,
        *,
        max_messages: int | None = None,
    ) -> list[Message]:
        """Give the messages of a prompt, the new one last; perhaps with another bound than usual."""
        opening = part.opening_for(username)
        asked = Message("user", text)
        earlier = (max_messages or self._max_messages) - 1
        stored = window.messages[-earlier:] if earlier else ()
        # An answer whose question is gone explains nothing, and not every model may be told of a greeting.
        stored = tuple(dropwhile(lambda message: not message.is_user, stored))
        room = self._room_tokens(llm)
        if room is None:
            return [*opening, *told(stored), asked]
        count = token_counter(llm.object)
        room -= tokens_of((*opening, asked), count)
        past = self._history.fit(key, stored, room_tokens=room, count=count)
        return [*opening, *past, asked]

    def _room_tokens(self, llm: Built[LLM]) -> int | None:
        """Tokens of a prompt, None when the model's context is not known."""
        context = llm.capabilities.context_tokens
        if context is None:
            return None
        return context - min(self._max_tokens or context, context // _ANSWER_SHARE)
