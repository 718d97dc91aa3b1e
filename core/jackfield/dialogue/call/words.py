"""Words of what was said: counted, compared and put together."""

from __future__ import annotations

import re
from typing import Final

_WORDS: Final = re.compile(r"[぀-ヿ㐀-鿿豈-﫿฀-๿]|[^\W぀-ヿ㐀-鿿豈-﫿฀-๿]+(?:['’][^\W]+)*")
"""In scripts that put no spaces between words each character counts as one."""


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(_WORDS.findall(text))


def same_words(one: str, other: str) -> bool:
    """Whether two transcripts ask for the same answer: letter case, spaces and a full stop aside."""
    return _plain(one) == _plain(other)


def joined(*texts: str) -> str:
    """What was said in several goes, as one text."""
    return " ".join(text for text in texts if text)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".。… ")
