"""The recogniser as the core sees it."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Self

import anyio
import httpx2
import openai
from anyio import to_thread
from jiter import from_json

from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.errors import ProviderBadReply
from jackfield_openai_account.sdk import client_of, is_hang_up, provider_error, sdk_errors
from jackfield_stt_openai.options import OpenAISTTOptions
from jackfield_stt_openai.recording import as_wav, has_sound

_CLOSING_S: Final = 5.0


class OpenAISTT(WholeUtteranceSTT):
    """Uploads whole utterances. An async context manager: entering opens the client."""

    def __init__(self, options: OpenAISTTOptions) -> None:
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

    async def recognize(self, pcm: bytes, settings: TranscriptionSettings) -> Transcript:
        client, options = self._client, self._options
        if client is None:
            raise RuntimeError("recognize() needs an entered OpenAISTT")
        duration_s = len(pcm) / 2 / STT_RATE_HZ
        language = settings.language or options.language
        if not await to_thread.run_sync(has_sound, pcm, options.silence):
            return Transcript("", "final", end_s=duration_s, language=language)
        wav = await to_thread.run_sync(as_wav, pcm)
        try:
            response = await self._send(client, wav, self._fields(settings, language))
        except self._errors as error:
            raise provider_error(error) from None
        self._has_answered = True
        return Transcript(_text_of(response), "final", end_s=duration_s, language=language)

    def _connect(self) -> openai.AsyncOpenAI:
        options = self._options
        return client_of(options, options.base_url, options.api_key, options.organization, options.project)

    def _fields(self, settings: TranscriptionSettings, language: str | None) -> dict[str, str]:
        options = self._options
        fields = {"model": options.model, "response_format": "json"}
        if language:
            fields["language"] = language.partition("-")[0].lower()
        if prompt := " ".join(filter(None, [options.prompt, ", ".join(settings.hints)])):
            fields["prompt"] = prompt
        return fields | options.extra_fields

    async def _send(self, client: openai.AsyncOpenAI, wav: bytes, fields: dict[str, str]) -> httpx2.Response:
        try:
            return await _upload(client, wav, fields)
        except openai.APIConnectionError as error:
            if not (self._has_answered and is_hang_up(error)):
                raise
        # A kept connection that the server closed at that moment; now on a new one.
        return await _upload(client, wav, fields)


async def _upload(client: openai.AsyncOpenAI, wav: bytes, fields: dict[str, str]) -> httpx2.Response:
    return await client.post(
        "/audio/transcriptions",
        cast_to=httpx2.Response,
        body=fields,
        files={"file": ("speech.wav", wav, "audio/wav")},
        options={"headers": {"Content-Type": "multipart/form-data"}},
    )


def _text_of(response: httpx2.Response) -> str:
    """The words in an answer; some servers send them plainly, whatever format was asked for."""
    if response.headers.get("content-type", "").startswith("text/plain"):
        return response.text.strip()
    try:
        text = from_json(response.content)["text"]
    except (ValueError, KeyError, TypeError):
        text = None
    if not isinstance(text, str):
        raise ProviderBadReply("The service's answer has no text; check base_url and extra_fields.")
    return text.strip()
