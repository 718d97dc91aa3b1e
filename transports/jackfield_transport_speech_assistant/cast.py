"""The scenarios that clients may choose, by ids that are compared without regard to case and hyphens."""

from __future__ import annotations

from typing import Final

from jackfield.contracts.panel import Scenarios
from jackfield.contracts.transport import BuiltInScenario
from jackfield.errors import ProtocolError

DEFAULT: Final = "default"
"""The assistant as `[assistant]` has it, unless the configuration file has a scenario of that name."""

BUILT_IN: Final = (
    BuiltInScenario(DEFAULT, "Default Assistant"),
    BuiltInScenario(
        name="customer_service",
        title="Customer Service",
        instructions="You answer the telephone of a customer service. Be patient and friendly. Find out what "
        "the caller needs with one question at a time, say plainly what can be done, and say so when you do "
        "not know. Answer in one or two short sentences, as they are spoken.",
        greeting="Hello, and thank you for calling. What can I do for you?",
    ),
    BuiltInScenario(
        name="gameshow_host",
        title="Gameshow Host",
        instructions="You host a quiz show, and the user is your candidate. Be lively and good-humoured. Ask "
        "one question of general knowledge at a time, say whether the answer was right, keep count of the "
        "points, and go on with the next question. Speak in short sentences.",
        greeting="Welcome to the show! Are you ready for your first question?",
    ),
)


class Cast:
    """The scenarios of a panel."""

    def __init__(self, scenarios: Scenarios) -> None:
        self._scenarios = scenarios
        self._names = {_spelling(name): name for name in scenarios.names()}

    def listed(self) -> list[dict[str, str]]:
        """What clients may know of each, in the order in which they are configured."""
        infos = {spelling: self._scenarios.get(name) for spelling, name in self._names.items()}
        return [{"id": spelling, "name": info.title} for spelling, info in infos.items() if info]

    def find(self, asked: str) -> str:
        """Give the id of a scenario in the one spelling.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        spelling = _spelling(asked)
        if spelling not in self._names:
            raise _not_found()
        return spelling

    def played(self, scenario: str) -> str:
        """Give what the core calls a scenario of this id.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        return self._names[self.find(scenario)]


def _not_found() -> ProtocolError:
    return ProtocolError(404, "scenario_not_found", "There is no such scenario.")


def _spelling(name: str) -> str:
    return name.lower().replace("-", "_")
