"""What a call of random parts leaves behind: every answer has to be fresh, and stored as it was heard."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field
from itertools import dropwhile
from typing import Final

from jackfield.contracts.call import ReplyFinished, ReplyStarted, ReplyText
from jackfield.dialogue.call.phrases import error_tone
from tests.core.dialogue.call.dice import LETTER_SAMPLES, RATE_HZ, RandomLLM, RandomTTS
from tests.core.dialogue.call.questions import Questions
from tests.core.dialogue.call.talk import Talk

_LEAST_LETTERS: Final = 3.5
"""Less than that of an answer is no word yet (0.2 s)."""

Message = tuple[bool, str]
"""Whether it is the user's, and its text."""


@dataclass
class Evidence:
    """One call: what was said into it, typed, asked of the model, read by the voice and heard."""

    talk: Talk
    llm: RandomLLM
    tts: RandomTTS
    typed: list[tuple[int, str]] = field(default_factory=list)
    """How many events had been told before, and the text; an empty one takes back all that was said."""

    def type(self, text: str) -> None:
        """Send a typed message."""
        self.typed.append((len(self.talk.leg.told), text))
        self.talk.call.text(text)

    def interrupt(self) -> None:
        """Want no answer to anything that was said so far."""
        self.typed.append((len(self.talk.leg.told), ""))
        self.talk.call.interrupt()

    def check(self, before: list[Message], stored: list[Message]) -> None:
        """Hold everything against each other; the conversation is what was stored before, and is now."""
        self._told_in_order()
        wanted = Questions(self.typed).of_items(self.talk.leg.told)
        expected = list(before)
        for event in self.talk.leg.events(ReplyFinished):
            number = self._answered(event.item)
            self._sound_is_fresh(event.item, number)
            if number is None:
                assert event.outcome != "ok", f"item {event.item} says nothing, and is no apology"
                assert not event.text, f"item {event.item} was never written: {event.text!r}"
                continue
            asked = self.llm.asked[number]
            assert asked.text == wanted[event.item], f"item {event.item} is no answer to all that was said"
            assert list(asked.history) == expected, f"item {event.item} did not know what was said before"
            self._is_what_was_heard(event, number)
            if event.text:
                expected += [(True, asked.text), (False, event.text)]
        assert stored == expected, "what is stored is not what was heard"

    def _told_in_order(self) -> None:
        leg, open_item, last = self.talk.leg, 0, 0
        for _, event in leg.told:
            match event:
                case ReplyStarted(item):
                    assert not open_item, f"item {item} began within item {open_item}"
                    assert item == last + 1
                    open_item = last = item
                case ReplyText(item):
                    assert item == open_item, f"words of item {item} within item {open_item}"
                case ReplyFinished(item):
                    assert item == open_item, f"item {item} ended within item {open_item}"
                    open_item = 0
        assert not open_item, f"item {open_item} never ended"

    def _answered(self, item: int) -> int | None:
        """The request that an item answers; None for an apology."""
        numbers = {int(word.strip(",.")) for word in self.talk.leg.shown(item).split()}
        assert len(numbers) <= 1, f"item {item} says words of requests {numbers}"
        return numbers.pop() if numbers else None

    def _sound_is_fresh(self, item: int, number: int | None) -> None:
        """It is that of the request, of an apology (0) and then, where there is no voice, the error tone."""
        ends_s = {e.item: at_s for at_s, e in self.talk.leg.told if isinstance(e, ReplyFinished)}
        for heard in self.talk.leg.heard:
            if heard.item == item:
                assert heard.at_s + len(heard.pcm) / 2 / RATE_HZ <= ends_s[item] + 0.001, (
                    f"item {item} goes on"
                )
        samples = _samples(self.talk.leg.heard_pcm(item))
        rest = list(dropwhile(lambda sample: sample in (0, number), samples))
        tone = error_tone(RATE_HZ).find(struct.pack(f"<{len(rest)}h", *rest))
        assert tone >= 0, f"item {item}, request {number}, sounds of {set(rest)}"

    def _is_what_was_heard(self, event: ReplyFinished, number: int) -> None:
        """The text is as long as what was heard of the voice, give or take an estimate of a word."""
        shown = self.talk.leg.shown(event.item)
        assert shown.strip().startswith(event.text), f"{event.text!r} is no beginning of {shown!r}"
        if event.outcome == "ok":
            assert event.text == shown.strip(), f"{event.text!r} was not heard to its end: {shown!r}"
        letters = _samples(self.talk.leg.heard_pcm(event.item)).count(number) / LETTER_SAMPLES
        spoken = self._spoken_letters(number, event.text)
        assert spoken <= letters * 1.01 + 0.1, f"{event.text!r} is more than {letters:.1f} letters"
        if letters > _LEAST_LETTERS:
            rest = shown.strip()[len(event.text) :]
            more = event.text + (re.match(r"\s*\S+\s*", rest) or [""])[0]
            least = self._spoken_letters(number, more)
            assert least >= letters * 0.9 - 0.1, f"{event.text!r} is less than {letters:.1f} letters"

    def _spoken_letters(self, number: int, text: str) -> int:
        """How many letters the voice reads for a beginning of an answer: no spaces between pieces."""
        letters, rest = 0, text
        for piece in self.tts.read.get(number, []):
            rest = rest.lstrip()
            taken = len(piece) if rest.startswith(piece) else len(rest)
            letters += taken
            rest = rest[taken:]
        return letters + len(rest.strip())


def _samples(pcm: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(pcm) // 2}h", pcm)
