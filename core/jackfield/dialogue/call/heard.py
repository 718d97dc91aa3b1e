"""Which words of an answer were heard, from how much of its sound was."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from jackfield.contracts.tts import SpeechMark

_LEAST_S: Final = 0.2
"""Less than that of an answer is no word yet."""
_EXACT_S: Final = 0.001
"""What positions may differ by, from rounding and from what a resampler holds back."""
_LETTER_S: Final = 0.065
"""What a character takes in most languages, as long as the voice has not shown better."""
_SYLLABLE_S: Final = 0.2
"""The same for characters that are whole syllables."""
_SPACELESS: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Burmese
    (0x1780, 0x17FF),  # Khmer
    (0x2E80, 0x30FF),  # Chinese radicals and punctuation, Japanese syllables
    (0x3400, 0x9FFF),  # Chinese
    (0xF900, 0xFAFF),
    (0xFF00, 0xFFEF),  # wide punctuation
    (0x20000, 0x3FFFF),
)
"""Scripts that put no spaces between words."""
_JOINER: Final = "\u200d"


@dataclass(slots=True)
class Passage:
    """A text and where its sound lies: seconds from the beginning of the answer."""

    text: str
    start_s: float
    duration_s: float = 0.0
    """Of the sound that there is already."""
    complete: bool = False
    """Whether that is all its sound."""
    words: list[SpeechMark] = field(default_factory=list)
    """Marks of words, in their order; their times count from the beginning of the passage."""


def heard_text(passages: Sequence[Passage], heard_s: float) -> str:
    """Give the words that were said in the first `heard_s` seconds.

    It is the beginning of all passages joined, without white space at its ends. Whole passages count as
    they are. Of the one in which the sound stopped, words go by its marks, else by proportion; half a word
    does not count. In scripts without spaces each character counts.
    """
    heard: list[str] = []
    letter_s = _letter_s(passages)
    for passage in passages:
        within_s = heard_s - passage.start_s
        if passage.complete and within_s >= passage.duration_s - _EXACT_S:
            heard.append(passage.text)
            continue
        if heard_s >= _LEAST_S and within_s > 0:
            within_s = min(within_s, passage.duration_s)  # what came after it was something else
            heard.append(passage.text[: _reached(passage, within_s, letter_s)])
        break
    return "".join(heard).strip()


def _letter_s(passages: Sequence[Passage]) -> float | None:
    """Seconds that this voice takes for a character, None when it is not known yet."""
    spoken = [passage for passage in passages if passage.complete]
    characters = sum(len(passage.text.strip()) for passage in spoken)
    duration_s = sum(passage.duration_s for passage in spoken)
    return duration_s / characters if characters and duration_s else None


def _reached(passage: Passage, within_s: float, letter_s: float | None) -> int:
    """Characters of a passage that were said in its first `within_s` seconds."""
    before, begun_s = 0, 0.0
    for after, until_s in _anchors(passage, letter_s):
        if within_s < until_s:
            share = (within_s - begun_s) / (until_s - begun_s)
            length = len(passage.text[before:after].rstrip())  # the pause after a word is part of its time
            return _whole_words(passage.text, before + int(length * share))
        before, begun_s = after, until_s
    return _whole_words(passage.text, before)


def _anchors(passage: Passage, letter_s: float | None) -> Iterator[tuple[int, float]]:
    """Yield places in the text and when they are reached; both grow. The end of the passage is last."""
    at, at_s, past = 0, 0.0, 0
    for word in passage.words:
        found = _word_at(passage.text, word.value.strip(), past)
        if found is None:
            continue  # the voice reads it in other words, such as a number
        past = found.end()
        if word.at_s > at_s:
            at, at_s = found.start(), word.at_s
            yield at, at_s
    if passage.complete:
        end_s = passage.duration_s
    else:
        rest = passage.text[at:].strip()
        rest_s = sum(_SYLLABLE_S if _is_spaceless(c) else _LETTER_S for c in rest)
        end_s = max(passage.duration_s, at_s + (rest_s if letter_s is None else len(rest) * letter_s))
    yield len(passage.text), max(end_s, at_s)


def _word_at(text: str, word: str, start: int) -> re.Match[str] | None:
    """Find the next place where a word stands, and is not the middle of another."""
    if not word:
        return None
    edge = r"(?<!\w)" if word.isascii() else ""  # not in scripts without spaces
    return re.compile(edge + re.escape(word), re.IGNORECASE).search(text, start)


def _whole_words(text: str, length: int) -> int:
    """Shorten to where a word, or in scripts without spaces a character, ends."""
    while 0 < length < len(text) and not _may_be_cut(text[length - 1], text[length]):
        length -= 1
    return length


def _may_be_cut(left: str, right: str) -> bool:
    if left.isspace() or right.isspace():
        return True
    if _JOINER in (left, right) or unicodedata.category(right).startswith("M"):
        return False
    return _is_spaceless(left) or _is_spaceless(right)


def _is_spaceless(character: str) -> bool:
    point = ord(character)
    return point >= _SPACELESS[0][0] and any(first <= point <= last for first, last in _SPACELESS)
