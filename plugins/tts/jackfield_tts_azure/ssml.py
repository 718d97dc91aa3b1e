"""What the service is sent: a text in SSML, and whose voice is to say it."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from jackfield.contracts.tts import SpeechSettings, Voice
from jackfield_tts_azure.options import AzureTTSOptions, Speakers

_LEAST_SPEED: Final = 0.5
_MOST_SPEED: Final = 2.0
_NAME: Final = re.compile(r"([a-z]{2,3}(?:-[A-Z][a-z]{3})?-[A-Z]{2}(?:-[a-z]+)?)-[A-Z][\w:]*")
"""Of a voice: its language and then what it is called."""
_NOT_IN_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SAID: Final = frozenset("LNS")
"""Initials of the categories of characters that are read out: letters, numbers, symbols."""


def ssml(text: str, settings: SpeechSettings, options: AzureTTSOptions) -> str | None:
    """Write the document; None when there is nothing to say."""
    if not any(unicodedata.category(character)[0] in _SAID for character in text):
        return None
    name, language = chosen(settings.voice, options)
    body = escape(_NOT_IN_XML.sub(" ", text), {"'": "&apos;", '"': "&quot;"})
    if settings.speed != 1:
        body = f"<prosody rate='{min(_MOST_SPEED, max(_LEAST_SPEED, settings.speed)):.2f}'>{body}</prosody>"
    return (
        f"<speak version='1.0' xml:lang={quoteattr(language)} xmlns='http://www.w3.org/2001/10/synthesis'>"
        f"<voice name={quoteattr(name)}>{body}</voice></speak>"
    )


def chosen(voice: Voice, options: AzureTTSOptions) -> tuple[str, str]:
    """Choose a voice: its name and its language. By name, else by accent, else by language."""
    if named := _NAME.fullmatch(voice.name or ""):
        return named[0], named[1]
    speakers = _speakers(voice, options)
    return speakers.name(voice.gender or options.gender), speakers.language


def _speakers(voice: Voice, options: AzureTTSOptions) -> Speakers:
    by_accent = {accent.lower(): speakers for accent, speakers in options.voices.items()}
    if speakers := by_accent.get((voice.accent or "").lower()):
        return speakers
    usual = options.voices[options.accent]
    if voice.language is None:
        return usual
    everybody = (usual, *options.voices.values())
    for same in (_same_tag, _same_language):
        for speakers in everybody:
            if same(speakers.language, voice.language):
                return speakers
    return options.multilingual


def _same_tag(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _same_language(one: str, other: str) -> bool:
    return one.partition("-")[0].lower() == other.partition("-")[0].lower()
