"""The conformance suite of speech-to-speech models."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import ClassVar, Final, get_args

import anyio

from jackfield.contracts.realtime import (
    Realtime,
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSettings,
    RealtimeText,
)
from jackfield.testing.cancellation import CONTROL_S, Ready, assert_gives_control_back
from jackfield.testing.suite import Suite

_PATIENCE_S: Final = 60.0


class RealtimeSuite(Suite):
    """Subclass it and define the fixture `realtime`: a model ready for use."""

    prompt: ClassVar[str] = "Tell me a short story."
    settings: ClassVar[RealtimeSettings] = RealtimeSettings(instructions="You tell stories.")

    async def test_typed_text_is_answered_in_sound_and_words(self, realtime: Realtime) -> None:
        async with realtime.session(self.settings) as session:
            await session.inject(self.prompt)
            outputs = await self._until_done(aiter(session))
        sound = b"".join(output.pcm for output in outputs if isinstance(output, RealtimeAudio))
        texts = [output for output in outputs if isinstance(output, RealtimeText)]
        assert sound
        assert [text.done for text in texts] == [False] * (len(texts) - 1) + [True]
        assert "".join(text.text for text in texts).strip()

    async def test_sound_comes_in_whole_samples_at_a_usual_rate(self, realtime: Realtime) -> None:
        async with realtime.session(self.settings) as session:
            assert 8_000 <= session.rate_hz <= 48_000
            await session.inject(self.prompt)
            outputs = await self._until_done(aiter(session))
        assert all(isinstance(output, get_args(RealtimeOutput)) for output in outputs)
        assert all(len(output.pcm) % 2 == 0 for output in outputs if isinstance(output, RealtimeAudio))

    async def test_after_an_interruption_the_answer_says_nothing_more(self, realtime: Realtime) -> None:
        async with realtime.session(self.settings) as session:
            outputs = aiter(session)
            await session.inject(self.prompt)
            with anyio.fail_after(_PATIENCE_S):
                async for output in outputs:
                    if isinstance(output, RealtimeAudio):
                        item = output.item
                        break
            await session.interrupt(heard_ms=10)
            await session.inject(self.prompt)
            later = await self._until_done(outputs, but=item)
        assert not [output for output in later if isinstance(output, RealtimeAudio) and output.item == item]

    async def test_pushing_does_not_block(self, realtime: Realtime) -> None:
        async with realtime.session(self.settings) as session:
            frame = bytes(session.rate_hz // 50 * 2)
            begin = time.perf_counter()
            for _ in range(50):
                session.push(frame)
            assert (time.perf_counter() - begin) / 50 < 0.001

    async def test_two_sessions_at_once_both_answer(self, realtime: Realtime) -> None:
        answered: list[int] = []

        async def talk() -> None:
            async with realtime.session(self.settings) as session:
                await session.inject(self.prompt)
                answered.append(len(await self._until_done(aiter(session))))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(talk)
            tasks.start_soon(talk)
        assert len(answered) == 2

    async def test_instructions_can_change_in_a_running_session(self, realtime: Realtime) -> None:
        async with realtime.session(self.settings) as session:
            await session.update(RealtimeSettings(instructions="You sing."))
            await session.inject(self.prompt)
            assert await self._until_done(aiter(session))

    async def test_cancelled_halfway_the_caller_has_control_at_once(self, realtime: Realtime) -> None:
        async def talk(ready: Ready) -> None:
            async with realtime.session(self.settings) as session:
                await session.inject(self.prompt)
                async for _output in session:
                    ready()

        await assert_gives_control_back(talk)

    async def test_leaving_does_not_wait_for_the_answer_and_closing_twice_is_harmless(
        self, realtime: Realtime
    ) -> None:
        session = realtime.session(self.settings)
        async with session:
            await session.inject(self.prompt)
            begin = time.perf_counter()
        assert time.perf_counter() - begin <= CONTROL_S + self.capabilities.cancel_s
        await session.__aexit__(None, None, None)

    async def _until_done(
        self, outputs: AsyncIterator[RealtimeOutput], but: str | None = None
    ) -> list[RealtimeOutput]:
        read: list[RealtimeOutput] = []
        with anyio.fail_after(_PATIENCE_S):
            async for output in outputs:
                read.append(output)
                if isinstance(output, RealtimeText) and output.done and output.item != but:
                    return read
        raise AssertionError("The session ended before the answer did.")
