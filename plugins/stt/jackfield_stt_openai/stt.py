"""The recogniser as the core sees it."""

from __future__ import annotations

from functools import partial

import httpx2
import openai
from anyio import to_thread
from jiter import from_json

from jackfield.contracts.stt import STT_RATE_HZ, Transcript, TranscriptionSettings, WholeUtteranceSTT
from jackfield.errors import ProviderBadReply
from jackfield_openai_account.connected import Connected
from jackfield_openai_account.sdk import openai_client, provider_error
from jackfield_stt_openai.options import OpenAISTTOptions
from jackfield_stt_openai.recording import as_wav, has_sound


class OpenAISTT(Connected, WholeUtteranceSTT):
    """Uploads whole utterances. An async context manager: entering opens the client."""

    def __init__(self, options: OpenAISTTOptions) -> None:
        super().__init__(partial(openai_client, options))
        self._options = options

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
            fields = self._fields(settings, language)
            response = await self._send(partial(_upload, client, wav, fields))
        except self._errors as error:
            raise provider_error(error) from None
        self._has_answered = True
        return Transcript(_text_of(response), "final", end_s=duration_s, language=language)

    def _fields(self, settings: TranscriptionSettings, language: str | None) -> dict[str, str]:
        options = self._options
        fields = {"model": options.model, "response_format": "json"}
        if language:
            fields["language"] = language.partition("-")[0].lower()
        if prompt := " ".join(filter(None, [options.prompt, ", ".join(settings.hints)])):
            fields["prompt"] = prompt
        return fields | options.extra_fields


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
