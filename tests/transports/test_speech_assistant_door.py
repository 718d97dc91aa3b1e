"""The door speech_assistant as a transport, and where it refuses to open."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from jackfield import ConfigError
from jackfield.contracts.transport import Transport
from jackfield.errors import Problem
from jackfield.plugin import Site
from jackfield_transport_speech_assistant import make_transport
from jackfield_transport_speech_assistant.options import SpeechAssistantOptions


def door(*, production: bool = False, **options: Any) -> Transport:
    site = Site("transport.1", "speech_assistant", logging.getLogger("trial"), production=production)
    return make_transport(SpeechAssistantOptions(**options), site)


def panel(public_url: str = "", /, **obstacles: Problem) -> Any:
    return SimpleNamespace(
        forwarding=SimpleNamespace(obstacle=obstacles.get),
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


@pytest.mark.contract("SA-50", "SA-51")
@pytest.mark.parametrize(
    ("option", "value", "ability"),
    [("media", "pass_through", "offers"), ("expose_provider_secret", True, "secrets")],
)
def test_a_model_that_cannot_do_it_stops_the_start(option: str, value: Any, ability: str) -> None:
    obstacle = Problem("call.pipeline", "It is a cascade.", "Write another.")
    in_the_way = panel(**{ability: obstacle})
    with pytest.raises(ConfigError) as stopped:
        door(**{option: value}).routes(in_the_way)
    (problem,) = stopped.value.problems
    assert problem.section == f"transport.1.options.{option}"
    assert "It is a cascade." in problem.message
    assert problem.fix == "Write another."
    door(**{option: value}).routes(panel())
    door().routes(in_the_way)
