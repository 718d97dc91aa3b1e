"""The plugin `openai` against llama.cpp's own server, with a real model."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import AsyncIterator, Iterator

import pytest

import jackfield_llm_openai as plugin
from jackfield.contracts.llm import GenerationRequest, Message
from jackfield.errors import ContextTooLong, ProviderUnauthorized
from jackfield.models import is_fetched
from jackfield.testing import LLMSuite
from jackfield.testing.llm import answer_of
from jackfield_llm_openai import OpenAIOptions
from jackfield_llm_openai.llm import ChatLLM
from tests.plugins.llm.llama_server import llama_server
from tests.plugins.llm.openai_chat import KEY, connected

if not os.environ.get("CI"):
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("Needs xllamacpp.", allow_module_level=True)
    if not is_fetched("smollm2-135m-instruct"):
        pytest.skip("Needs a model: jackfield models fetch smollm2-135m-instruct", allow_module_level=True)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Address of the server."""
    with llama_server("smollm2-135m-instruct", KEY) as url:
        yield url


@pytest.fixture(scope="module")
async def llm(url: str) -> AsyncIterator[ChatLLM]:
    async with connected(url, model="smollm2") as llm:
        yield llm


class TestOpenAI(LLMSuite):
    """The promises that every language model makes."""

    capabilities = plugin.plugin_info().capabilities(
        OpenAIOptions(model="smollm2", base_url="http://127.0.0.1:1/v1")
    )
    prompt = "Write a long story about a dragon and a king."
    deterministic = False  # the same sums are added in another order when chats are computed together


async def test_a_question_is_answered_with_usage(llm: ChatLLM) -> None:
    messages = (
        Message("user", "What is the capital of Italy?"),
        Message("assistant", "The capital of Italy is Rome."),
        Message("user", "What is the capital of France?"),
    )
    answer = await answer_of(llm, GenerationRequest(messages, temperature=0.0, max_tokens=24))
    assert "Paris" in answer.text
    assert answer.finish.usage is not None
    assert answer.finish.usage.prompt_tokens > 20


async def test_a_prompt_that_does_not_fit_is_told_apart(llm: ChatLLM) -> None:
    with pytest.raises(ContextTooLong):
        await answer_of(llm, GenerationRequest((Message("user", "blue sky " * 3000),)))


async def test_a_wrong_key_is_told_apart(url: str) -> None:
    async with connected(url, model="smollm2", api_key="wrong") as llm:
        with pytest.raises(ProviderUnauthorized):
            await answer_of(llm, GenerationRequest((Message("user", "Hi"),)))
