"""Words of what was said: counted, compared and put together."""

from __future__ import annotations

import re
from typing import Final

_SYLLABLES: Final = re.compile(r"[\u0e01-\u0e2e\u0e81-\u0eae\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")
"""Letters of scripts that put no spaces between words: Thai, Lao, Japanese, Chinese."""


def count_words(text: str) -> int:
    """How many words a text has; in scripts without spaces each letter counts as one."""
    spaced = _SYLLABLES.sub("", text).split()
    return len(_SYLLABLES.findall(text)) + sum(any(map(str.isalnum, word)) for word in spaced)


def same_words(one: str, other: str) -> bool:
    """Whether two transcripts ask for the same answer: letter case, spaces and a full stop aside."""
    return _plain(one) == _plain(other)


def joined(*texts: str) -> str:
    """What was said in several goes, as one text."""
    return " ".join(text for text in texts if text)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".。… ")
