"""Tools that a speech-to-speech model has called."""

from __future__ import annotations

from collections.abc import Callable

from jackfield.contracts.call import CallLeg, CallRequest
from jackfield.contracts.llm import ToolCall
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import ToolStarted
from jackfield.dialogue.call.model_line import ModelLine
from jackfield.dialogue.call.model_means import ModelMeans
from jackfield.dialogue.call.model_questions import OpenQuestions


class ModelTools:
    """Calls tools for the model at the other end of `line`, which is told what they found."""

    def __init__(
        self,
        with_: ModelMeans,
        line: ModelLine,
        leg: CallLeg,
        request: CallRequest,
        key: str,
        questions: OpenQuestions,
        changed: Callable[[], None],
    ) -> None:
        """`key` is the session's; `changed` is called when what is awaited of whom may have."""
        self._toolbox = with_.toolbox
        self._line = line
        self._leg = leg
        self._figures = with_.figures
        self._transport = request.transport
        self._context = ToolContext(request.conversation.user, key)
        self._questions = questions
        self._changed = changed
        self._calls: set[str] = set()

    @property
    def awaited(self) -> bool:
        """Whether an answer waits for what one finds."""
        return bool(self._calls)

    def forget(self) -> None:
        """Nobody waits for any of them now."""
        self._calls.clear()

    async def call(self, call: ToolCall) -> None:
        """Call a tool, and tell the session that asked for it, if it is still the one."""
        session = self._line.session
        self._calls.add(call.id)
        self._leg.tell(ToolStarted(call.id, call.name))
        try:
            result, finished = await self._toolbox.call(call, self._context)
        finally:
            awaited = call.id in self._calls
            self._calls.discard(call.id)
        self._leg.tell(finished)
        self._figures.tool_called(self._transport, ok=finished.ok)
        if session is self._line.session:  # another one did not ask
            self._line.wish(lambda session: session.tool_result(call.id, result.content))
            self._questions.awaited = self._questions.awaited or awaited
        self._changed()
