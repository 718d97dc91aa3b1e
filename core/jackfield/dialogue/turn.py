"""Running a turn: the model, its tools, and storing what was said."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

from jackfield.assembly import Assembly, Built
from jackfield.config.sections import TimeoutsSection
from jackfield.contracts.extension import Answer, Event
from jackfield.contracts.llm import LLM, Finish, GenerationRequest, LLMOutput, Message, ToolCall, Usage
from jackfield.contracts.panel import Metrics
from jackfield.contracts.session import Record, StoredMessage, Window
from jackfield.contracts.tools import ToolContext
from jackfield.contracts.turn import Recorded, ToolStarted, TurnOutput, TurnRequest
from jackfield.dialogue.chronicle import Chronicle, new_turn_id
from jackfield.dialogue.consumption import Consumption
from jackfield.dialogue.failures import client_error, failover_noted, report
from jackfield.dialogue.prompt import PromptWriter
from jackfield.dialogue.recorder import Recorder
from jackfield.dialogue.scenarios import Part
from jackfield.dialogue.sessions import SessionService
from jackfield.dialogue.steps import Work
from jackfield.dialogue.tools import Toolbox
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import ProviderBadReply, ProviderError
from jackfield.resilience.guard import Patience, guard
from jackfield.traceparent import traceparent


@dataclass(slots=True)
class Turn:
    """What a turn works with."""

    request: TurnRequest
    key: str
    window: Window
    part: Part
    llm: Built[LLM]
    waterfall: Waterfall
    id: str = field(default_factory=new_turn_id)
    """Tells turns apart, and is no secret."""
    pieces: list[str] = field(default_factory=list)
    """The answer so far, as it came."""
    finish: Finish = Finish("stop")
    """How the answer ended, once it has."""
    asked: Record | None = None
    """The question, when it has been recorded already."""
    outcome: Literal["ok", "failed", "cancelled", "interrupted"] = "cancelled"
    """How the turn ended, or would end if it ended now."""
    error: str = ""
    """The class name of what it failed of."""
    call: str = ""
    """The call that it is a turn of."""
    traceparent: str = field(default_factory=traceparent.get)

    @property
    def answer(self) -> str:
        """The whole answer, trimmed."""
        return "".join(self.pieces).strip()

    @property
    def providers(self) -> dict[str, str]:
        """Who did it so far, as in `ReplyFinished`."""
        return self.waterfall.steps.providers(self.finish.provider)


class TurnRunner:
    """Runs turns with the models and tools of an assembly, within `timeouts` or else those of the file."""

    def __init__(
        self,
        assembly: Assembly,
        sessions: SessionService,
        metrics: Metrics,
        publish: Callable[[Event], None],
        *,
        timeouts: TimeoutsSection | None = None,
    ) -> None:
        config = assembly.config
        self._sessions = sessions
        self._recorder = Recorder(sessions)
        self._publish = publish
        self._timeouts = timeouts or config.timeouts
        self._rounds = config.assistant.tool_rounds
        self._max_tokens = config.assistant.max_tokens
        self._wrappers = [built.object for built in reversed(assembly.turn_wrappers)]
        self._prompts = PromptWriter(config.session.max_messages, config.assistant.max_tokens)
        self.chronicle: Final = Chronicle(metrics, publish)
        self._toolbox = Toolbox(assembly.tools, config.timeouts.tool_seconds)
        self._tokens = metrics.counter(
            "jackfield_tokens_total", "Tokens of prompts and answers.", ["transport", "kind"]
        )
        self._tool_calls = metrics.counter(
            "jackfield_tool_calls_total", "Calls of tools by models.", ["transport", "outcome"]
        )

    def run(self, turn: Turn) -> AsyncGenerator[TurnOutput, None]:
        """Yield what the turn says, store it, then yield its `Finish`.

        :raises ProtocolError: when the model failed; nothing was stored.
        :raises StoreUnavailable: when the turn cannot be stored.
        """
        return self.run_within(nullcontext(turn))

    async def run_within(self, whole: AbstractAsyncContextManager[Turn]) -> AsyncGenerator[TurnOutput, None]:
        """Run a turn as `run` does, inside of the context that gives it."""
        async with whole as turn:
            try:
                pieces = turn.pieces
                async with aclosing(self._wrapped(turn)) as outputs:
                    async for output in outputs:
                        if isinstance(output, str):
                            if not pieces:
                                turn.waterfall.reached("first_token")
                            pieces.append(output)
                            yield output
                        elif isinstance(output, Finish):
                            turn.finish = output
                        else:
                            yield output
                for record in await self._store(turn):
                    yield Recorded(record)
                yield turn.finish
            except ProviderError as error:
                turn.outcome, turn.error = "failed", type(error).__name__
                report(turn.llm, error, self._publish)
                raise client_error("llm", error) from error
            except Exception as error:
                turn.outcome, turn.error = "failed", type(error).__name__
                raise

    def _wrapped(self, turn: Turn) -> AsyncGenerator[TurnOutput, None]:
        """The answer of the model, inside every extension that stands around turns."""
        answer: Answer = partial(self._answer, turn)
        if not self._wrappers:
            return answer(turn.request)
        for wrapper in self._wrappers:
            answer = partial(wrapper.around_turn, answer=answer)
        asked = " ".join((turn.llm.section, turn.llm.plugin, *turn.llm.capabilities.models))
        opening = turn.part.opening_for(turn.request.username)
        return answer(replace(turn.request, answered_by=asked, opening=opening))

    async def _answer(self, turn: Turn, request: TurnRequest) -> AsyncGenerator[TurnOutput, None]:
        """Ask the model, call the tools that it wants, and ask again."""
        messages = self._written(turn, request)
        patience = Patience(self._timeouts.llm_total_seconds)
        consumption = Consumption(turn.llm.object)
        for round_number in range(self._rounds + 1):
            said: list[str] = []
            calls: list[ToolCall] = []
            finish = Finish("stop")
            offered = round_number < self._rounds
            with turn.waterfall.steps.begin("llm", turn.llm) as work:
                async with aclosing(self._generate(turn, messages, patience, work, tools=offered)) as outputs:
                    async for output in outputs:
                        if isinstance(output, str):
                            said.append(output)
                            yield output
                        elif isinstance(output, ToolCall):
                            calls.append(output)
                        else:
                            finish = output
            text = "".join(said)
            work.model, work.reason = finish.model, finish.reason
            work.usage = consumption.add(finish.usage, messages, text, calls)
            self._count_tokens(turn, work.usage)
            if not calls or not offered:
                provider = finish.provider or work.place[1]
                yield replace(finish, usage=consumption.total, provider=provider)
                return
            messages.append(Message("assistant", text, tool_calls=tuple(calls)))
            if text and not text[-1].isspace():
                yield "\n"  # what comes after the tools is another sentence
            context = ToolContext(request.conversation.user, turn.key)
            for call in calls:
                yield ToolStarted(call.id, call.name)
                with turn.waterfall.steps.begin("tool", name=self._known(call.name)) as work:
                    result, finished = await self._toolbox.call(call, context)
                work.outcome = "ok" if finished.ok else "failed"
                messages.append(result)
                self._tool_calls.inc(turn.request.transport, "ok" if finished.ok else "error")
                yield finished

    def _known(self, tool: str) -> str:
        """The name of a tool; nothing for one that only the model knows, since that is its words."""
        return tool if any(spec.name == tool for spec in self._toolbox.specs) else ""

    def _count_tokens(self, turn: Turn, usage: Usage) -> None:
        transport = turn.request.transport
        self._tokens.inc(transport, "prompt", by=usage.prompt_tokens)
        self._tokens.inc(transport, "completion", by=usage.completion_tokens)

    async def read_ahead(self, turn: Turn) -> None:
        """Let the model read the prompt of a turn up to the user's words, and drop what it says to it.

        :raises ProviderError: in one of its categories, when it fails.
        """
        work = turn.waterfall.steps.begin("llm", turn.llm)
        request = self._request(turn, self._written(turn, turn.request), work, tools=True)
        warming = replace(request, max_tokens=1, warming=True)
        async with aclosing(turn.llm.object.generate(warming)) as outputs:
            async for _ in outputs:
                pass

    def _written(self, turn: Turn, request: TurnRequest) -> list[Message]:
        recording = request.recording
        return self._prompts.write(
            turn.key,
            turn.window,
            turn.part,
            turn.llm,
            request.text,
            request.username,
            max_messages=recording.remembered if recording else None,
        )

    def _request(self, turn: Turn, messages: list[Message], work: Work, *, tools: bool) -> GenerationRequest:
        return GenerationRequest(
            messages=tuple(messages),
            tools=self._toolbox.specs if tools else (),
            temperature=turn.part.temperature,
            max_tokens=self._max_tokens,
            conversation=turn.key,
            user=self._sessions.pseudonym(turn.request.conversation.user),
            failover=failover_noted(self._timeouts.failover_seconds, turn.waterfall, "llm_failover", work),
        )

    def _generate(
        self, turn: Turn, messages: list[Message], patience: Patience, work: Work, *, tools: bool
    ) -> AsyncGenerator[LLMOutput, None]:
        def useful(output: LLMOutput) -> bool:
            if not _is_useful(output):
                return False
            work.reached_first()  # it is asked no more then
            return True

        return guard(
            partial(turn.llm.object.generate, self._request(turn, messages, work, tools=tools)),
            first_s=self._timeouts.llm_first_seconds,
            patience=patience,
            useful=useful,
        )

    async def _store(self, turn: Turn) -> Sequence[Record]:
        """Keep what was said; the turn has then gone well. Gives the records that were added.

        :raises ProviderBadReply: when nothing was said.
        """
        turn.waterfall.reached("answered")
        answer = turn.answer
        if not answer:
            raise ProviderBadReply("the answer is empty")
        recording = turn.request.recording
        if turn.request.storing == "pair" and (recording is None or recording.remembered is None):
            await self._append(turn, answer)
        added: Sequence[Record] = ()
        if recording is not None:
            after_s = turn.waterfall.total_s()
            added = await self._recorder.answer(
                recording, turn.request, answer, asked=turn.asked, after_s=after_s
            )
            turn.waterfall.reached("stored")
        turn.outcome = "ok"
        return added

    async def _append(self, turn: Turn, answer: str) -> None:
        request, now = turn.request, datetime.now(UTC)
        pair = (
            StoredMessage(request.text, request.message_type, now, is_user=True),
            StoredMessage(answer, request.message_type, now, is_user=False),
        )
        await self._sessions.append(request.conversation, pair, request.transport)
        turn.waterfall.reached("stored")


def _is_useful(output: LLMOutput) -> bool:
    return isinstance(output, ToolCall) or (isinstance(output, str) and not (not output or output.isspace()))
