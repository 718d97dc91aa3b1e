"""Scenarios and voices."""

from __future__ import annotations

from typing import Any

import pytest

from jackfield.config.sections import Config
from jackfield.contracts.llm import Message
from jackfield.contracts.transport import BuiltInScenario
from jackfield.contracts.tts import Voice
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.voices import voice_for
from jackfield.errors import ProtocolError

CONFIG = Config.model_validate(
    {
        "assistant": {
            "instructions": "plain",
            "examples": [{"user": "q", "assistant": "a"}],
            "voice": {"language": "en"},
            "temperature": 0.5,
        },
        "scenarios": {
            "host": {"instructions": "host"},
            "judge": {
                "title": "The judge",
                "instructions": "judge",
                "examples": [],
                "voice": {"gender": "male"},
                "llm": "big",
                "temperature": 0,
            },
        },
    }
)
TABLE = ScenarioTable(CONFIG)


def test_without_a_scenario_the_assistant_is_itself() -> None:
    part = TABLE.part(None)

    assert part.opening == (Message("system", "plain"), Message("user", "q"), Message("assistant", "a"))
    assert (part.voice, part.llm, part.temperature) == (Voice(language="en"), None, 0.5)


def test_a_scenario_takes_from_the_assistant_what_it_does_not_say() -> None:
    part = TABLE.part("host")

    assert part.opening[0] == Message("system", "host")
    assert part.opening[1:] == TABLE.part(None).opening[1:]
    assert (part.voice, part.llm, part.temperature) == (Voice(language="en"), None, 0.5)


def test_a_scenario_may_say_everything_itself_nothing_included() -> None:
    part = TABLE.part("judge")

    assert part.opening == (Message("system", "judge"),)
    assert (part.voice, part.llm, part.temperature) == (Voice(gender="male"), "big", 0)


def test_clients_may_know_name_title_and_voice() -> None:
    assert TABLE.names() == ["host", "judge"]
    host, judge = TABLE.get("host"), TABLE.get("judge")
    assert host is not None
    assert judge is not None
    assert (host.title, judge.title) == ("host", "The judge")
    assert TABLE.get("nobody") is None


def test_an_unknown_scenario_is_the_clients_mistake() -> None:
    with pytest.raises(ProtocolError) as error:
        TABLE.part("nobody")

    assert (error.value.status, error.value.code) == (404, "scenario_not_found")


@pytest.mark.parametrize(
    ("asked", "preferences", "wanted"),
    [
        (Voice(name="x"), {"voice": {"name": "y"}}, Voice(name="x")),
        (None, {"voice": {"name": "y", "language": "de"}}, Voice(name="y", language="de")),
        (None, {}, Voice(name="default")),
        (None, {"voice": "y"}, Voice(name="default")),
        (None, {"voice": {}}, Voice(name="default")),
        (None, {"voice": {"name": 3, "gender": None, "colour": "red"}}, Voice(name="default")),
        (None, {"voice": {"gender": "female", "colour": "red"}}, Voice(gender="female")),
    ],
)
def test_the_voice_is_the_one_asked_for_else_preferred_else_the_parts(
    asked: Voice | None, preferences: dict[str, Any], wanted: Voice
) -> None:
    assert voice_for(asked, preferences, Voice(name="default")) == wanted


def test_a_door_brings_scenarios_that_the_file_may_replace() -> None:
    brought = [BuiltInScenario("host", "Host"), BuiltInScenario("guide", "The guide", greeting="Hi")]
    table = ScenarioTable(CONFIG, brought)

    assert list(table.names()) == ["host", "guide", "judge"]
    assert table.part("host").opening[0].content == "host"
    assert (table.part("guide").opening[0].content, table.part("guide").greeting) == ("plain", "Hi")
    info = table.get("guide")
    assert info is not None
    assert info.title == "The guide"
