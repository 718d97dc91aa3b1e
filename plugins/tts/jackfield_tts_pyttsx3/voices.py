"""eSpeak's voices, and which of them is meant."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from jackfield.contracts.tts import Voice

_WOMAN: Final = "f2"
_OTHER_NAMES: Final = {"zh": "cmn", "no": "nb", "iw": "he", "in": "id"}
"""Languages that eSpeak calls otherwise."""


@dataclass(frozen=True, slots=True)
class EspeakVoice:
    """A voice; all of them are men's, variants of their sound make others of them."""

    file: str
    """What eSpeak is told: `gmw/en-us`."""
    name: str
    """`English (America)`."""
    languages: tuple[str, ...]

    def is_called(self, name: str) -> bool:
        """Whether it is its file, the file's last part, its name or its language. `name` is in lower case."""
        tail = self.file.rpartition("/")[2]
        return name in (self.file.lower(), tail.lower(), self.name.lower()) or self.speaks(name)

    def speaks(self, language: str) -> bool:
        return any(one.lower() == language for one in self.languages)


class Voices:
    """All voices, and the one that speaks when nobody asks for another."""

    def __init__(self, voices: Iterable[EspeakVoice], usual: str) -> None:
        """:raises LookupError: when there is no `usual` voice, with names that are like it."""
        self._voices = tuple(voices)
        name, _, self._variant = usual.partition("+")
        found = self._called(name)
        if found is None:
            raise LookupError(", ".join(get_close_matches(name.lower(), self._languages(), cutoff=0.3)))
        self._usual = found

    def choose(self, voice: Voice) -> str:
        """Give what eSpeak is to be told."""
        name, _, variant = (voice.name or "").partition("+")
        named = self._called(name) if name else None
        chosen = named or self._of_language(voice.language) or self._usual
        variant = self._variant_of(variant if named else self._variant, voice)
        return f"{chosen.file}+{variant}" if variant else chosen.file

    def _variant_of(self, variant: str, voice: Voice) -> str:
        if voice.gender == "female":
            return variant if variant.startswith("f") else _WOMAN
        if voice.gender == "male":
            return "" if variant.startswith("f") else variant
        return variant

    def _of_language(self, tag: str | None) -> EspeakVoice | None:
        if not tag:
            return None
        primary, dash, rest = tag.lower().replace("_", "-").partition("-")
        primary = _OTHER_NAMES.get(primary, primary)
        speakers = [voice for voice in self._voices if voice.speaks(primary + dash + rest)]
        if self._usual in speakers or (not speakers and self._is_akin(self._usual, primary)):
            return self._usual
        akin = (voice for voice in self._voices if self._is_akin(voice, primary))
        return next(iter(speakers), None) or self._called(primary) or next(akin, None)

    def _is_akin(self, voice: EspeakVoice, primary: str) -> bool:
        return any(one.lower().partition("-")[0] == primary for one in voice.languages)

    def _called(self, name: str) -> EspeakVoice | None:
        return next((voice for voice in self._voices if voice.is_called(name.lower())), None)

    def _languages(self) -> list[str]:
        return sorted({language.lower() for voice in self._voices for language in voice.languages})
