"""What a call can say: answers, its greeting, an apology, in the part that is played now."""

from __future__ import annotations

from typing import Literal

from jackfield.assembly import Built, Providers
from jackfield.contracts.call import CallRequest
from jackfield.contracts.llm import LLM
from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.announcement import Announcement
from jackfield.dialogue.call.reply import Means, Reply
from jackfield.dialogue.call.saying import SayingWatcher, loop_time_s
from jackfield.dialogue.scenarios import Part, ScenarioTable
from jackfield.dialogue.voices import voice_for
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import FieldError, ProtocolError


class Repertoire:
    """Makes what is said in a call; whoever asks for it runs it.

    :raises ProtocolError: for a scenario or a model that is not configured.
    """

    def __init__(
        self, request: CallRequest, means: Means, scenarios: ScenarioTable, models: Providers[LLM]
    ) -> None:
        self._request = request
        self._means = means
        self._scenarios = scenarios
        self._models = models
        self._scenario, self._part, self._llm = self._chosen(request.scenario)

    def switch(self, scenario: str | None) -> None:
        """Play another part from the next answer on; raises as for a new call."""
        self._scenario, self._part, self._llm = self._chosen(scenario)

    def reply(
        self,
        text: str,
        message_type: Literal["text", "voice"],
        watcher: SayingWatcher,
        waterfall: Waterfall,
    ) -> Reply:
        """An answer to what the user said or typed."""
        request = self._request
        asked = TurnRequest(
            conversation=request.conversation,
            text=text,
            transport=request.transport,
            message_type=message_type,
            username=request.username,
            scenario=self._scenario,
            llm=request.llm,
            language=request.language,
            voice=request.voice,
            storing="nothing",
        )
        return Reply(self._means, asked, self._part, self._llm, watcher, waterfall)

    def greeting(self, watcher: SayingWatcher) -> Announcement | None:
        """What is said at the beginning; None where that is nothing."""
        if not (self._request.greet and self._part.greeting):
            return None
        return self._announcement(self._part.greeting, watcher)

    def apology(self, code: str, watcher: SayingWatcher) -> Announcement:
        """What is said when something failed, with the code of it."""
        return self._announcement(self._means.apology, watcher, code)

    async def prepare(self) -> None:
        """Have the greeting spoken, and then the apology, while the voice still works."""
        means = self._means
        if means.tts is None:
            return
        greeting = self._part.greeting if self._request.greet else ""
        await means.phrases.prepare(means.tts, self._voice, greeting, means.apology)

    @property
    def _voice(self) -> Voice:
        return voice_for(self._request.voice, {}, self._part.voice)

    def _announcement(
        self, phrase: str, watcher: SayingWatcher, apology_for: str | None = None
    ) -> Announcement:
        waterfall = Waterfall(clock=loop_time_s)
        return Announcement(phrase, self._voice, self._means, watcher, waterfall, apology_for=apology_for)

    def _chosen(self, scenario: str | None) -> tuple[str | None, Part, Built[LLM]]:
        part = self._scenarios.part(scenario)
        llm = self._models.get(self._request.llm or part.llm)
        if llm is None:
            detail = "There is no such model."
            raise ProtocolError(
                422, "invalid_request", detail, (FieldError("model", "invalid_choice", detail),)
            )
        return scenario, part, llm
