"""Options of the recogniser, and what the service calls a language."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from jackfield_azure_speech_account import AccountOptions

_MOST_LANGUAGES: Final = 4
_REGIONS: Final = {
    "ar": "EG",
    "bn": "IN",
    "ca": "ES",
    "cs": "CZ",
    "cy": "GB",
    "da": "DK",
    "el": "GR",
    "en": "US",
    "et": "EE",
    "eu": "ES",
    "fa": "IR",
    "ga": "IE",
    "gl": "ES",
    "gu": "IN",
    "he": "IL",
    "hi": "IN",
    "ja": "JP",
    "kn": "IN",
    "ko": "KR",
    "ml": "IN",
    "mr": "IN",
    "ms": "MY",
    "nb": "NO",
    "sl": "SI",
    "sq": "AL",
    "sv": "SE",
    "sw": "KE",
    "ta": "IN",
    "te": "IN",
    "uk": "UA",
    "ur": "IN",
    "vi": "VN",
    "zh": "CN",
    "zu": "ZA",
}
"""Of languages whose usual region does not have the language's own letters."""


class AzureSTTOptions(AccountOptions):
    """Whose account, which place, and what is heard."""

    language: str = Field(
        "en-US", description="BCP 47 tag of what is spoken, where a request does not say otherwise."
    )
    languages: tuple[str, ...] = Field(
        (),
        max_length=_MOST_LANGUAGES,
        description="Instead of `language`: up to four, among which the service finds out the one spoken.",
    )
    profanity: Literal["masked", "removed", "raw"] = Field(
        "masked", description="Whether swear words become asterisks, are left out, or are kept."
    )
    fast_s: float = Field(
        60.0,
        ge=5,
        description="Seconds of sound that are sent as fast as the network takes them; what a recording "
        "has beyond that is sent at twice its own speed.",
    )
    timeout_s: float = Field(
        15.0, gt=0, description="Seconds after the end of an utterance within which its words must come."
    )

    def spoken(self, wished: str | None) -> tuple[str, ...]:
        """Name the language that is to be heard as the service does, or those that it may be."""
        usual = tuple(locale(each) for each in self.languages or (self.language,))
        if wished is None:
            return usual
        same = (each for each in usual if _primary(each) == wished.lower())
        return (next(same, locale(wished)),)


def locale(tag: str) -> str:
    """Give a language its usual region, for the service wants to know one: `en` is `en-US`."""
    primary = _primary(tag)
    return tag if primary != tag.lower() else f"{primary}-{_REGIONS.get(primary, primary.upper())}"


def _primary(tag: str) -> str:
    return tag.partition("-")[0].lower()
