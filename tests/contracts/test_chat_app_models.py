"""chat-app, CA-16: the model is a plugin, whichever it is."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jackfield.models import is_fetched, locate
from tests.contracts.chat_app import METER, page
from tests.contracts.harness import Tree, TrialServer
from tests.plugins.llm.llama_server import llama_server
from tests.plugins.llm.openai_chat import KEY

MODEL = "smollm2-135m-instruct"
missing = importlib.util.find_spec("xllamacpp") is None or not is_fetched(MODEL)
needs_model = pytest.mark.skipif(missing and not os.environ.get("CI"), reason=f"Needs xllamacpp and {MODEL}.")
QUESTION = "What is the capital of France?"
ASSISTANT = {
    "examples": [{"user": "What is the capital of Italy?", "assistant": "The capital of Italy is Rome."}],
    "temperature": 0.0,
    "max_tokens": 24,
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """Address of a server of llama.cpp's own."""
    with llama_server(MODEL, KEY) as url:
        yield url


def talks(llm: Tree, folder: Path) -> Tree:
    """Ask a chat app over a model, and give the figures; nothing else of its configuration changes."""
    config = {**METER, "llm": llm, "assistant": ASSISTANT, "extension": None}
    with TrialServer(folder / "server", config) as server, page(server) as one:
        one.send(message=QUESTION, stream=True)
        event = one.receive(60)
        while event["event"] == "ai_response_delta":
            event = one.receive(60)
        assert "Paris" in event["message"]
        status, _ = one.events("backend_status", "chat_history")
    assert status["prompt_tokens"] > 20
    assert 2 < status["completion_tokens"] <= 24
    assert "estimated" not in status
    assert 0 < status["first_token_ms"] <= status["latency_ms"]
    return status


@needs_model
@pytest.mark.contract("CA-16", "CA-12")
@pytest.mark.timeout(120)
def test_a_server_with_the_interface_of_openai_answers(url: str, tmp_path: Path) -> None:
    options = {"folder": None, "model": "smollm2", "base_url": f"{url}/v1", "api_key": KEY}

    talks({"use": "openai", "options": options}, tmp_path)


@needs_model
@pytest.mark.contract("CA-16", "CA-12")
@pytest.mark.timeout(120)
def test_a_local_model_answers(tmp_path: Path) -> None:
    talks({"use": "xllamacpp", "options": {"folder": None, "model": str(locate(MODEL))}}, tmp_path)


@pytest.mark.contract("CA-16", "CA-11")
def test_a_model_of_ones_own_that_tells_no_figures_answers(tmp_path: Path) -> None:
    config = {**METER, "llm": {"use": "trial"}}
    with TrialServer(tmp_path / "server", config) as server, page(server) as one:
        answer, status, _ = one.say("Hello")

    assert (answer["message"], status["model"]) == ("You said: Hello", "trial")
    assert status["estimated"] is True
    assert status["tokens_used"] > 0
