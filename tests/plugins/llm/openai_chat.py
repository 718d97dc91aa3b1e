"""What a service with chat completions sends, event by event."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jackfield_llm_openai as plugin
from jackfield.contracts.llm import GenerationRequest, Message
from jackfield.plugin import Site
from jackfield_llm_openai import OpenAIOptions
from jackfield_llm_openai.llm import ChatLLM
from tests.plugins.http_service import Asked, Handler, Reply

KEY = "sk-test-1234567890"
DONE = b"data: [DONE]\n\n"
SECRET_WORDS = "the password is swordfish"
HELLO = GenerationRequest((Message("system", "Be brief."), Message("user", SECRET_WORDS)))


def event(**fields: object) -> bytes:
    """An event with these fields beside the usual ones."""
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1736078400, "model": "m-2026"}
    return b"data: " + json.dumps(chunk | fields).encode() + b"\n\n"


def delta(finish_reason: str | None = None, **fields: object) -> bytes:
    """An event with one choice."""
    return event(
        choices=[{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish_reason}], usage=None
    )


def said(*texts: str, finish_reason: str = "stop") -> list[bytes]:
    """The events of an answer without tool calls."""
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": len(texts),
        "total_tokens": 9 + len(texts),
        "prompt_tokens_details": {"cached_tokens": 4},
    }
    return [
        delta(role="assistant", content=""),
        *(delta(content=text) for text in texts),
        delta(finish_reason),
        event(choices=[], usage=usage),
        DONE,
    ]


def part(index: int, arguments: str, **fields: object) -> dict[str, object]:
    """A part of a tool call."""
    name = fields.pop("name", None)
    function = {"arguments": arguments} | ({"name": name} if name else {})
    return {"index": index, "function": function, **fields}


def answering(*pieces: bytes) -> Handler:
    """Answers every request with these pieces of a stream."""

    async def answer(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        for piece in pieces:
            await reply.send(piece)
        await reply.end()

    return answer


class HangsUp:
    """Answers `answered` times, then closes connections instead; the next answer is on a new one."""

    def __init__(self, answered: int) -> None:
        self.answered = answered

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        self.answered -= 1
        if self.answered == -1:
            await reply.cut()
        else:
            await answering(*said("Hi"))(asked, reply)


def failing(status: int, body: object, **headers: str) -> Handler:
    """Answers every request with this."""

    async def fail(asked: Asked, reply: Reply) -> None:
        await reply.whole(status, body, **headers)

    return fail


def error(code: str | None = None, kind: str = "invalid_request_error", **more: object) -> dict[str, object]:
    """The body of an error, with words that must not be passed on."""
    return {
        "error": {"message": f"You said: {SECRET_WORDS}", "type": kind, "param": None, "code": code, **more}
    }


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[ChatLLM]:
    """The plugin, ready for use."""
    given = {"model": "m", "base_url": f"{url}/v1", "api_key": KEY} | options
    site = Site("llm", "openai", logging.getLogger("jackfield.test"))
    async with plugin.make_llm(OpenAIOptions.model_validate(given), site) as llm:
        yield llm
