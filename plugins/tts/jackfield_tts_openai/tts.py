"""The voice as the core sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from functools import partial
from typing import Final

import anyio
import httpx2
import openai
from anyio import to_thread

from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield_openai_account.connected import CLOSING_S, Connected, post_streamed
from jackfield_openai_account.sdk import openai_client, provider_error
from jackfield_tts_openai.options import OpenAITTSOptions
from jackfield_tts_openai.sound import SoundReader

_SLOWEST: Final = 0.25
_FASTEST: Final = 4.0


class OpenAITTS(Connected):
    """Voices of a service. An async context manager: entering opens the client."""

    def __init__(self, options: OpenAITTSOptions) -> None:
        super().__init__(partial(openai_client, options))
        self._options = options

    def rate_hz(self, voice: Voice) -> int:
        return self._options.rate_hz

    async def synthesize(self, text: str, settings: SpeechSettings) -> AsyncGenerator[TTSOutput, None]:
        if self._client is None:
            raise RuntimeError("the client is not open: synthesize only inside `async with`")
        for part in _parts(text, self._options.max_chars):
            async with aclosing(self._speak(self._client, self._body(part, settings))) as sound:
                async for pcm in sound:
                    yield pcm

    async def _speak(
        self, client: openai.AsyncOpenAI, body: dict[str, object]
    ) -> AsyncGenerator[bytes, None]:
        """Give the sound of one request."""
        has_sound = False
        try:
            response = await self._send(partial(post_streamed, client, "/audio/speech", body))
            async with aclosing(self._sound(response)) as sound:
                async for pcm in sound:
                    has_sound = True
                    yield pcm
        except self._errors as error:
            raise provider_error(error) from None
        except RuntimeError:  # from aiohttp, whose client was closed under its answer
            if self._client is not None:
                raise
            raise ProviderUnavailable("The voice was closed.") from None
        if not has_sound:
            raise ProviderBadReply("The service sent no sound.")
        self._has_answered = True

    async def _sound(self, response: httpx2.Response) -> AsyncGenerator[bytes, None]:
        try:
            reader = SoundReader(
                response.headers.get("content-type", ""),
                self._options.rate_hz,
                is_compressed=self._options.response_format not in ("pcm", "wav"),
            )
            async with aclosing(response.aiter_bytes()) as portions:
                async for portion in portions:
                    if pcm := reader.feed(portion):
                        yield pcm
            pcm = await to_thread.run_sync(reader.finish) if reader.is_whole else reader.finish()
            if pcm:
                yield pcm
        finally:
            with anyio.move_on_after(CLOSING_S, shield=True):
                await response.aclose()

    def _body(self, text: str, settings: SpeechSettings) -> dict[str, object]:
        options, voice = self._options, settings.voice
        body: dict[str, object] = {
            "model": options.model,
            "input": text,
            "voice": options.speaker(voice),
            "response_format": options.response_format,
        }
        speed = min(max(options.speed * settings.speed, _SLOWEST), _FASTEST)
        if speed != 1.0:
            body["speed"] = speed
        if (instructions := options.told(voice)) is not None:
            body["instructions"] = instructions
        return body | options.extra_body


def _parts(text: str, max_chars: int) -> Iterator[str]:
    """Cut a text between words; gives nothing where there is nothing to say."""
    rest = text.encode("utf-8", "replace").decode().strip()  # lone surrogates cannot be sent
    while any(character.isalnum() for character in rest):
        end = len(rest) if len(rest) <= max_chars else rest.rfind(" ", 0, max_chars + 1)
        end = end if end > 0 else max_chars
        yield rest[:end]
        rest = rest[end:].strip()
