"""Options of the voice."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from jackfield import Options


class PiperOptions(Options):
    """Which voice, and how it speaks."""

    model: str = Field(
        "piper-en-us-joe", description="A voice of the catalogue, or the path of a Piper voice (`.onnx`)."
    )
    config: Path | None = Field(
        None, description="The voice's description. None takes the `.onnx.json` beside the voice."
    )
    speaker: int | None = Field(
        None, ge=0, description="Number of the speaker, in voices that have several. None takes the first."
    )
    threads: int = Field(1, ge=1, description="Threads of one synthesis.")
    workers: int = Field(2, ge=1, description="Syntheses at once; further ones wait between sentences.")
    volume: float = Field(1.0, gt=0, le=1, description="Loudness; 1 is the loudest without distortion.")
    length_scale: float | None = Field(
        None, gt=0, description="Duration of the sounds; 2 is half as fast. None takes the voice's own."
    )
    noise_scale: float | None = Field(
        None, ge=0, description="Variation of the sound; 0 is monotonous. None takes the voice's own."
    )
    noise_w_scale: float | None = Field(
        None, ge=0, description="Variation of the rhythm; 0 is even. None takes the voice's own."
    )
