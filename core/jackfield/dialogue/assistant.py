"""The assistant: a message in, an answer out, and the conversation remembered."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Final

import anyio
from anyio.streams.memory import MemoryObjectSendStream

from jackfield.assembly import Assembly, Built
from jackfield.contracts.extension import Event, Upload
from jackfield.contracts.llm import LLM, Finish
from jackfield.contracts.panel import Clips, Heard, Metrics, Spoken
from jackfield.contracts.session import Record, Window
from jackfield.contracts.stt import TranscriptionSettings
from jackfield.contracts.tts import TTS, SpeechSettings, Voice
from jackfield.contracts.turn import ClipAnswer, Recorded, Recording, TurnOutput, TurnRequest
from jackfield.dialogue.audio_figures import AudioFigures
from jackfield.dialogue.clip import ClipReader, Speaker
from jackfield.dialogue.leases import TurnLeases
from jackfield.dialogue.order import Place, TurnOrder
from jackfield.dialogue.recorder import Recorder
from jackfield.dialogue.scenarios import Part, ScenarioTable
from jackfield.dialogue.sessions import SessionService
from jackfield.dialogue.turn import Turn, TurnRunner
from jackfield.dialogue.voices import voice_for
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import FieldError, ProtocolError

_PIECES_AHEAD: Final = 64
"""Sentences that may wait to be spoken; a model that is further ahead waits."""


class DialogueAssistant:
    """Answers messages with the providers of an assembly. Implements `contracts.panel.Assistant`."""

    def __init__(
        self,
        assembly: Assembly,
        *,
        sessions: SessionService,
        scenarios: ScenarioTable,
        clips: Clips,
        metrics: Metrics,
        publish: Callable[[Event], None],
    ) -> None:
        config = assembly.config
        self._assembly = assembly
        self._sessions = sessions
        self._scenarios = scenarios
        self._language = config.assistant.language
        common = sessions.common
        self.leases: Final = None if common is None else TurnLeases(common, sessions)
        self.order: Final = TurnOrder(config.limits.waiting_turns, self.leases)
        self._recorder = Recorder(sessions)
        self._runner = TurnRunner(assembly, sessions, metrics, publish)
        figures = AudioFigures(metrics)
        self._reader = ClipReader(assembly.scanners, config.limits, config.timeouts, figures, publish)
        self._speaker = Speaker(clips, config.timeouts, figures, publish)

    def reply(self, request: TurnRequest) -> AsyncGenerator[TurnOutput, None]:
        """Answer a message; see `contracts.panel.Assistant.reply`."""
        if request.recording is not None and request.recording.question_first:
            return self._reply_acknowledged(request, request.recording)
        return self._runner.run_within(self._turn(request))

    async def _reply_acknowledged(
        self, request: TurnRequest, recording: Recording
    ) -> AsyncGenerator[TurnOutput, None]:
        """Record the question before it waits for its turn, and note it if there is no answer."""
        self._chosen(request)  # before a question is recorded that nobody can answer
        place = self.order.turn(self._sessions.key(request.conversation))
        asked: Record | None = None
        answered = False
        try:
            asked = await self._recorder.ask(recording, request)
            yield Recorded(asked)
            async with aclosing(self._runner.run_within(self._turn(request, place, asked))) as outputs:
                async for output in outputs:
                    answered = isinstance(output, Finish)  # which comes when everything is recorded
                    yield output
        finally:
            place.leave()
            if asked is not None and not answered:
                with anyio.CancelScope(shield=True):  # the user who went away finds the note later
                    await self._recorder.mark_unanswered(recording, asked)

    async def reply_to_clip(self, request: TurnRequest, upload: Upload) -> ClipAnswer:
        """Answer a recorded message; see `contracts.panel.Assistant.reply_to_clip`."""
        stt = self._assembly.stt.default
        if stt is None:
            raise ProtocolError(422, "voice_not_configured", "This server takes no recorded messages.")
        waterfall = Waterfall()
        key = self._sessions.key(request.conversation)
        async with self.order.turn(key):
            self._chosen(request)  # before anything is spent on a turn that cannot be
            settings = TranscriptionSettings(request.language or self._language)
            spoken = replace(request, message_type="voice")
            with self._runner.chronicle.hearing(spoken, key, waterfall):
                text = await self._reader.read(upload, stt, settings, waterfall)
            spoken = replace(spoken, text=text)
            turn = await self._begin(spoken, key, waterfall)
            with self._runner.chronicle.told(turn):
                clip = await self._answer_aloud(turn, self._assembly.tts.default)
            return ClipAnswer(turn.answer, text, clip, turn.finish.cached, turn.providers)

    async def hear(self, upload: Upload, language: str | None = None) -> Heard:
        """Give the words of a recording; see `contracts.panel.Assistant.hear`."""
        stt = self._assembly.stt.default
        if stt is None:
            raise ProtocolError(422, "voice_not_configured", "This server takes no recorded messages.")
        settings = TranscriptionSettings(language or self._language)
        return await self._reader.hear(upload, stt, settings, Waterfall())

    async def speak(self, text: str, voice: Voice | None = None) -> Spoken:
        """Give a text as sound; see `contracts.panel.Assistant.speak`."""
        tts = self._assembly.tts.default
        if tts is None:
            raise ProtocolError(422, "voice_not_configured", "This server has no voice.")
        wanted = voice or self._scenarios.part(None).voice
        return await self._speaker.spoken(text, tts, SpeechSettings(wanted))

    @asynccontextmanager
    async def _turn(
        self, request: TurnRequest, place: Place | None = None, asked: Record | None = None
    ) -> AsyncIterator[Turn]:
        """Wait for the turn's turn, find what it works with, and tell of it."""
        waterfall = Waterfall()
        key = self._sessions.key(request.conversation)
        async with place or self.order.turn(key):
            turn = await self._begin(request, key, waterfall, asked)
            with self._runner.chronicle.told(turn):
                yield turn

    async def _begin(
        self, request: TurnRequest, key: str, waterfall: Waterfall, asked: Record | None = None
    ) -> Turn:
        """Find what the turn works with."""
        part, llm = self._chosen(request)
        recording = request.recording
        if recording is None or recording.remembered is None:
            window = await self._remembered(request)
        else:
            window = await self._recorder.window(recording, asked)
        if window is None or not any(message.is_user for message in window.messages):
            request = replace(request, first=True)
        return Turn(request, key, window or Window(), part, llm, waterfall, asked=asked)

    async def _remembered(self, request: TurnRequest) -> Window | None:
        """The conversation's window; None also for a turn of its own where no store has windows."""
        if self._sessions.windows is None and request.storing == "nothing":
            return None
        return await self._sessions.window(request.conversation)

    def _chosen(self, request: TurnRequest) -> tuple[Part, Built[LLM]]:
        """The part that is played and the model that plays it.

        :raises ProtocolError: for a scenario or a model that is not configured.
        """
        part = self._scenarios.part(request.scenario)
        llm = self._assembly.llm.get(request.llm or part.llm)
        if llm is None:
            detail = "There is no such model."
            error = FieldError("model", "invalid_choice", detail)
            raise ProtocolError(422, "invalid_request", detail, (error,))
        return part, llm

    async def _answer_aloud(self, turn: Turn, tts: Built[TTS] | None) -> str | None:
        """Run the turn, speaking each sentence as soon as it is written; gives the clip's name."""
        if tts is None:
            async with aclosing(self._runner.run(turn)) as outputs:
                async for _ in outputs:
                    pass
            return None
        clip: str | None = None
        failure: Exception | None = None
        send, receive = anyio.create_memory_object_stream[str](_PIECES_AHEAD)
        voice = voice_for(turn.request.voice, turn.window.preferences, turn.part.voice)

        async def speak() -> None:
            nonlocal clip
            clip = await self._speaker.speak(receive, tts, SpeechSettings(voice), turn.waterfall)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(speak)
            try:
                await self._write(turn, send)
            except Exception as error:  # noqa: BLE001  # raised below, so that it does not arrive in a group
                failure = error
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return clip

    async def _write(self, turn: Turn, pieces_out: MemoryObjectSendStream[str]) -> None:
        """Run the turn and send its sentences as they become complete."""
        from jackfield.dialogue.pieces import Pieces  # needs the extra `audio`

        pieces = Pieces(turn.request.language or self._language)
        async with pieces_out, aclosing(self._runner.run(turn)) as outputs:
            async for output in outputs:
                if isinstance(output, str):
                    for piece in pieces.add(output):
                        await pieces_out.send(piece)
            for piece in pieces.end():
                await pieces_out.send(piece)
