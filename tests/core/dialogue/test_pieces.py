"""Cutting text into sentences while it is written."""

from __future__ import annotations

import random
import time

import pytest
from sentencex import get_sentence_boundaries

from jackfield.dialogue.pieces import Pieces

TEXTS = {
    "plain": ("en", "Hello there. How are you? Fine!", ["Hello there.", "How are you?", "Fine!"]),
    "abbreviations": (
        "en",
        "Dr. Smith met Mr. Jones at 5 p.m. yesterday. They left.",
        ["Dr. Smith met Mr. Jones at 5 p.m. yesterday.", "They left."],
    ),
    "decimals": ("en", "It costs 3.50 euros. Pi is 3.14159.", ["It costs 3.50 euros.", "Pi is 3.14159."]),
    "address": (
        "en",
        "See https://example.org/a.b?c=d.e for more. Then ask.",
        ["See https://example.org/a.b?c=d.e for more.", "Then ask."],
    ),
    "emoji": (
        "en",
        "Well done! 👍🏽 Next one 😀. 👩‍👩‍👧 Family. Bye 👋",
        ["Well done!", "👍🏽 Next one 😀.", "👩‍👩‍👧 Family.", "Bye 👋"],
    ),
    "ellipsis": ("en", "Well... I do not know. Perhaps.", ["Well... I do not know.", "Perhaps."]),
    "quotes": ("en", 'Yes! "Stop!" he said. She stayed.', ["Yes!", '"Stop!" he said.', "She stayed."]),
    "quotation": ("en", 'He said "Stop!" and left. She stayed.', None),
    "initials": ("en", "J. R. Smith knows. Ask him.", ["J. R. Smith knows.", "Ask him."]),
    "times": ("en", "It is 10:30 a.m. now. Go!", ["It is 10:30 a.m. now.", "Go!"]),
    "versions": ("en", "Version 1.2.3 is out. Get it.", ["Version 1.2.3 is out.", "Get it."]),
    "year": ("en", "It was in 1990. Then came more.", ["It was in 1990.", "Then came more."]),
    "year at the end": ("en", "It was in 1990. Yes", ["It was in 1990.", "Yes"]),
    "numbered": (
        "en",
        "1. Apples are good\n2. Pears, too\nThat is all.",
        ["1. Apples are good", "2. Pears, too", "That is all."],
    ),
    "items": ("en", "Take one:\n- Rome, Italy\n- Paris", ["Take one:", "- Rome, Italy", "- Paris"]),
    "chinese": ("zh", "你好。今天天气很好！你呢？", ["你好。", "今天天气很好！", "你呢？"]),
    "chinese quotes": ("zh", "他说：“好的。”然后走了。", ["他说：“好的。”", "然后走了。"]),
    "japanese": ("ja", "こんにちは。元気ですか？はい。", ["こんにちは。", "元気ですか？", "はい。"]),
    "korean": ("ko", "날씨가 좋네요! 3.5달러입니다. 네.", ["날씨가 좋네요!", "3.5달러입니다.", "네."]),
    "german": ("de", "Das ist z.B. gut. Und jetzt?", ["Das ist z.B. gut.", "Und jetzt?"]),
    "german date": (
        "de",
        "Am 3. Mai kam Dr. Müller um 5 Uhr. Es kostet 3,5 Euro.",
        ["Am 3. Mai kam Dr. Müller um 5 Uhr.", "Es kostet 3,5 Euro."],
    ),
    "french": (
        "fr",
        "M. Dupont et Mme. Durand sont là. C'est bon ! Oui.",
        ["M. Dupont et Mme. Durand sont là.", "C'est bon !", "Oui."],
    ),
    "spanish": (
        "es",
        "El Sr. Gil llegó a las 5 p.m. y se fue. ¡Bien! ¿Y tú?",
        ["El Sr. Gil llegó a las 5 p.m. y se fue.", "¡Bien!", "¿Y tú?"],
    ),
    "polish": (
        "pl",
        "W 1990 r. dr. Kowalski był tu. Płaci 3,5 zł. Tak.",
        ["W 1990 r. dr. Kowalski był tu.", "Płaci 3,5 zł.", "Tak."],
    ),
    "russian": (
        "ru",
        "А. С. Пушкин, т.е. поэт. В 1990 г. было иначе. Да?",
        ["А. С. Пушкин, т.е. поэт.", "В 1990 г. было иначе.", "Да?"],
    ),
    "greek": ("el", "Γεια σας. Πώς είστε; Καλά.", ["Γεια σας.", "Πώς είστε;", "Καλά."]),
    "armenian": ("hy", "Բարև։ Ինչպես ես։ Լավ։", ["Բարև։", "Ինչպես ես։", "Լավ։"]),
    "amharic": ("am", "ሰላም። እንዴት ነህ፧ ደህና።", ["ሰላም።", "እንዴት ነህ፧", "ደህና።"]),
    "hindi": ("hi", "नमस्ते। आप कैसे हैं?", ["नमस्ते।", "आप कैसे हैं?"]),
    "hindi title": ("hi", "डॉ. शर्मा आए। ठीक है।", ["डॉ. शर्मा आए।", "ठीक है।"]),
    "bengali": ("bn", "নমস্কার। আপনি কেমন আছেন? ভালো।", ["নমস্কার।", "আপনি কেমন আছেন?", "ভালো।"]),
    "tamil": ("ta", "வணக்கம். எப்படி இருக்கிறீர்கள்? நன்றி.", None),
    "burmese": ("my", "မင်္ဂလာပါ။ နေကောင်းလား။", ["မင်္ဂလာပါ။", "နေကောင်းလား။"]),
    "urdu": ("ur", "سلام۔ آپ کیسے ہیں؟ ٹھیک۔", ["سلام۔", "آپ کیسے ہیں؟", "ٹھیک۔"]),
    "arabic": ("ar", "مرحبا. كيف حالك؟ بخير.", ["مرحبا.", "كيف حالك؟", "بخير."]),
    "thai": ("th", "สวัสดีครับ วันนี้อากาศดี " * 6, None),
    "regional tag": ("en-GB", "One. Two.", ["One.", "Two."]),
    "unknown language": ("xx", "One here. Two there.", ["One here.", "Two there."]),
    "no language": (None, "One here. Two there.", ["One here.", "Two there."]),
    "lines": ("en", "First line\nsecond line\n\nThird.", ["First line", "second line", "Third."]),
    "rule": ("en", "One.\n\n---\n\nTwo.", ["One.", "---\n\nTwo."]),
    "number": ("en", "42.", ["42."]),
    "nothing to say": ("en", "... !!! 👍 --", []),
    "empty": ("en", "", []),
}

FIRST_CLAUSES = {
    "comma": ("en", "Well, the capital of Italy, as you know, is Rome.", "Well, the capital of Italy,"),
    "short sentence": ("en", "Yes. The capital of Italy, that is.", "Yes."),
    "semicolon": ("en", "That is not quite right; it is Rome.", "That is not quite right;"),
    "colon": ("en", "Here is what you can do: go to Rome.", "Here is what you can do:"),
    "dash": ("en", "The capital of Italy – Rome – is old.", "The capital of Italy –"),
    "long dash": ("en", "The capital of Italy—that is Rome—is old.", "The capital of Italy—"),
    "two hyphens": ("en", "The capital of Italy -- Rome -- is old.", "The capital of Italy --"),
    "hyphen": (
        "en",
        "A well-known and time-honoured city-state.",
        "A well-known and time-honoured city-state.",
    ),
    "range": ("en", "It was in the years 1914–1918, I think.", "It was in the years 1914–1918,"),
    "decimal": ("de", "Das kostet hier genau 3,5 Euro, denke ich.", "Das kostet hier genau 3,5 Euro,"),
    "thousands": (
        "en",
        "There are exactly 12,345,678 people here.",
        "There are exactly 12,345,678 people here.",
    ),
    "time": ("en", "The train leaves at 10:30 today, I think.", "The train leaves at 10:30 today,"),
    "address": (
        "en",
        "Have a look at https://a.b/c,d;e:f?g=h, then ask.",
        "Have a look at https://a.b/c,d;e:f?g=h,",
    ),
    "abbreviation": ("en", "Ask Dr. Smith of the town, please.", "Ask Dr. Smith of the town,"),
    "face": ("en", "I am so glad to hear it :-) and you?", "I am so glad to hear it :-) and you?"),
    "emoji": ("en", "👍 I am so glad to hear it, you know.", "👍 I am so glad to hear it,"),
    "nothing to say before": ("en", "---\n\nWell, the capital of Italy, is Rome.", None),
    "end": ("en", "The capital of Italy is Rome", "The capital of Italy is Rome"),
    "chinese": ("zh", "今天天气真的很好，我们去公园吧。", "今天天气真的很好，"),
    "short chinese": ("zh", "你好，今天天气很好，走吧。", "你好，今天天气很好，"),
    "chinese number": ("zh", "现在的价格是3，5元，时间是10：30。", "现在的价格是3，5元，"),
    "japanese": ("ja", "今日は天気がいいので、散歩しましょう。", "今日は天気がいいので、"),
    "arabic": ("ar", "اليوم الطقس جميل جدا، فلنذهب معا.", "اليوم الطقس جميل جدا،"),
    "hindi": ("hi", "आज मौसम बहुत अच्छा है, चलो चलते हैं।", "आज मौसम बहुत अच्छा है,"),
    "amharic": ("am", "ዛሬ የአየር ሁኔታው በጣም ጥሩ ነው፣ እንሂድ።", "ዛሬ የአየር ሁኔታው በጣም ጥሩ ነው፣"),
    "long clause": (
        "en",
        "Music is a universal language that transcends borders and cultures. It is old.",
        "Music is a universal language",
    ),
    "long clause with a late comma": (
        "en",
        "A library is a vast repository of knowledge and resources, often used.",
        "A library is a vast repository of knowledge and resources,",
    ),
    "clause that is not that long": (
        "en",
        "The boiling point of water is a hundred degrees. Ice melts at zero of them.",
        "The boiling point of water is a hundred degrees.",
    ),
    "item of a list": (
        "en",
        "1. Music is a universal language that transcends borders and cultures.",
        "1. Music is a universal language",
    ),
    "long chinese": (
        "zh",
        "昨天下午我没有去公园散步因为天气预报说会下很大的雨。",
        "昨天下午我没有去公园散步",
    ),
    "thai": ("th", "สวัสดีครับ วันนี้อากาศดีมาก คุณสบายดีไหม", "สวัสดีครับ วันนี้อากาศดีมาก"),
}


ALL = [(language, text) for language, text, _ in (*TEXTS.values(), *FIRST_CLAUSES.values())]


def pieces(language: str | None, parts: list[str], *, first_clause: bool = False) -> list[str]:
    cutter = Pieces(language, first_clause=first_clause)
    found = [piece for part in parts for piece in cutter.add(part)]
    return found + cutter.end()


@pytest.mark.parametrize("name", TEXTS)
def test_text_is_cut_into_sentences(name: str) -> None:
    language, text, wanted = TEXTS[name]

    found = pieces(language, [text])

    if wanted is not None:
        assert [piece.strip() for piece in found] == wanted


@pytest.mark.parametrize("name", FIRST_CLAUSES)
def test_the_first_piece_ends_with_the_first_long_clause(name: str) -> None:
    language, text, wanted = FIRST_CLAUSES[name]

    found = pieces(language, [text], first_clause=True)

    if wanted is not None:
        assert found[0].strip() == wanted


@pytest.mark.parametrize("name", FIRST_CLAUSES)
def test_only_the_first_piece_may_be_a_clause(name: str) -> None:
    language, text, _ = FIRST_CLAUSES[name]

    first, *others = pieces(language, [text], first_clause=True)

    assert others == pieces(language, [text.removeprefix(first)])


def test_a_clause_is_given_as_soon_as_the_next_begins() -> None:
    cutter = Pieces("en", first_clause=True)

    assert cutter.add("The capital of Italy,") == []
    assert cutter.add(" my") == ["The capital of Italy, "]
    assert cutter.add(" friend, is") == []


def test_a_long_clause_is_cut_before_it_ends() -> None:
    cutter = Pieces("en", first_clause=True)

    assert cutter.add("Music is a universal language that transcends borders and") == []
    assert cutter.add(" ") == ["Music is a universal language "]
    assert cutter.add("cultures, the human experience and the power that connects all people ") == []


@pytest.mark.parametrize("first_clause", [False, True])
@pytest.mark.parametrize(("language", "text"), ALL)
def test_how_the_text_arrives_makes_no_difference(
    language: str | None, text: str, first_clause: bool
) -> None:
    whole = pieces(language, [text], first_clause=first_clause)
    chance = random.Random(text)

    assert pieces(language, list(text), first_clause=first_clause) == whole
    for _ in range(50):
        cuts = sorted(chance.sample(range(len(text) + 1), k=min(len(text), 4)))
        parts = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert pieces(language, parts, first_clause=first_clause) == whole


@pytest.mark.parametrize("first_clause", [False, True])
@pytest.mark.parametrize(("language", "text"), ALL)
def test_nothing_is_lost_but_what_cannot_be_spoken_at_the_end(
    language: str | None, text: str, first_clause: bool
) -> None:
    for parts in ([text], list(text)):
        joined = "".join(pieces(language, parts, first_clause=first_clause))
        assert text.startswith(joined)
        assert not any(map(str.isalnum, text[len(joined) :]))


def test_nothing_is_lost_of_any_mixture() -> None:
    chance = random.Random(1)
    words = ["Hi", "3", "Dr", "你好", "नम", "نعم", "👍🏽", "z.B.", "https://a.b/c", "e\u0301"]
    marks = [
        " ",
        " ",
        " ",
        ". ",
        ".",
        "! ",
        ", ",
        "，",
        "。",
        "؟ ",
        "। ",
        "\n",
        "\n\n",
        ' "',
        '" ',
        " – ",
        "...",
    ]
    for _ in range(2000):
        parts = chance.choices(words + marks, k=chance.randrange(1, 30))
        text = "".join(parts)
        language = chance.choice(["en", "de", "zh", "ja", "hi", "ar", "th", None])
        found = pieces(language, parts, first_clause=chance.random() < 0.5)
        joined = "".join(found)
        assert text.startswith(joined)
        assert not any(map(str.isalnum, text[len(joined) :]))
        assert all(any(map(str.isalnum, piece)) for piece in found)


def test_a_sentence_is_given_as_soon_as_the_next_begins() -> None:
    cutter = Pieces("en")

    assert cutter.add("The capital is Rome.") == []
    assert cutter.add(" It") == ["The capital is Rome. "]


@pytest.mark.parametrize("text", ["word " * 300, "x" * 1500, "你好" * 700])
def test_a_text_without_an_end_is_cut_all_the_same(text: str) -> None:
    found = pieces("en", [text[start : start + 7] for start in range(0, len(text), 7)])

    assert len(found) > 2
    assert max(map(len, found)) <= 400
    assert "".join(found) == text


def test_a_long_text_that_comes_at_once_is_cut_into_pieces_that_can_be_spoken_soon() -> None:
    found = pieces("en", ["word " * 300 + "end. Next. " + "word " * 300])

    assert max(map(len, found)) <= 400


def test_thai_is_cut_at_spaces() -> None:
    found = pieces("th", ["สวัสดีครับ วันนี้อากาศดี " * 20])

    assert max(map(len, found)) <= 100


@pytest.mark.parametrize("text", ["word. ", "- ", "! ", "x", "M. ", " (", '" '])
def test_a_word_costs_no_more_after_many_of_them(text: str) -> None:
    cutter = Pieces("en", first_clause=True)
    took_s = []
    for _ in range(2):
        began_s = time.perf_counter()
        for _ in range(5_000):
            cutter.add(text)
        took_s.append(time.perf_counter() - began_s)

    assert max(took_s) < 2.0
    assert took_s[1] < 4 * took_s[0] + 0.1


def test_words_after_a_comma_that_ends_no_clause_are_not_looked_at_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []

    def counted(language: str, text: str) -> object:
        looked.append(text)
        return get_sentence_boundaries(language, text)

    monkeypatch.setattr("jackfield.dialogue.pieces.get_sentence_boundaries", counted)
    pieces = Pieces("en", first_clause=True)
    given = [
        piece for word in ("Yes, ", "I ", "can ", "hear ", "you ", "well, ") for piece in pieces.add(word)
    ]
    assert given == ["Yes, I can hear you well, "]
    assert looked == ["Yes, I can hear you well, "], "at the second comma only"
