"""The conformance suites of speech-to-speech models that clients may reach themselves."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import ClassVar, Final

import anyio
import pytest

from jackfield.contracts.realtime import (
    ForwardedSession,
    ForwardsOffers,
    GivesSecrets,
    RealtimeAudio,
    RealtimeOutput,
    RealtimeSettings,
    RealtimeText,
)
from jackfield.errors import ProviderError
from jackfield.testing.cancellation import Ready, assert_gives_control_back
from jackfield.testing.suite import Suite

_PATIENCE_S: Final = 60.0
_TTL_S: Final = 300.0
_FAREWELL_S: Final = 5.0
"""Within which nothing of a call is left."""


class ForwardingSuite(Suite):
    """For models with `ForwardsOffers`. Subclass it and define the fixtures `forwarder` and `offer`.

    `forwarder` is a model ready for use, `offer` the SDP of a WebRTC connection that the model accepts. The
    connection need not come about.
    """

    prompt: ClassVar[str] = "Tell me a short story."
    settings: ClassVar[RealtimeSettings] = RealtimeSettings(instructions="You tell stories.")

    def test_it_takes_offers(self, forwarder: ForwardsOffers) -> None:
        assert isinstance(forwarder, ForwardsOffers)

    async def test_an_offer_is_answered(self, forwarder: ForwardsOffers, offer: str) -> None:
        async with forwarder.forward_offer(offer, self.settings) as session:
            assert isinstance(session, ForwardedSession)
            assert session.answer.startswith("v=0")
            assert "m=audio" in session.answer

    async def test_what_is_no_offer_is_refused(self, forwarder: ForwardsOffers) -> None:
        with pytest.raises(ProviderError):
            async with forwarder.forward_offer("no offer", self.settings):
                pass

    async def test_the_session_beside_the_call_has_words_and_no_sound(
        self, forwarder: ForwardsOffers, offer: str
    ) -> None:
        async with forwarder.forward_offer(offer, self.settings) as session:
            session.push(bytes(session.rate_hz // 25))
            await session.update(RealtimeSettings(instructions="You sing."))
            await session.inject(self.prompt)
            outputs = await _until_done(aiter(session))
        assert not any(isinstance(output, RealtimeAudio) for output in outputs)
        texts = [output for output in outputs if isinstance(output, RealtimeText)]
        assert "".join(text.text for text in texts).strip()

    async def test_two_calls_at_once_have_their_own_sessions(
        self, forwarder: ForwardsOffers, offer: str
    ) -> None:
        async with (
            forwarder.forward_offer(offer, self.settings) as one,
            forwarder.forward_offer(offer, self.settings) as two,
        ):
            await one.inject(self.prompt)
            await two.inject(self.prompt)
            assert await _until_done(aiter(one))
            assert await _until_done(aiter(two))

    async def test_cancelled_halfway_the_caller_has_control_at_once(
        self, forwarder: ForwardsOffers, offer: str
    ) -> None:
        async def talk(ready: Ready) -> None:
            async with forwarder.forward_offer(offer, self.settings) as session:
                await session.inject(self.prompt)
                async for _output in session:
                    ready()

        await assert_gives_control_back(talk)

    async def test_leaving_is_quick_and_closing_twice_harmless(
        self, forwarder: ForwardsOffers, offer: str
    ) -> None:
        session = forwarder.forward_offer(offer, self.settings)
        async with session:
            begin = time.perf_counter()
        assert time.perf_counter() - begin <= _FAREWELL_S
        await session.__aexit__(None, None, None)


class SecretsSuite(Suite):
    """For models with `GivesSecrets`. Subclass it and define the fixture `giver`: a model ready for use."""

    settings: ClassVar[RealtimeSettings] = RealtimeSettings(instructions="You tell stories.")

    def test_it_gives_keys(self, giver: GivesSecrets) -> None:
        assert isinstance(giver, GivesSecrets)

    async def test_a_key_is_good_for_about_the_time_that_is_asked_for(self, giver: GivesSecrets) -> None:
        secret = await giver.client_secret(self.settings, _TTL_S)
        assert secret.value
        assert _TTL_S / 2 < secret.expires_s - time.time() < 2 * _TTL_S

    async def test_each_client_has_its_own_key(self, giver: GivesSecrets) -> None:
        one = await giver.client_secret(self.settings, _TTL_S)
        two = await giver.client_secret(self.settings, _TTL_S)
        assert one.value != two.value


async def _until_done(outputs: AsyncIterator[RealtimeOutput]) -> list[RealtimeOutput]:
    read: list[RealtimeOutput] = []
    with anyio.fail_after(_PATIENCE_S):
        async for output in outputs:
            read.append(output)
            if isinstance(output, RealtimeText) and output.done:
                return read
    raise AssertionError("The session ended before the answer did.")
