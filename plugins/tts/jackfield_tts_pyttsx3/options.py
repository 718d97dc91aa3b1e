"""Options of the voice."""

from __future__ import annotations

from pydantic import Field

from jackfield import Options


class Pyttsx3Options(Options):
    """Which voice, and how it speaks."""

    rate: int = Field(150, ge=80, le=450, description="Speed in words a minute, 80 to 450.")
    volume: float = Field(0.9, ge=0, le=1, description="Loudness; 1 is the loudest.")
    voice: str = Field(
        "en-us",
        description="eSpeak's name, language or file of a voice, such as `en-us`, `Polish`, `gmw/en`, with a "
        "variant behind it if wanted: `en-us+f3` is a woman's voice. `espeak-ng --voices` lists them. It "
        "speaks where the client names no voice that eSpeak knows.",
    )
