"""Where a long clause without a mark is cut."""

from __future__ import annotations

import pytest

from jackfield.dialogue.breath import breaks_off, breath

CUT = {
    "before a conjunction": (
        "en",
        "The leaves turn red in autumn | because of the changing of the seasons.",
    ),
    "before a relative": ("en", "Music is a universal language | that transcends borders and cultures."),
    "before a preposition": (
        "en",
        "A computer works by using a computer's processor | to perform calculations.",
    ),
    "not within a name": (
        "en",
        "Everybody admired the old composer | Wolfgang Amadeus Mozart himself.",
    ),
    "between words": ("en", "Yesterday evening every single neighbour sang | wonderful melodies together."),
    "not after a small word": (
        "en",
        "Yesterday evening everybody admired openly | the extraordinarily beautiful architecture.",
    ),
    "not within a number": (
        "en",
        "Astronomers estimated nearly exactly 3 million | kilometres altogether here.",
    ),
    "not before a number": (
        "en",
        "Everybody remembers that wonderful summer | holiday 1990 forever afterwards.",
    ),
    "not after an abbreviation": (
        "en",
        "Yesterday evening everybody celebrated alongside | Dr. Fitzgerald afterwards.",
    ),
    "not within an address": (
        "en",
        "Please consult https://example.org/a/b/c?d=e&f=g,h;i:j/k/l/m/n/o/p/q/r | whenever possible today.",
    ),
    "german": ("de", "Die Hauptstadt Italiens liegt ziemlich genau | in der Mitte des ganzen Landes."),
    "german article": ("de", "Heute besuchen sehr viele Menschen jeden Tag | die Hauptstadt Italiens gerne."),
    "french": ("fr", "La capitale historique se trouve exactement | au centre géographique national."),
    "spanish": ("es", "Nuestra capital histórica está situada | en pleno centro geográfico nacional."),
    "russian": ("ru", "Столица Италии находится примерно посередине | на берегу старинной реки."),
    "hindi": ("hi", "भारत दुनिया का सबसे बड़ा लोकतांत्रिक गणराज्य माना | जाता है और यहाँ करोड़ों लोग रहते हैं।"),
    "unknown language": (
        "xx",
        "Lorem ipsum dolor amet consectetur adipiscing | elit vestibulum phasellus pretium.",
    ),
    "chinese": ("zh", "北京是中华人民共和国的首都也是世界上最著名的|历史文化名城之一。"),
    "chinese conjunction": ("zh", "昨天下午我没有去公园散步|因为天气预报说会下很大的雨。"),
    "japanese": ("ja", "日本の首都東京は世界で最も人口が多い都市の|一つとして知られています。"),
    "korean": ("ko", "대한민국의 수도인 서울특별시는 아주 | 오래된 역사를 가진 아름다운 도시입니다."),
}

WHOLE = {
    "short": ("en", "The largest ocean on earth is the Pacific Ocean."),
    "nothing but names": (
        "en",
        "Alexander Montgomery Fitzgerald Wellington Cumberbatch Shakespeare Hemingway ",
    ),
    "nothing but figures": (
        "en",
        "1 22 333 4444 55555 1 22 333 4444 55555 1 22 333 4444 55555 1 22 333 4444 ",
    ),
    "one word": ("en", "x" * 200),
    "chinese without a place": ("zh", "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"),
    "nothing": ("en", ""),
}


@pytest.mark.parametrize("name", CUT)
def test_breath_is_taken_between_phrases(name: str) -> None:
    language, marked = CUT[name]
    text = marked.replace("| ", "").replace("|", "")

    found = breath(text, language)

    assert found is not None
    assert text[: found.at] == marked.partition("|")[0]


@pytest.mark.parametrize("name", WHOLE)
def test_there_is_none_where_nobody_would_take_it(name: str) -> None:
    language, text = WHOLE[name]

    assert breath(text, language) is None


@pytest.mark.parametrize("name", CUT)
def test_it_is_known_as_soon_as_it_is_said_to_be(name: str) -> None:
    language, marked = CUT[name]
    text = "  " + marked.replace("| ", "").replace("|", "")

    found = breath(text, language)

    assert found is not None
    assert [breath(text[:length], language) for length in range(found.known_by)] == [None] * found.known_by
    later = {breath(text[:length], language) for length in range(found.known_by, len(text) + 1)}
    assert later == {found}


@pytest.mark.parametrize(
    ("piece", "broken"),
    [
        ("Music is a universal language ", True),
        ("a word", True),
        ("大好きな", True),
        ("भारत की ", True),
        ("Yes, ", False),
        ("It is so. ", False),
        ("A headline\n", False),
        ("“Stop!” ", False),
        ("", False),
    ],
)
def test_a_piece_that_breaks_off_is_known_by_its_end(piece: str, broken: bool) -> None:
    assert breaks_off(piece) is broken
