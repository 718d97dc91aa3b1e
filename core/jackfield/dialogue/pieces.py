"""Cutting text that is still being written into pieces that can be spoken already."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from sentencex import get_sentence_boundaries

from jackfield.dialogue.breath import SOONEST_CHARS, breath

_ENDERS: Final = frozenset(".!?;…。！？｡．।॥؟۔።፧։។།\n")  # full stops of other scripts are meant
_LONGEST: Final = 400
"""Characters after which a sentence is cut at a space, so that speech begins all the same."""
_LONGEST_OF_SPACES: Final = 100
_ENDED_BY_SPACES: Final = frozenset(["km", "lo", "th"])
"""Languages that put a space, and often nothing else, between sentences and clauses."""

_CLAUSE_MARKS: Final = frozenset(",;:-–—،؛፣፤՝၊、，；：､")
_CLAUSE_ENDS: Final = (
    (re.compile(r"(?:[,;:،؛፣፤՝၊]|\s(?:--?|[–—]))\s|—(?=[^—\s])"), 20),
    (re.compile(r"(?<!\d)[、，；：､]"), 7),  # one such character is a syllable or a word
)
"""Where a clause ends, with the least characters before. A comma in a number or an address has no space."""
_SPACE: Final = (re.compile(r"\s"), 20)
_LEAST_CHARS: Final = min(least_chars for _, least_chars in (*_CLAUSE_ENDS, _SPACE))

_OPENING: Final = re.compile(r"(?<=\s)[\"'“„«‘(\[¿¡]+\s*$")
_NUMBER: Final = re.compile(r"\W*\d+[.)]\W*")
_TITLES: Final = frozenset(
    [
        *("dr", "prof", "mr", "mrs", "ms", "st", "m", "mm", "mme", "mlle", "me"),
        *("hr", "fr", "ing", "mag", "sr", "sra", "srta", "dra", "sig", "dott", "avv"),
        *("inż", "mgr", "ul", "al", "np", "tzn", "tj", "д-р", "проф", "ул", "г-н", "г-жа"),
        *("डॉ", "प्रो", "डा", "ডা", "ডঃ", "د", "أ"),
    ]
)
"""Abbreviations that something always follows, as far as the library does not know them."""
_SHORT_WORD: Final = 3


class Pieces:
    """Takes text as it comes and gives whole sentences, looking only at what was not given yet.

    Joined they are the text, white space included, but for what cannot be spoken at its end. With
    `first_clause` the first piece ends with the first clause that is long enough, if that is sooner, and a
    clause of more than about sixty characters is cut where a speaker could take breath.
    """

    def __init__(self, language: str | None, *, first_clause: bool = False) -> None:
        self._language = (language or "en").partition("-")[0].lower()
        spaces = self._language in _ENDED_BY_SPACES
        self._longest = _LONGEST_OF_SPACES if spaces else _LONGEST
        self._clause_ends = (*_CLAUSE_ENDS, _SPACE) if spaces else _CLAUSE_ENDS
        clause_marks = _CLAUSE_MARKS | {" "} if spaces else _CLAUSE_MARKS
        self._marks = _ENDERS | clause_marks if first_clause else _ENDERS
        self._first_clause = first_clause
        self._unlooked = SOONEST_CHARS if first_clause else self._longest
        """Characters of the rest that need no look when they have no mark."""
        self._unspoken = ""
        """What comes before the rest and cannot be spoken alone."""
        self._rest = ""
        self._doubtful = False
        """Whether the rest has a mark that may end a piece."""

    def add(self, text: str) -> list[str]:
        """Take more text; gives the sentences that are complete now."""
        self._rest += text
        if not self._doubtful and self._marks.isdisjoint(text) and len(self._rest) <= self._unlooked:
            return []  # the usual case, a word in the middle of a sentence, costs no more than this
        self._doubtful = self._is_doubtful()
        if not self._doubtful and len(self._rest) <= self._longest and not self._is_breathless():
            return []
        pieces = self._cut()
        self._doubtful = self._is_doubtful()
        return pieces

    def _is_doubtful(self) -> bool:
        if not _ENDERS.isdisjoint(self._rest):
            return True
        return not self._marks.isdisjoint(self._rest[_LEAST_CHARS - 1 :])  # sooner no clause is long enough

    def _is_breathless(self) -> bool:
        long = self._first_clause and len(self._rest) > SOONEST_CHARS
        return long and breath(self._rest, self._language) is not None

    def end(self) -> list[str]:
        """Give what is left, once no more text comes."""
        pieces = [piece for text in self._sentences(final=True) for piece in self._given(text)]
        rest, self._unspoken, self._rest = self._unspoken, "", ""
        return [*pieces, rest] if _is_spoken(rest) else pieces

    def _cut(self) -> list[str]:
        sentences = self._sentences()
        pieces: list[str] = []
        for at, sentence in enumerate(sentences):
            if self._first_clause and (end := self._first_end(sentence)):
                pieces += self._given(sentence[:end])
                self._rest = sentence[end:] + "".join(sentences[at + 1 :])
                return pieces + self._cut() if self._rest else pieces
            if at < len(sentences) - 1:
                pieces += self._given(sentence)
        *parts, self._rest = _short(sentences[-1], self._longest)
        return pieces + [piece for part in parts for piece in self._given(part)]

    def _sentences(self, *, final: bool = False) -> list[str]:
        """Cut the rest into sentences; the last one is not complete, unless no more text comes."""
        found = get_sentence_boundaries(self._language, self._rest)
        lines = [line for each in found for line in each["text"].splitlines(keepends=True)]
        sentences: list[str] = []
        sentence = ""
        for line, following in pairwise(lines):
            sentence += line
            if len(sentence) <= self._longest and _goes_on(sentence, following, final=final):
                continue
            opening = _OPENING.search(sentence)  # a quotation whose end is not there yet
            at = opening.start() if opening else len(sentence)
            sentences.append(sentence[:at])
            sentence = sentence[at:]
        return [*sentences, sentence + (lines[-1] if lines else "")]

    def _first_end(self, sentence: str) -> int:
        """Where the first piece ends, 0 if that cannot be told."""
        end, pause = self._clause_end(sentence), breath(sentence, self._language)
        if pause is None or 0 < end <= pause.known_by:
            return end
        return pause.at if _is_spoken(sentence[: pause.at]) else end

    def _clause_end(self, sentence: str) -> int:
        """Where the first clause that is long enough ends, 0 if it does not."""
        indent = len(sentence) - len(sentence.lstrip())
        ends = [
            found.end()
            for mark, least_chars in self._clause_ends
            if (found := mark.search(sentence, indent + least_chars - 1))
        ]
        end = min(ends, default=0)
        return end if _is_spoken(sentence[:end]) else 0

    def _given(self, text: str) -> Iterator[str]:
        """Give a text in pieces that are not too long, once it can be spoken."""
        for part in _short(text, self._longest):
            piece, self._unspoken = self._unspoken + part, ""
            if _NUMBER.fullmatch(part) or not _is_spoken(part):  # the number of an item goes with the item
                self._unspoken = piece
                continue
            self._first_clause = False
            self._marks, self._unlooked = _ENDERS, self._longest
            yield piece


def _goes_on(sentence: str, following: str, *, final: bool) -> bool:
    """Whether what looks like the end of a sentence is none, or may turn out to be none."""
    stripped = sentence.rstrip()
    if not stripped.endswith(".") or "\n" in sentence[len(stripped) :]:
        return False
    word = stripped[:-1].rpartition(" ")[2].lstrip("\"'“„«‘([¿¡")
    if word[-1:].isdigit():  # it may be a date: whether a month follows shows when that is written
        return not final and not any(map(str.isspace, following.lstrip()))
    if (len(word) == 1 and word.isalpha()) or word.lower() in _TITLES:
        return True
    return following[0].islower() and (len(word) <= _SHORT_WORD or "." in word)


def _is_spoken(text: str) -> bool:
    return any(map(str.isalnum, text))


def _short(text: str, longest: int) -> list[str]:
    """Cut at spaces, or anywhere in a text that has none."""
    pieces = []
    while len(text) > longest:
        at = text.rfind(" ", 0, longest) + 1 or longest
        pieces.append(text[:at])
        text = text[at:]
    return [*pieces, text]
