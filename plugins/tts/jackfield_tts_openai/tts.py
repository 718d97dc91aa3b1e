"""The voice as the core sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from types import TracebackType
from typing import Final, Self

import anyio
import httpx2
import openai
from anyio import to_thread

from jackfield.contracts.tts import SpeechSettings, TTSOutput, Voice
from jackfield.errors import ProviderBadReply, ProviderUnavailable
from jackfield_openai_account.sdk import client_of, is_hang_up, provider_error, sdk_errors
from jackfield_tts_openai.options import OpenAITTSOptions
from jackfield_tts_openai.sound import SoundReader

_CLOSING_S: Final = 5.0
_SLOWEST: Final = 0.25
_FASTEST: Final = 4.0


class OpenAITTS:
    """Voices of a service. An async context manager: entering opens the client."""

    def __init__(self, options: OpenAITTSOptions) -> None:
        self._options = options
        self._client: openai.AsyncOpenAI | None = None
        self._has_answered = False

    async def __aenter__(self) -> Self:
        self._client = await to_thread.run_sync(self._connect)
        self._errors = sdk_errors()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await client.close()

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
            async with aclosing(self._sound(await self._send(client, body))) as sound:
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
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await response.aclose()

    async def _send(self, client: openai.AsyncOpenAI, body: dict[str, object]) -> httpx2.Response:
        try:
            return await _post(client, body)
        except openai.APIConnectionError as error:
            if not (self._has_answered and is_hang_up(error)):
                raise
        # A kept connection that the server closed at that moment; now on a new one.
        return await _post(client, body)

    def _connect(self) -> openai.AsyncOpenAI:
        options = self._options
        return client_of(options, options.base_url, options.api_key, options.organization, options.project)

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


async def _post(client: openai.AsyncOpenAI, body: dict[str, object]) -> httpx2.Response:
    streamed = True  # not the literal: with that the SDK promises its own stream, which is not asked for
    response = await client.post("/audio/speech", cast_to=httpx2.Response, body=body, stream=streamed)
    assert isinstance(response, httpx2.Response)
    return response


def _parts(text: str, max_chars: int) -> Iterator[str]:
    """Cut a text between words; gives nothing where there is nothing to say."""
    rest = text.encode("utf-8", "replace").decode().strip()  # lone surrogates cannot be sent
    while any(character.isalnum() for character in rest):
        end = len(rest) if len(rest) <= max_chars else rest.rfind(" ", 0, max_chars + 1)
        end = end if end > 0 else max_chars
        yield rest[:end]
        rest = rest[end:].strip()
