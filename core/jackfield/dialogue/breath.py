"""Where a speaker can take breath within a long clause: before the words that join its parts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from unicodedata import category

_JOINTS: Final = {
    language: frozenset(words.split())
    for language, words in {
        "en": "and or but nor because which who whose whom where when while although if unless since until "
        "whether than as so that of in on at by for from to with without into onto over under between among "
        "through during before after about against across around near like",
        "de": "und oder aber sondern denn weil dass ob wenn als wie der die das den dem des in im an am auf "
        "aus bei beim mit nach von vom vor zu zum zur für über unter um durch gegen ohne zwischen während",
        "fr": "et ou mais donc car parce que qui dont où quand lorsque si comme de du des à au aux en dans "
        "sur sous pour par avec sans entre vers chez pendant depuis avant après contre",
        "es": "y e o u pero sino porque que quien donde cuando si como de del a al en con sin por para "
        "sobre bajo entre hacia hasta desde durante contra según tras",
        "it": "e ed o ma perché che cui dove quando se come di del della dei delle a al alla in nel nella "
        "con senza per su sul sulla tra fra da dal dalla dopo prima durante contro",
        "pt": "e ou mas porque que quem onde quando se como de do da dos das a ao à em no na nos nas com sem "
        "por para sobre sob entre até desde durante contra",
        "nl": "en of maar want omdat dat die wie waar wanneer als toen hoe van in op aan bij met naar uit "
        "voor door over onder tussen tegen om te zonder tijdens",
        "pl": "i a oraz lub albo ale że bo który która które gdzie gdy kiedy jeśli jak niż w we na z ze do "
        "od po pod nad przy przez dla o u za przed między bez",
        "ru": "и а или но что чтобы который которая которое где когда если как чем в во на с со к ко о об от "
        "до по под над при через для у за перед между без из",
    }.items()
}
"""Words before which a phrase may stop."""
_NO_JOINTS: Final = frozenset[str]()

_GAP: Final = re.compile(r"(?<!\S)(\S++)\s++(?=(\S++)\s)")
"""What is before a space, and the word after it, once that is complete."""

_HAN: Final = "\u2e80-\u2fdf\u3005-\u3007\u3400-\u9fff\uf900-\ufaff"
_KANA: Final = "\u3040-\u30ff\u31f0-\u31ff"
_HANGUL: Final = "\u1100-\u11ff\u3130-\u318f\uac00-\ud7af"
_SYLLABLE: Final = re.compile(f"[{_HAN}{_KANA}{_HANGUL}]")
_SPACELESS: Final = re.compile(f"[{_HAN}{_KANA}]")
_JAPANESE_PLACE: Final = f"(?<=[はがをにでともの])(?=[{_HAN}ァ-ヴA-Za-z])"
"""After a particle, where a word in another script follows."""
_CHINESE_PLACE: Final = (
    f"(?<=[^目]的)(?=[{_HAN}A-Za-z])(?![确確士])"
    f"|(?<=[{_HAN}])(?=因为|因為|所以|但是|而且|并且|並且|以及|或者|如果|虽然|雖然|由于|由於|为了|為了|通过|通過|包括)"
)
_SPACELESS_PLACE: Final = re.compile(f"{_JAPANESE_PLACE}|{_CHINESE_PLACE}")
_FORESIGHT: Final = 2
"""Characters after a place without a space that tell whether it is one."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How many characters there are to be before a place, at least and, if it can be, at most."""

    least_chars: int
    most_chars: int
    word_chars: int
    """Shorter words belong to the next one: articles, prepositions. One less is enough before a joint."""


_LETTERS: Final = Reach(20, 50, 4)
_SYLLABLES: Final = Reach(8, 22, 2)
SOONEST_CHARS: Final = _SYLLABLES.most_chars
"""Shorter texts have no place yet."""
_LATEST_CHARS: Final = 150
"""What has no place by then is given up."""


@dataclass(frozen=True, slots=True)
class Breath:
    """A place in a text."""

    at: int
    known_by: int
    """How much of the text is needed to know of it."""


def breath(clause: str, language: str) -> Breath | None:
    """Find the place for breath in a text that has no mark; None as long as it is short enough without.

    It is never within a word, a number with its unit or an abbreviation with what it belongs to, and
    depends on nothing after `known_by`. `language` is the first part of a BCP 47 tag; any will do.
    """
    text = clause.lstrip()
    indent = len(clause) - len(text)
    text = text[:_LATEST_CHARS]
    head = text[: _SYLLABLES.most_chars]
    if 2 * len(_SYLLABLE.findall(head)) < len(head):
        found = _between_words(text, _LETTERS, _JOINTS.get(language, _NO_JOINTS))
    elif _SPACELESS.search(head):
        found = _within_words(text, _SYLLABLES)
    else:
        found = _between_words(text, _SYLLABLES, _NO_JOINTS)
    return Breath(indent + found.at, indent + found.known_by) if found else None


def breaks_off(piece: str) -> bool:
    """Whether a piece of a text ends within a clause, so that the next is to follow it without a pause."""
    words = piece.rstrip()
    return bool(words) and category(words[-1])[0] in "LMN" and "\n" not in piece[len(words) :]


def _between_words(text: str, reach: Reach, joints: frozenset[str]) -> Breath | None:
    best, before_joint = 0, False
    for gap in _GAP.finditer(text):
        at, left, right = gap.end(), gap[1], gap[2]
        late = at > reach.most_chars
        if best and late:
            return Breath(best, at + len(right) + 1)
        if at <= reach.least_chars or not _apart(left, right, reach, joints):
            continue
        is_joint = right.lower() in joints
        if late:
            return Breath(at, at + len(right) + 1)
        if is_joint or not before_joint:
            best, before_joint = at, is_joint
    return None


def _apart(left: str, right: str, reach: Reach, joints: frozenset[str]) -> bool:
    """Whether there may be a pause between two words."""
    if not _is_letter(left[-1]) or left.lower() in joints:
        return False
    if right.lower() in joints:
        return len(left) >= reach.word_chars - 1
    if len(left) < reach.word_chars:
        return False
    if left[0].isupper() and right[0].isupper():
        return False  # a name
    return len(right) > 1 and any(map(str.isalpha, right)) and not right[0].isdecimal()


def _is_letter(character: str) -> bool:
    return character.isalpha() or category(character).startswith("M")


def _within_words(text: str, reach: Reach) -> Breath | None:
    best = 0
    for place in _SPACELESS_PLACE.finditer(text, reach.least_chars):
        if best and place.start() > reach.most_chars:
            break
        best = place.start()
    known_by = max(best, reach.most_chars) + _FORESIGHT
    return Breath(best, known_by) if best and len(text) >= known_by else None
