"""The engines of SpeechRecognition that take an utterance and give its words, `sphinx` apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_LONGEST_S: Final = 600.0
"""What the kits of some services wait for an answer, which SpeechRecognition leaves as it is."""


@dataclass(frozen=True, slots=True)
class Engine:
    """What `recognize_NAME` of SpeechRecognition 3.17 needs."""

    method: str
    language: str | None = None
    """Name of the argument that takes the language."""
    short_language: bool = False
    """Whether it takes `en` instead of `en-US`."""
    secrets: tuple[str, ...] = ()
    """Arguments that are keys."""
    required_secrets: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    """Variables that its kit reads its key from, and that must be set."""
    module: str | None = None
    """What it imports when it is called."""
    distribution: str = ""
    """What brings that module."""
    fixed: Mapping[str, object] = field(default_factory=dict)
    compresses: bool = False
    """Whether it calls the program `flac`."""
    network: bool = True
    longest_s: float | None = None
    """Seconds that a call may take, where the option `timeout_s` does not count."""


ENGINES: Final = {
    "google": Engine(
        "recognize_google", "language", secrets=("key",), fixed={"show_all": True}, compresses=True
    ),
    "google_cloud": Engine(
        "recognize_google_cloud",
        "language_code",
        module="google.cloud.speech",
        distribution="google-cloud-speech",
        compresses=True,
        longest_s=_LONGEST_S,
    ),
    "wit": Engine("recognize_wit", secrets=("key",), required_secrets=("key",)),
    "azure": Engine(
        "recognize_azure", "language", secrets=("key",), required_secrets=("key",), longest_s=70.0
    ),
    "houndify": Engine(
        "recognize_houndify",
        secrets=("client_id", "client_key"),
        required_secrets=("client_id", "client_key"),
    ),
    "ibm": Engine("recognize_ibm", "language", secrets=("key",), required_secrets=("key",), compresses=True),
    "openai": Engine(
        "recognize_openai",
        "language",
        short_language=True,
        environment=("OPENAI_API_KEY",),
        module="openai",
        distribution="openai",
        longest_s=_LONGEST_S,
    ),
    "groq": Engine(
        "recognize_groq",
        "language",
        short_language=True,
        environment=("GROQ_API_KEY",),
        module="groq",
        distribution="groq",
        longest_s=_LONGEST_S,
    ),
    "cohere_api": Engine(
        "recognize_cohere_api",
        "language",
        short_language=True,
        environment=("CO_API_KEY",),
        module="cohere",
        distribution="cohere",
        longest_s=_LONGEST_S,
    ),
    "vosk": Engine("recognize_vosk", module="vosk", distribution="vosk", network=False, longest_s=_LONGEST_S),
}
