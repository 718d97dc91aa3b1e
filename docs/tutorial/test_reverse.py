"""The plugin keeps the promises of a language model, and answers backwards."""

from __future__ import annotations

import pytest
from jackfield.contracts.llm import LLM, GenerationRequest, Message
from jackfield.testing import LLMSuite
from jackfield.testing.llm import answer_of

import jackfield_llm_reverse as plugin


class TestReverse(LLMSuite):
    """Every test of the suite, and one of its own."""

    capabilities = plugin.plugin_info().capabilities(plugin.ReverseOptions())
    distinct = (("ananas", "sanana"), ("cherry", "yrrehc"))

    @pytest.fixture
    def llm(self) -> LLM:
        return plugin.ReverseLLM(plugin.ReverseOptions())

    async def test_the_answer_is_the_message_backwards(self, llm: LLM) -> None:
        request = GenerationRequest((Message("user", "Was it a rat"),))
        assert (await answer_of(llm, request)).text == "tar a ti saW "
