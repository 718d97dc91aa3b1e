"""What a call can say: answers, its greeting, an apology, in the part that is played now."""

from __future__ import annotations

from typing import Literal

from jackfield.assembly import Built, Providers
from jackfield.contracts.call import CallRequest
from jackfield.contracts.llm import LLM
from jackfield.contracts.session import Window
from jackfield.contracts.tts import Voice
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.announcement import Announcement, Greeting
from jackfield.dialogue.call.reply import Means, Reply
from jackfield.dialogue.call.saying import SayingWatcher, loop_time_s
from jackfield.dialogue.scenarios import Part, ScenarioTable
from jackfield.dialogue.turn import Turn
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
        return Reply(self._means, self._asked(text, message_type), self._part, self._llm, watcher, waterfall)

    async def read_ahead(self) -> None:
        """Let a model that keeps prefixes read what the next prompt begins with.

        :raises JackfieldError: when what was said before is not to be had, or the model fails.
        """
        if not self._llm.capabilities.keeps_prefixes:
            return
        means, request = self._means, self._asked("", "voice")
        key = means.sessions.key(request.conversation)
        async with means.order.turn(key):  # when the answer before is stored
            window = await means.sessions.window(request.conversation) or Window()
        await means.runner.read_ahead(Turn(request, key, window, self._part, self._llm, Waterfall()))

    def greeting(self, watcher: SayingWatcher) -> Announcement | None:
        """What is said at the beginning; None where that is nothing, or this is no beginning."""
        if not (self._request.greet and self._part.greeting) or self._means.floor.was_taken:
            return None
        asked = self._asked("", "text" if self._means.tts is None else "voice")
        return Greeting(asked, self._part.greeting, self._voice, self._means, watcher)

    def apology(self, code: str, watcher: SayingWatcher) -> Announcement:
        """What is said when something failed, with the code of it."""
        waterfall = Waterfall(clock=loop_time_s)
        phrase, means = self._means.apology, self._means
        return Announcement(phrase, self._voice, means, watcher, waterfall, apology_for=code)

    async def speak(self) -> None:
        """Speak what answers have to say while they are written, until cancelled."""
        await self._means.companion.run()

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

    def _asked(self, text: str, message_type: Literal["text", "voice"]) -> TurnRequest:
        request = self._request
        return TurnRequest(
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

    def _chosen(self, scenario: str | None) -> tuple[str | None, Part, Built[LLM]]:
        part = self._scenarios.part(scenario)
        llm = self._models.get(self._request.llm or part.llm)
        if llm is None:
            detail = "There is no such model."
            raise ProtocolError(
                422, "invalid_request", detail, (FieldError("model", "invalid_choice", detail),)
            )
        return scenario, part, llm
