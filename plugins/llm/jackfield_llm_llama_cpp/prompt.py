"""Messages to the tokens of a prompt, by the model's own chat template."""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from llama_cpp.llama_chat_format import Jinja2ChatFormatter

from jackfield.contracts.llm import Message
from jackfield.errors import ProviderRefused
from jackfield_llm_llama_cpp.vocabulary import Vocabulary


class ChatPrompt:
    """Renders prompts in which only the template writes control tokens.

    A message that contains the name of a control token (`<|im_end|>`) would end its own turn and begin
    one of another role. So each such name is broken by a mark before rendering, and what stands on
    either side of a mark is tokenised apart: the model reads the characters, never the token.
    """

    def __init__(self, vocabulary: Vocabulary, template: str) -> None:
        self._vocabulary = vocabulary
        self._formatter = Jinja2ChatFormatter(
            template, eos_token=vocabulary.name(vocabulary.eos), bos_token=vocabulary.name(vocabulary.bos)
        )
        # Nobody can write the mark into a message, and no filter of a template changes its characters.
        self._mark = secrets.token_hex(12)
        self._control_name = _beginning_of_any(vocabulary.control_names())

    def tokens(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of the whole prompt, up to where the answer begins.

        :raises ProviderRefused: when the template does not take such messages.
        """
        rendered = self._render(messages)
        tokens: list[int] = []
        for part in rendered.split(self._mark):
            tokens += self._vocabulary.tokens(part, special=True)
        if self._vocabulary.adds_bos and tokens[:1] != [self._vocabulary.bos]:
            tokens.insert(0, self._vocabulary.bos)
        return tokens

    def _render(self, messages: Sequence[Message]) -> str:
        try:
            # The formatter's own types describe the messages of the models it knows by name.
            return self._formatter(messages=[self._shape(message) for message in messages]).prompt  # type: ignore[misc]
        except Exception as failure:  # noqa: BLE001  # the template is a program out of the model's file
            roles = ", ".join(message.role for message in messages)
            # Without the cause: its text may quote a message.
            raise ProviderRefused(
                f"The model's chat template does not take messages of the roles: {roles} "
                f"({type(failure).__name__})."
            ) from None

    def _shape(self, message: Message) -> dict[str, Any]:
        shape: dict[str, Any] = {"role": message.role, "content": self._guard(message.content)}
        if message.tool_calls:
            shape["tool_calls"] = [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": self._guard(call.arguments)},
                }
                for call in message.tool_calls
            ]
        if message.tool_call_id is not None:
            shape["tool_call_id"] = message.tool_call_id
        return shape

    def _guard(self, text: str) -> str:
        return self._control_name.sub(rf"\g<0>{self._mark}", text)


def _beginning_of_any(names: Iterable[str]) -> re.Pattern[str]:
    """A pattern for the first character of each place where one of `names` stands, overlapping ones too."""
    rests: defaultdict[str, list[str]] = defaultdict(list)
    for name in names:
        rests[name[0]].append(re.escape(name[1:]))
    starts = [f"{re.escape(first)}(?={'|'.join(rest)})" for first, rest in rests.items()]
    return re.compile("|".join(starts) if starts else "(?!)")
