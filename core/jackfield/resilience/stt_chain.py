"""Several recognisers that stand for each other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import anyio

from jackfield.contracts.stt import STT, DiscardingSTTStream, STTStream, Transcript, TranscriptionSettings
from jackfield.errors import ProviderBadReply, ProviderTimedOut, ProviderUnavailable
from jackfield.resilience.chain import Attempt, Chain, Member
from jackfield.resilience.utterances import Utterances


class STTChain:
    """Hears with the first member that gives a final transcript. Implements `STT`."""

    def __init__(self, chain: Chain[STT]) -> None:
        self._chain = chain

    def stream(self, settings: TranscriptionSettings) -> ChainedStream:
        """See `STT.stream`."""
        return ChainedStream(self._chain, settings)


class ChainedStream:
    """One speaker's sound, heard by one member at a time. Implements `STTStream`.

    What no final transcript has answered is kept, and said again to the member that takes over. Between two
    utterances the stream goes back to a member that stands before its own and works again. Members listen in
    a task of the stream, since one may have to be left while the stream's owner is in the middle of anything.
    """

    def __init__(self, chain: Chain[STT], settings: TranscriptionSettings) -> None:
        self._chain = chain
        self._settings = settings
        self._utterances = Utterances()
        self._attempts: Iterator[Attempt[STT]] = iter(())
        self._attempt: Attempt[STT] | None = None
        self._stream: STTStream | None = None
        self._opened = False
        self._listening = anyio.CancelScope()
        self._fault: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since_s = 0.0  # when the wait for a final began
        self._settled = False  # whether the present member has answered all that was said
        self._understood: deque[Transcript | Exception] = deque()
        self._wake = anyio.Event()
        self._over = False
        self._stack = AsyncExitStack()

    # What is heard.

    def push(self, pcm: bytes) -> None:
        if self._settled and self._utterances.silent:
            self._hold()
        self._utterances.push(pcm)
        self._do(lambda stream: stream.push(pcm))

    def checkpoint(self) -> None:
        self._utterances.checkpoint()
        self._do(lambda stream: stream.checkpoint())

    def end_utterance(self, *, unchanged: bool = False) -> None:
        self._utterances.end()
        self._do(lambda stream: stream.end_utterance(unchanged=unchanged))
        if self._timer is None:
            self._expect_final()

    def discard(self) -> None:
        self._understood = deque(each for each in self._understood if _is_owed(each))
        if not self._utterances.running:
            return
        stream = self._stream
        if stream is not None and not isinstance(stream, DiscardingSTTStream):
            self._utterances.forget()
            self._do(lambda member: member.end_utterance())
            if self._timer is None:
                self._expect_final()
            return
        self._utterances.discard()
        if stream is not None:
            self._do(lambda _: stream.discard())

    def _do(self, step: Callable[[STTStream], None]) -> None:
        """Let the member hear it; without one, the next hears it with all the rest."""
        if self._stream is None:
            return
        try:
            step(self._stream)
        except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
            self._break(error)

    def _break(self, error: Exception) -> None:
        """The member has failed, though it does not know."""
        self._stream = None
        self._fault = error
        self._listening.cancel()

    # How long it takes.

    def _expect_final(self) -> None:
        """A final transcript is waited for from now on, if one is owed."""
        self._stop_timer()
        if self._utterances.pending:
            self._start_timer()

    def _start_timer(self) -> None:
        if self._attempt is not None:
            loop = asyncio.get_running_loop()
            self._since_s = loop.time()
            self._timer = loop.call_later(self._attempt.patience_s, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._attempt is not None and self._attempt.leaves_late:
            self._break(ProviderTimedOut("no transcript in time"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Who hears it.

    async def _run(self) -> None:
        """Let one member after the other listen, until none is left."""
        try:
            self._attempts = self._chain.attempts(self._settings.failover)
            while True:
                self._attempt = next(self._attempts, None)
                if self._attempt is None:
                    raise ProviderUnavailable("no recogniser is left")
                await self._listen(self._attempt.member)
                self._leave(self._fault)
        except Exception as error:  # noqa: BLE001  # raised to whoever wants transcripts
            self._tell(error)
            self._over = True

    async def _listen(self, member: Member[STT]) -> None:
        """Return when the member failed, or another one is better."""
        self._fault = None
        self._opened = False
        self._stop_timer()
        self._start_timer()
        with anyio.CancelScope() as self._listening:
            try:
                async with member.object.stream(self._settings) as stream:
                    await self._hear(stream)
            except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                self._fault = self._fault or _innermost(error)
        self._stream = None
        self._stop_timer()

    async def _hear(self, stream: STTStream) -> None:
        try:
            self._opened = True
            self._utterances.say_to(stream)
            self._stream = stream
            self._expect_final()
            await self._understand(aiter(stream))
        except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
            self._fault = self._fault or error

    async def _understand(self, transcripts: AsyncIterator[Transcript]) -> None:
        try:
            async for transcript in transcripts:
                self._take(transcript)
                if self._settled and self._attempt and self._chain.prefers_another(self._attempt.member):
                    return
        finally:
            if isinstance(transcripts, AsyncGenerator):
                await transcripts.aclose()
        raise ProviderBadReply("the stream of transcripts ended by itself")

    def _leave(self, fault: Exception | None) -> None:
        """Say who is next.

        :raises Exception: the fault, where there is nothing that another member could do.
        """
        assert self._attempt is not None
        self._settled = False
        if fault is None:
            self._attempts = self._chain.attempts(self._settings.failover)
        elif self._opened and self._utterances.silent:
            self._attempt.undecided()  # services hang up on those who say nothing
            raise fault
        elif not self._attempt.failed(fault, useful=False):
            raise fault

    def _hold(self) -> None:
        """Begin another request at the member that listens."""
        assert self._attempt is not None
        member = self._attempt.member
        self._settled = False
        self._attempts = self._chain.attempts(self._settings.failover, holding=member)
        self._attempt = next(self._attempts)

    # What is understood.

    def _take(self, transcript: object) -> None:
        if not isinstance(transcript, Transcript):
            raise ProviderBadReply(f"the recogniser gave a {type(transcript).__name__}")
        if self._fault is not None:
            return  # the member is only being left
        wanted = self._answered() if transcript.kind == "final" else not self._utterances.hushed
        if wanted:
            self._tell(transcript)

    def _answered(self) -> bool:
        """The member has done its work; what comes next is another request. Says whether it was wanted."""
        if not self._utterances.pending:
            raise ProviderBadReply("a final transcript came that nobody had asked for")
        assert self._attempt is not None
        self._attempt.succeeded()
        wanted = self._utterances.answered()
        self._hold()
        self._settled = self._utterances.silent
        self._expect_final()
        return wanted

    def _tell(self, understood: Transcript | Exception) -> None:
        self._understood.append(understood)
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[Transcript]:
        return self

    async def __anext__(self) -> Transcript:
        while not self._understood:
            if self._over:
                raise StopAsyncIteration
            self._wake = anyio.Event()
            await self._wake.wait()
        understood = self._understood.popleft()
        if isinstance(understood, Exception):
            raise understood
        return understood

    async def __aenter__(self) -> Self:
        tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._stack.callback(tasks.cancel_scope.cancel)
        tasks.start_soon(self._run)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        self._over = True
        self._wake.set()
        self._stop_timer()
        if self._attempt is not None:
            waited_s = asyncio.get_running_loop().time() - self._since_s
            if self._utterances.pending and waited_s >= self._attempt.patience_s:
                self._attempt.blamed(ProviderTimedOut("no transcript in time"))
            self._attempt.undecided()
        await self._stack.aclose()  # told of an exception, the task group would wrap it
        return None


def _is_owed(understood: Transcript | Exception) -> bool:
    """Whether it is told though the running utterance is discarded."""
    return isinstance(understood, Exception) or understood.kind == "final"


def _innermost(error: Exception) -> Exception:
    """What a task group raises for the failure of one task is the failure."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
