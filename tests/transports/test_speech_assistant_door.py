"""The door speech_assistant as a transport, and where it refuses to open."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from jackfield import ConfigError
from jackfield.contracts.transport import Transport
from jackfield.plugin import Site
from jackfield_transport_speech_assistant import make_transport
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions


def door(*, production: bool = False) -> Transport:
    site = Site("transport.1", "speech_assistant", logging.getLogger("trial"), production=production)
    return make_transport(SpeechAssistantOptions(), site)


def panel(public_url: str) -> Any:
    return SimpleNamespace(
        settings=SimpleNamespace(public_url=public_url),
        sessions=SimpleNamespace(shared=object(), signals=object()),
        scenarios=SimpleNamespace(names=list, get=lambda _name: None),
        authenticates=True,
    )


@pytest.mark.contract("SA-26")
def test_production_needs_https() -> None:
    with pytest.raises(ConfigError, match=r"server\.public_url.*https"):
        door(production=True).routes(panel("http://speech.example.org"))
    door(production=True).routes(panel("https://speech.example.org"))
    door().routes(panel("http://speech.example.org"))
