"""Scenarios: the parts that the assistant can play, and the messages each begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from jackfield.config.sections import AssistantSection, Config, ExampleTurn, ScenarioSection, VoiceSection
from jackfield.contracts.llm import Message
from jackfield.contracts.panel import ScenarioInfo
from jackfield.contracts.transport import BuiltInScenario
from jackfield.contracts.tts import Voice
from jackfield.errors import ProtocolError

_USERNAME: Final = "{username}"


@dataclass(frozen=True, slots=True)
class Part:
    """How the assistant behaves: where its prompt begins, its voice and its model."""

    opening: tuple[Message, ...]
    voice: Voice
    llm: str | None
    temperature: float | None
    greeting: str = ""
    """What is said when a call begins; empty when nothing is."""

    @property
    def names_user(self) -> bool:
        """Whether the opening differs from user to user."""
        return _USERNAME in self.opening[0].content

    def opening_for(self, username: str) -> tuple[Message, ...]:
        """The first messages of a prompt, with the user's name where `{username}` stands."""
        system, *examples = self.opening
        if not self.names_user:
            return self.opening
        return (Message("system", system.content.replace(_USERNAME, username)), *examples)


class ScenarioTable:
    """Every scenario of the configuration and of its doors, and the assistant as it is without one."""

    def __init__(self, config: Config, built_in: Sequence[BuiltInScenario] = ()) -> None:
        assistant = config.assistant
        self._plain = Part(
            opening=_opening(assistant.instructions, assistant.examples),
            voice=_voice(assistant.voice),
            llm=None,
            temperature=assistant.temperature,
            greeting=assistant.greeting or "",
        )
        scenarios = {one.name: _section(one, assistant) for one in built_in} | config.scenarios
        self._parts = {name: _part(scenario, assistant) for name, scenario in scenarios.items()}
        self._infos = {
            name: ScenarioInfo(name, scenario.title or name, self._parts[name].voice)
            for name, scenario in scenarios.items()
        }

    def names(self) -> Sequence[str]:
        """Every scenario."""
        return list(self._parts)

    def parts(self) -> Sequence[Part]:
        """The assistant as it is without a scenario, and as it is in each of them."""
        return [self._plain, *self._parts.values()]

    def get(self, name: str) -> ScenarioInfo | None:
        """What clients may know of one."""
        return self._infos.get(name)

    def part(self, name: str | None) -> Part:
        """How the assistant behaves in a scenario, or without one.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        if name is None:
            return self._plain
        if name not in self._parts:
            raise ProtocolError(404, "scenario_not_found", "There is no such scenario.")
        return self._parts[name]


def _section(scenario: BuiltInScenario, assistant: AssistantSection) -> ScenarioSection:
    instructions = assistant.instructions if scenario.instructions is None else scenario.instructions
    return ScenarioSection(title=scenario.title, instructions=instructions, greeting=scenario.greeting)


def _part(scenario: ScenarioSection, assistant: AssistantSection) -> Part:
    examples = assistant.examples if scenario.examples is None else scenario.examples
    temperature = assistant.temperature if scenario.temperature is None else scenario.temperature
    return Part(
        opening=_opening(scenario.instructions, examples),
        voice=_voice(scenario.voice or assistant.voice),
        llm=scenario.llm,
        temperature=temperature,
        greeting=(assistant.greeting or "") if scenario.greeting is None else scenario.greeting,
    )


def _opening(instructions: str, examples: Sequence[ExampleTurn]) -> tuple[Message, ...]:
    messages = [Message("system", instructions)]
    for example in examples:
        messages += [Message("user", example.user), Message("assistant", example.assistant)]
    return tuple(messages)


def _voice(section: VoiceSection) -> Voice:
    return Voice(section.name, section.language, section.gender, section.accent)
