"""One answer of the cascade: the model writes, the voice speaks, and what was heard is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio

from jackfield.assembly import Built
from jackfield.contracts.call import CallTrouble
from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Failover
from jackfield.contracts.llm import LLM
from jackfield.contracts.session import StoredMessage, Window
from jackfield.contracts.tts import TTS, SpeechSettings
from jackfield.contracts.turn import ToolFinished, ToolStarted, TurnRequest
from jackfield.dialogue.call.companion import Companion
from jackfield.dialogue.call.floor import Floor
from jackfield.dialogue.call.mouth import Mouth
from jackfield.dialogue.call.phrases import Phrases
from jackfield.dialogue.call.saying import Outcome, Saying, SayingWatcher
from jackfield.dialogue.call.script import Script
from jackfield.dialogue.failures import code_of, report
from jackfield.dialogue.order import TurnOrder
from jackfield.dialogue.scenarios import Part
from jackfield.dialogue.sessions import SessionService
from jackfield.dialogue.turn import Turn, TurnRunner
from jackfield.dialogue.voices import voice_for
from jackfield.dialogue.waterfall import Waterfall
from jackfield.errors import JackfieldError, ProtocolError

if TYPE_CHECKING:
    from jackfield.dialogue.pieces import Pieces

logger = logging.getLogger(__name__)

_HEAD_START_S: Final = 0.001
"""How long the writing rests after the first piece, so that its sound does not wait for words behind it."""


@dataclass(frozen=True, slots=True)
class Means:
    """What the answers of a call are made with."""

    tts: Built[TTS] | None
    """None where answers are only read."""
    phrases: Phrases
    floor: Floor
    runner: TurnRunner
    order: TurnOrder
    sessions: SessionService
    tts_s: float
    """Seconds that the voice may be silent while it has something to say."""
    failover_s: float
    """Seconds after which a voice that makes no sound is left for the next of its chain."""
    ahead_s: float
    """Seconds of sound that may be made ahead of the listener."""
    apology: str
    language: str | None
    publish: Callable[[Event], None]
    companion: Companion
    """Speaks while an answer is still being written."""
    call: str
    """Name of the call."""
    used: Callable[[Built[TTS], float], None]
    """Told how many seconds of sound a voice has made."""

    async def store(self, request: TurnRequest, *messages: StoredMessage) -> None:
        """Keep what was said in the request's conversation, whatever else happens; never fails."""
        with anyio.CancelScope(shield=True):  # the store has a time limit of its own
            try:
                await self.sessions.append(request.conversation, messages, request.transport)
            except JackfieldError as error:
                logger.warning("what was said cannot be stored: %s", error)
                self.floor.leg.tell(CallTrouble(code_of("llm", error)))


class Reply(Saying):
    """Answers `request`, whose text may still be changed when the answer is released.

    The conversation's turn is held until the answer is stored, so that the next prompt knows of it.
    """

    def __init__(
        self,
        means: Means,
        request: TurnRequest,
        part: Part,
        llm: Built[LLM],
        watcher: SayingWatcher,
        waterfall: Waterfall,
    ) -> None:
        super().__init__(means.floor, watcher, waterfall)
        self.text = request.text
        self._means = means
        self._request = request
        self._part = part
        self._llm = llm
        self._voice = request.voice or part.voice  # until preferences are known
        self._turn: Turn | None = None
        self._told = False  # whether observers know of the turn
        self._script: Script | None = None  # once there is something to speak
        self._mouth: Mouth | None = None

    def release(self) -> None:
        super().release()
        self._begun()

    async def _run(self) -> None:
        key = self._means.sessions.key(self._request.conversation)
        try:
            async with self._means.order.turn(key):
                try:
                    await self._answer(key)
                finally:
                    self._finish("interrupted")
                    await self._store()
        except ProtocolError as error:  # too many turns of the conversation wait already
            self._fail(error.code)
            await self._apologise()
            await self._heard_to_the_end()

    async def _answer(self, key: str) -> None:
        try:
            turn = await self._begin(key)
        except JackfieldError as error:
            logger.warning("no answer can begin: %s", error)
            self._fail(code_of("llm", error))
            await self._apologise()
        else:
            await self._write_and_speak(turn)
            if self._script is None and self.failure is not None:
                await self._apologise()
        await self._heard_to_the_end()

    async def _begin(self, key: str) -> Turn:
        """Find what the turn works with."""
        request = self._request
        window = await self._means.sessions.window(request.conversation) or Window()
        self._voice = voice_for(request.voice, window.preferences, self._part.voice)
        if not any(message.is_user for message in window.messages):  # a greeting was none
            request = replace(request, first=True)
        self._turn = Turn(request, key, window, self._part, self._llm, self.waterfall, call=self._means.call)
        self._begun()
        return self._turn

    async def _write_and_speak(self, turn: Turn) -> None:
        companion = self._means.companion
        try:
            await self._write_all(turn)
            await companion.finish()
        except BaseException:
            await companion.abandon()
            raise

    async def _write_all(self, turn: Turn) -> None:
        """Run the turn: show its words, and have spoken what can be."""
        try:
            await self._generate(turn)
        except Exception as error:  # extensions and tools are somebody else's code
            if not isinstance(error, JackfieldError):
                logger.exception("turn %s failed", turn.id)
            self._fail(code_of("llm", error))
        finally:
            if self._script is not None:
                self._script.end()

    async def _generate(self, turn: Turn) -> None:
        pieces = self._pieces()
        async with aclosing(self._means.runner.run(turn)) as outputs:
            async for output in outputs:
                if isinstance(output, str):
                    self._write(output)
                    for piece in pieces.add(output) if pieces is not None else ():
                        await self._pass_on(piece)
                elif isinstance(output, ToolStarted | ToolFinished):
                    await self._until_released()  # a tool may do what cannot be undone
                    self._tell(output)
        for piece in pieces.end() if pieces is not None else ():
            await self._pass_on(piece)

    def _pieces(self) -> Pieces | None:
        if self._means.tts is None:
            return None
        from jackfield.dialogue.pieces import Pieces  # needs the extra `audio`, as every voice does

        return Pieces(self._means.language, first_clause=True)

    async def _pass_on(self, piece: str) -> None:
        if self._script is not None:
            await self._script.write(piece)
            return
        self._script = Script()
        await self._script.write(piece)
        self._means.companion.begin(partial(self._speak, self._script))
        await anyio.sleep(_HEAD_START_S)

    async def _speak(self, script: Script) -> None:
        """Speak what is written; what went wrong with it or before is apologised for."""
        means = self._means
        assert means.tts is not None
        try:
            self._mouth = Mouth(
                means.tts,
                SpeechSettings(self._voice, failover=self._failover()),
                rate_hz=means.floor.leg.rate_hz,
                sink=self._give,
                ahead_s=self._ahead_s,
                ahead_limit_s=means.ahead_s,
                first_s=means.tts_s,
                waterfall=self.waterfall,
            )
            await self._mouth.speak(script)
        except Exception as error:  # noqa: BLE001  # a broken voice costs the sound, not the answer
            script.end()
            report(means.tts, error, means.publish)
            self._fail(code_of("tts", error))
        finally:
            if self._mouth is not None:
                means.used(means.tts, self._mouth.given_s)
        if self.failure is not None:
            await self._apologise()

    def _failover(self) -> Failover:
        return Failover(self._means.failover_s, partial(self.waterfall.reached, "tts_failover"))

    def _fail(self, code: str) -> None:
        self._tell(CallTrouble(code))
        self.failure = self.failure or code

    async def _apologise(self) -> None:
        means = self._means
        if means.tts is None:
            return  # the client was told what failed
        rate_hz = means.floor.leg.rate_hz
        self._give(await means.phrases.sound(means.tts, self._voice, means.apology, rate_hz))

    def _begun(self) -> None:
        """Tell observers of the turn, once it is certain and known."""
        if self._turn is not None and self.released and not self._told:
            self._told = True
            self._means.runner.chronicle.begun(self._turn)

    def _ended(self, outcome: Outcome) -> None:
        if self._turn is not None and self._told:
            unheard = outcome == "interrupted" and not self.sounding
            self._turn.outcome = "cancelled" if unheard else outcome
            self._means.runner.chronicle.ended(self._turn)

    def _providers(self) -> Mapping[str, str]:
        return super()._providers() if self._turn is None else self._turn.providers

    def _heard_text(self, heard_s: float, outcome: Outcome) -> str:
        if outcome == "ok" and self._turn is not None:
            return self._turn.answer
        if self._means.tts is None:
            return self._shown.strip()
        return self._mouth.heard_text(heard_s) if self._mouth is not None else ""

    async def _store(self) -> None:
        if not self.heard:
            return
        kind, now = self._request.message_type, datetime.now(UTC)
        await self._means.store(
            self._request,
            StoredMessage(self.text, kind, now, is_user=True),
            StoredMessage(self.heard, kind, now, is_user=False),
        )
