"""A call with one model that listens and speaks: who speaks when, and what is kept of it."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Literal

import anyio
from anyio.abc import TaskGroup

from jackfield.contracts.call import CallLeg, CallRequest, CallTrouble, SpeechStarted, SpeechStopped, UserText
from jackfield.contracts.realtime import (
    ForwardedSession,
    RealtimeAudio,
    RealtimeOutput,
    RealtimePlayback,
    RealtimeSession,
    RealtimeSettings,
    RealtimeSpeech,
    RealtimeText,
    RealtimeUsage,
    SaysPhrases,
    TakesTurns,
)
from jackfield.contracts.session import Window
from jackfield.contracts.stt import Transcript
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.call.announcement import Announcement
from jackfield.dialogue.call.exchanges import Exchange, Exchanges
from jackfield.dialogue.call.far_reply import FarReply
from jackfield.dialogue.call.model_line import ModelLine
from jackfield.dialogue.call.model_means import ModelMeans
from jackfield.dialogue.call.model_questions import OpenQuestions
from jackfield.dialogue.call.model_reply import ModelReply, ModelTurn
from jackfield.dialogue.call.model_sessions import ModelSessions
from jackfield.dialogue.call.model_tools import ModelTools
from jackfield.dialogue.call.responder import Host, Left
from jackfield.dialogue.call.saying import Saying, loop_time_s
from jackfield.dialogue.failures import code_of
from jackfield.dialogue.history import told
from jackfield.dialogue.voices import voice_for
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import JackfieldError, ProviderError, ProviderUnavailable
from jackfield.text import normalise


class SpeechModel:
    """Lets the user and a model talk. Implements `Responder` and `Replaceable`.

    The model judges when the user speaks, unless the client does. Each item that it says is an item of the
    leg; one that comes while another is heard waits for its end.
    """

    def __init__(self, host: Host, leg: CallLeg, request: CallRequest, with_: ModelMeans) -> None:
        self._host = host
        self._leg = leg
        self._request = request
        self._with = with_
        self._means = with_.means
        self._scenario, self._part = request.scenario, with_.scenarios.part(request.scenario)
        self._key = self._means.sessions.key(request.conversation)
        self._told_part = self._part
        self._line = ModelLine(request.rate_hz)
        self._sessions = ModelSessions(
            with_.model,
            self._line,
            with_.figures,
            with_.publish,
            open_s=with_.open_s,
            failover_s=with_.failover_s,
            replaced=with_.replaced,
        )
        self._exchanges = Exchanges(self._means, self._asked("voice"))
        self._tasks: TaskGroup | None = None
        self._queue: deque[ModelReply | Announcement] = deque()
        """What is heard, and what is to be heard after it."""
        self._over: set[str] = set()
        """Items of the session that nobody wants any more."""
        self._heard_ms = 0
        """How much was heard of the newest item of the session."""
        self._stopping: object | None = None
        """The newest interruption that the session has not been told of yet."""
        self._questions = OpenQuestions()
        self._tools = ModelTools(with_, self._line, leg, request, self._key, self._questions, self._update)
        self._rate_hz = 0
        self._forwarded: ForwardedSession | None = None
        self._greeted = not request.greet

    async def opening(self) -> RealtimeSettings:
        """What a session that is opened for it has to begin with."""
        return self._sessions.for_chain(await self.settings())

    def attend(self, session: ForwardedSession) -> None:
        """Talk in a session that stands already and whose sound goes past the server. Before `run`."""
        self._forwarded = session

    async def run(self) -> None:
        failure: Exception | None = None
        try:
            async with anyio.create_task_group() as tasks:
                self._tasks = tasks
                tasks.start_soon(self._exchanges.run)
                tasks.start_soon(self._line.run)
                if self._forwarded is None:
                    failure = await self._sessions.hold(self)
                else:
                    failure = await self._sessions.attend(self, self._forwarded)
                tasks.cancel_scope.cancel()
        finally:
            self._tasks = None
            self._drop_replies()
            await self._exchanges.settle()
        if failure is not None:
            raise failure if isinstance(failure, ProviderError) else ProviderUnavailable("the model failed")

    def left(self) -> Left:
        """What the user said to no session, or for nothing."""
        return Left(self._questions.text, self._line.unheard, self._questions.unheard)

    # What the ear hears.

    def speech_started(self, at_s: float) -> None:
        self._host.user_active()
        self._leg.tell(SpeechStarted())
        self.give_way()

    def sound(self, pcm: bytes) -> None:
        self._line.push(pcm)

    def short_silence(self) -> None:
        """The model judges silence itself."""

    def speech_resumed(self) -> None:
        """The model judges silence itself."""

    def speech_ended(self, spoken_s: float, silent_since_s: float) -> None:
        self._host.user_active()
        if self._request.turns == "auto":
            self._line.push_silence()  # no more sound may come, and the model waits for the end
            return
        self._spoken()
        self._line.wish(self._commit)

    async def _commit(self, session: RealtimeSession) -> None:
        if isinstance(session, TakesTurns):
            await session.commit()
        else:
            self._line.push_silence()

    def detector_failed(self, error: ProviderError) -> None:
        """There is no detector."""

    # What the client wants.

    def text(self, text: str) -> None:
        self._host.user_active()
        self.give_way()
        self._questions.typed(text)
        self._line.wish(lambda session: session.inject(text))
        self._update()

    def give_way(self) -> None:
        heard_ms = self._heard_ms
        if self._queue:
            newest, alone = self._queue[-1], len(self._queue) == 1
            heard_ms = round(1000 * self._means.floor.heard_s(newest.item)) if alone else 0
        elif not (self._questions.open or self._tools.awaited):
            return
        self._tools.forget()
        self._drop_replies()
        self._heard_ms = heard_ms
        self._stopping = stopping = object()
        self._line.wish(partial(self._stop, stopping, heard_ms))

    async def _stop(self, stopping: object, heard_ms: int, session: RealtimeSession) -> None:
        try:
            await session.interrupt(heard_ms)
        finally:
            if stopping is self._stopping:
                self._stopping = None

    def interrupt(self) -> None:
        self.give_way()
        self._questions.forget()
        if self._line.session is None:
            self._questions.never_heard()
            self._line.forget()
        self._update()

    def played(self, item: int) -> None:
        if self._queue and self._queue[0].item == item:
            self._queue[0].played()

    def switch(self, scenario: str) -> None:
        self._scenario, self._part = scenario, self._with.scenarios.part(scenario)
        self._line.wish(self._change)

    async def _change(self, session: RealtimeSession) -> None:
        await session.update(await self.settings())

    # The sessions with the model.

    def session_began(self, session: RealtimeSession) -> None:
        """Greet, or have answered what no session did."""
        self._rate_hz = session.rate_hz
        self._over.clear()
        self._heard_ms = 0
        self._stopping = None
        if self._told_part is not self._part:
            self._line.wish(self._change)
        greeting = self._part.greeting
        if not self._greeted and greeting and isinstance(session, SaysPhrases):
            self._line.wish(lambda _: session.say(greeting))
        self._questions.awaited = False
        if self._questions.unheard:
            self._questions.hear()
            self._questions.awaited = True
            self._line.wish(self._commit)
        if text := self._questions.text:
            self._questions.awaited = True
            self._line.wish(lambda session: session.inject(text))  # one answer is enough
        self._update()

    async def session_lost(self, failure: Exception) -> None:
        self._leg.tell(CallTrouble(code_of("llm", failure)))
        self._questions.never_written()
        self._tools.forget()
        self._drop_replies(failure)
        await self._exchanges.settle()

    async def apologise(self, failure: Exception) -> None:
        """Say sorry, where there is a voice for it; returns when it was heard or cut short."""
        means, code = self._means, code_of("llm", failure)
        if means.tts is None:
            return
        voice, waterfall = voice_for(self._request.voice, {}, self._part.voice), Waterfall(clock=loop_time_s)
        apology = Announcement(means.apology, voice, means, self, waterfall, apology_for=code)
        self._queue.append(apology)
        apology.release()
        self._update()
        await apology.run()

    async def settings(self) -> RealtimeSettings:
        request, self._told_part = self._request, self._part
        try:
            window = await self._means.sessions.window(request.conversation) or Window()
        except JackfieldError as error:  # without what was said before is better than not at all
            self._leg.tell(CallTrouble(code_of("llm", error)))
            window = Window()
        system, *examples = self._part.opening_for(request.username)
        return RealtimeSettings(
            instructions=system.content,
            voice=voice_for(request.voice, window.preferences, self._part.voice),
            tools=self._with.toolbox.specs,
            language=self._means.language,
            temperature=self._part.temperature,
            turns=request.turns,
            history=(*examples, *told(window.messages)),
        )

    # What the model says.

    def said(self, output: RealtimeOutput) -> None:
        if isinstance(output, RealtimeAudio):
            if (reply := self._reply(output.item)) is not None:
                reply.sound(output.pcm)
        elif isinstance(output, RealtimeText):
            if (reply := self._reply(output.item, begin=bool(output.text))) is not None:
                reply.words(output.text, done=output.done)
        elif isinstance(output, Transcript):
            self._written(output)
        elif isinstance(output, RealtimeSpeech | RealtimePlayback):
            self._noticed(output)
        elif isinstance(output, RealtimeUsage):
            self._with.figures.used(self._request.transport, output)
            self._questions.awaited = False  # if there was nothing to say, nothing comes
            self._update()
        elif self._tasks is not None:
            self._tasks.start_soon(self._tools.call, output)

    def _noticed(self, news: RealtimeSpeech | RealtimePlayback) -> None:
        """Somebody begins to speak or to hear what is played elsewhere, or stops."""
        if isinstance(news, RealtimePlayback):
            if isinstance(reply := self._reply(news.item, begin=False), FarReply):
                reply.playback(news.state)
        elif news.state == "started":
            self.speech_started(0.0)
        else:
            self._spoken()

    def _spoken(self) -> None:
        """The user has finished; an answer will come, and some time the words of the question."""
        self._host.user_active()
        self._leg.tell(SpeechStopped())
        self._questions.spoken(heard=self._line.session is not None)
        self._update()

    def _written(self, transcript: Transcript) -> None:
        text = normalise(transcript.text)
        final = transcript.kind == "final"
        if final:
            self._questions.written(text)
        if text:
            self._leg.tell(UserText(text, final=final))

    def _reply(self, name: str, *, begin: bool = True) -> ModelReply | None:
        """The reply that an item is; None for one that nobody wants any more."""
        if name in self._over:
            return None
        for reply in self._queue:
            if isinstance(reply, ModelReply) and reply.name == name:
                return reply
        if begin and self._stopping is not None:  # it belongs to what is being interrupted
            self._over.add(name)
            return None
        return self._new_reply(name) if begin else None

    def _new_reply(self, name: str) -> ModelReply:
        questions = self._questions.take()
        waterfall = Waterfall(self._questions.began_s or loop_time_s(), clock=loop_time_s)
        kind = questions[0].kind if questions else "voice"
        who = self._with.model, self._sessions.plugin
        turn = ModelTurn(self._asked(kind), self._key, *who, waterfall, self._means.call)
        waterfall.reached("first_token")
        reply = (ModelReply if self._forwarded is None else FarReply)(
            self._means,
            self,
            turn,
            name=name,
            rate_hz=self._rate_hz,
            questions=questions,
            ended=self._ended,
        )
        self._queue.append(reply)
        if self._tasks is not None:
            self._tasks.start_soon(reply.run)
        if self._queue[0] is reply:
            reply.release()
        return reply

    # How the answers go.

    def sounding(self) -> None:
        self._update()

    def over(self, saying: Saying) -> None:
        if self._queue and saying is self._queue[0]:
            self._queue.popleft()
            if self._queue:
                self._queue[0].release()
        self._update()

    def _ended(self, reply: ModelReply) -> None:
        """Keep what was heard of a reply; where that is nothing, its questions are still open."""
        self._over.add(reply.name)
        self._heard_ms = reply.length_ms
        if reply.heard:
            self._greeted = True
            self._exchanges.add(Exchange(reply.questions, reply.heard))
        else:
            self._questions.reopen(reply.questions)

    def _drop_replies(self, failure: Exception | None = None) -> None:
        """Fall silent: what is heard is over, and what was to follow is not heard."""
        replies, self._queue = [*self._queue], deque()
        for reply in reversed(replies):  # what is still open comes back in its order
            if failure is not None and isinstance(reply, ModelReply):
                reply.fail(failure)
                continue
            if reply.sounding:
                self._with.report_interruption()
            reply.interrupt()

    def _asked(self, kind: Literal["text", "voice"]) -> TurnRequest:
        request = self._request
        return TurnRequest(
            conversation=request.conversation,
            text="",
            transport=request.transport,
            message_type=kind,
            username=request.username,
            scenario=self._scenario,
            language=request.language,
            voice=request.voice,
            storing="nothing",
        )

    def _update(self) -> None:
        """Let the call know what it is doing now."""
        if self._queue and self._queue[0].sounding:
            self._host.set_state("speaking")
        elif self._queue or self._questions.awaited or self._tools.awaited:
            self._host.set_state("thinking")
        else:
            self._host.set_state("listening")
