"""How much of a conversation fits into the prompt."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

from jackfield.contracts.llm import LLM, Message, TokenCounter
from jackfield.contracts.session import StoredMessage

_KEEP: Final = 0.6
"""Share of the room that is filled again after a cut."""
_MESSAGE_TOKENS: Final = 8
"""What a chat template adds to each message, at the most, in the templates that were looked at."""
_BYTES_A_TOKEN: Final = 3
"""For models that cannot count: fewer than any common tokenizer needs for English or Chinese text."""
_MOST_CUTS: Final = 10_000


class History:
    """Fits the messages of conversations to a budget of tokens.

    A prompt that is over its budget is cut to six tenths at once, and keeps that beginning over the next
    turns: dropping one message a turn would change the prompt's beginning every time, and nothing the
    model has computed of it could be used again.
    """

    def __init__(self) -> None:
        self._cuts: OrderedDict[str, datetime] = OrderedDict()  # key: time of the oldest message kept

    def fit(
        self,
        key: str,
        stored: Sequence[StoredMessage],
        *,
        room_tokens: int,
        count: Callable[[str], int],
    ) -> list[Message]:
        """Give the newest messages that fit into `room_tokens`, oldest first."""
        cut = self._cuts.get(key)
        # Found by its time, not by what is later: a clock may be set back. Gone, it is older than all.
        start = next((at for at, message in enumerate(stored) if message.timestamp == cut), 0)
        kept = stored[start:]
        sizes = [count(message.content) + _MESSAGE_TOKENS for message in kept]
        if sum(sizes) > room_tokens:
            kept = kept[_cut(kept, sizes, int(room_tokens * _KEEP)) :]
            self._remember(key, kept)
        return told(kept)

    def _remember(self, key: str, kept: Sequence[StoredMessage]) -> None:
        if not kept:
            return
        self._cuts[key] = kept[0].timestamp
        self._cuts.move_to_end(key)
        if len(self._cuts) > _MOST_CUTS:
            self._cuts.popitem(last=False)


def _cut(messages: Sequence[StoredMessage], sizes: Sequence[int], room: int) -> int:
    """Index of the first message to keep, a question: it stays with its answer."""
    first, total = len(sizes), 0
    for index in range(len(sizes) - 1, -1, -1):
        total += sizes[index]
        if total > room:
            break
        if messages[index].is_user:
            first = index
    return first


def told(stored: Iterable[StoredMessage]) -> list[Message]:
    """Stored messages as a model is told them: what was said to the user at a stretch is one message."""
    messages: list[Message] = []
    for message in stored:
        if not message.is_user and messages and messages[-1].role == "assistant":
            messages[-1] = Message("assistant", f"{messages[-1].content}\n{message.content}")
        else:
            messages.append(Message("user" if message.is_user else "assistant", message.content))
    return messages


def token_counter(llm: LLM) -> Callable[[str], int]:
    """How to count tokens for a model: by itself where it can, else by a cautious estimate."""
    if isinstance(llm, TokenCounter):
        return llm.count_tokens
    return lambda text: len(text.encode()) // _BYTES_A_TOKEN + 1


def tokens_of(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    """Tokens of messages with what the chat template adds."""
    return sum(count(message.content) + _MESSAGE_TOKENS for message in messages)
