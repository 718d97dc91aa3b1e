"""Options of the recogniser."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, JsonValue, SecretStr, model_validator

from jackfield import Options
from jackfield_stt_speech_recognition.engines import ENGINES

EngineName = Literal[
    "sphinx",
    "google",
    "google_cloud",
    "wit",
    "azure",
    "houndify",
    "ibm",
    "openai",
    "groq",
    "cohere_api",
    "vosk",
]
_OURS = ("audio_data", "recognizer", "language", "language_code", "show_all", "verbose")


class SpeechRecognitionOptions(Options):
    """Which engine, and what it is told."""

    engine: EngineName = Field(
        "sphinx",
        description="Engine of SpeechRecognition. `sphinx` and `vosk` work on this machine; all others send "
        "the speech to the service of that name.",
    )
    language: str = Field("en-US", description="BCP 47 tag, where the client names no language.")
    secrets: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Keys of the service by the names of SpeechRecognition: `key`; for `houndify` "
        '`client_id` and `client_key`. From the environment: `secrets.key = "${NAME}"`.',
    )
    arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        description="What else the engine's method takes, by the names of SpeechRecognition: `endpoint` for "
        "`google`, `location` for `azure`, `model` for `openai`. `sphinx` takes none.",
    )
    model: Path | None = Field(
        None,
        description="For `sphinx`: folder of a language, with `acoustic-model`, `language-model.lm.bin` and "
        "`pronounciation-dictionary.dict`. None takes the one of `language` that is installed.",
    )
    workers: int = Field(
        2,
        ge=1,
        description="Utterances recognised at once; further ones wait. For `sphinx` processes, each with the "
        "model in memory (about 130 MB).",
    )
    timeout_s: float = Field(
        10.0, gt=0, description="Seconds that a service may take to connect, and to send the next byte."
    )

    @model_validator(mode="after")
    def _fit_the_engine(self) -> Self:
        """Hold keys and arguments against the engine, before anything is built."""
        if self.engine == "sphinx":
            if self.secrets or self.arguments:
                raise ValueError("The engine sphinx takes neither secrets nor arguments.")
            return self
        engine = ENGINES[self.engine]
        missing = [name for name in engine.required_secrets if name not in self.secrets]
        unknown = [name for name in self.secrets if name not in engine.secrets]
        misplaced = [name for name in self.arguments if name in engine.secrets]
        ours = [name for name in self.arguments if name in _OURS]
        if missing:
            raise ValueError(f"The engine {self.engine} needs secrets.{' and secrets.'.join(missing)}.")
        if unknown:
            known = ", ".join(engine.secrets) or "none"
            raise ValueError(f"The engine {self.engine} has no secret {', '.join(unknown)}; it has: {known}.")
        if misplaced:
            raise ValueError(f"Write {', '.join(misplaced)} under secrets, not under arguments.")
        if ours:
            raise ValueError(f"The plugin itself sets {', '.join(ours)}; the language is an option.")
        if self.model:
            raise ValueError("The option model is for the engine sphinx.")
        return self
