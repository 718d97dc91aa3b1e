"""The plugin `azure_openai`, against a server on a real socket that speaks Azure's paths."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from jackfield.contracts.llm import Finish, Usage
from jackfield.errors import (
    ContentFiltered,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.plugin import Site
from jackfield.testing import FailureSuite, LLMSuite
from jackfield.testing.failure import Failing
from jackfield.testing.llm import answer_of
from jackfield_llm_openai import azure as plugin
from jackfield_llm_openai.azure import AzureOpenAIOptions
from jackfield_llm_openai.llm import ChatLLM
from tests.plugins.http_service import Asked, Reply, Service, serving
from tests.plugins.llm.openai_chat import DONE, HELLO, SECRET_WORDS, delta, event, said

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef0123456789abcdef"
VERSION = "2024-10-21"
SAFE = {"hate": {"filtered": False, "severity": "safe"}, "violence": {"filtered": False, "severity": "safe"}}
FILTERED = {
    "error": {
        "message": f"The response was filtered: {SECRET_WORDS}",
        "type": None,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "high"}},
        },
    }
}


def choice(finish_reason: str | None = None, **fields: object) -> bytes:
    """An event with one choice, with what Azure's content filter thinks of it."""
    return event(
        choices=[{"index": 0, "finish_reason": finish_reason, "content_filter_results": SAFE, **fields}]
    )


class Resource:
    """A resource with deployments, each of which answers in its own way."""

    def __init__(self) -> None:
        self.failing: tuple[int, object, dict[str, str]] | None = None
        self.pieces: list[bytes] | None = None

    async def __call__(self, asked: Asked, reply: Reply) -> None:
        if asked.headers.get("api-key") != KEY and asked.headers.get("authorization") != f"Bearer {KEY}":
            refusal = {"error": {"code": "401", "message": "Access denied due to invalid subscription key."}}
            await reply.whole(401, refusal)
        elif (deployment := self.deployment_of(asked)) not in ("four", "three"):
            await reply.whole(404, {"error": {"code": "DeploymentNotFound", "message": "no such deployment"}})
        elif self.failing is not None:
            status, body, headers = self.failing
            await reply.whole(status, body, **headers)
        else:
            await self.answer(asked, reply, str(deployment))

    def deployment_of(self, asked: Asked) -> object:
        if asked.path == "/openai/v1/chat/completions" and "api-version" not in asked.query:
            return asked.json["model"]
        before, name, after = asked.path.partition("/openai/deployments/")
        versioned = asked.query.get("api-version") == VERSION
        return after.removesuffix("/chat/completions") if name and not before and versioned else None

    async def answer(self, asked: Asked, reply: Reply, deployment: str) -> None:
        await reply.begin()
        for piece in self.pieces or azure_answer(asked, deployment):
            await reply.send(piece)
        await reply.end()


def azure_answer(asked: Asked, deployment: str) -> Iterator[bytes]:
    """Say which deployment speaks, and count up to a hundred."""
    body = asked.json
    prompt_filter = [{"prompt_index": 0, "content_filter_results": SAFE}]
    yield event(id="", model="", created=0, object="", choices=[], prompt_filter_results=prompt_filter)
    yield choice(delta={"role": "assistant", "content": "", "refusal": None})
    words = [f"{deployment} ", *(f"word{number} " for number in range(100))]
    most = body.get("max_tokens") or body.get("max_completion_tokens") or len(words)
    told, reason = "".join(words[:most]), "length" if most < len(words) else "stop"
    for stop in body.get("stop", ()):
        told, found, _rest = told.partition(stop)
        reason = "stop" if found else reason
    for word in re.findall(r"\S*\s*", told):
        yield choice(delta={"content": word})
    yield choice(content_filter_offsets={"check_offset": 44, "start_offset": 44, "end_offset": 198})
    yield choice(reason, delta={})
    usage = {"prompt_tokens": 20, "completion_tokens": most, "total_tokens": 20 + most}
    yield event(choices=[], usage=usage)
    yield DONE


@asynccontextmanager
async def connected(url: str, **options: object) -> AsyncIterator[ChatLLM]:
    """The plugin, ready for use."""
    given = {"endpoint": url, "deployment": "four", "api_key": KEY, "api_version": VERSION} | options
    site = Site("llm", "azure_openai", logging.getLogger("jackfield.test"))
    async with plugin.make_llm(AzureOpenAIOptions.model_validate(given), site) as llm:
        yield llm


@pytest.fixture
async def resource() -> Resource:
    return Resource()


@pytest.fixture
async def service(resource: Resource) -> AsyncIterator[Service]:
    async with serving(resource) as service:
        yield service


async def failure(service: Service, **options: object) -> ProviderError:
    """What a request ends with."""
    async with connected(service.url, **options) as llm:
        with pytest.raises(ProviderError) as caught:
            await answer_of(llm, HELLO)
    return caught.value


class TestAzureOpenAI(LLMSuite):
    """The promises that every language model makes."""

    capabilities = plugin.plugin_info().capabilities(
        AzureOpenAIOptions(endpoint="http://127.0.0.1:1", deployment="four", api_key=KEY)
    )

    @pytest.fixture
    async def llm(self, service: Service) -> AsyncIterator[ChatLLM]:
        async with connected(service.url) as llm:
            yield llm


@pytest.mark.contract("PI-19")
async def test_a_deployment_is_asked_by_its_path_with_version_and_key(service: Service) -> None:
    async with connected(service.url) as llm:
        answer = await answer_of(llm, replace(HELLO, max_tokens=3))
    assert answer.text == "four word0 word1 "
    assert answer.finish == Finish("length", Usage(20, 3), "four", "azure_openai")
    (asked,) = service.asked
    assert asked.path == "/openai/deployments/four/chat/completions"
    assert asked.query == {"api-version": VERSION}
    assert asked.headers["api-key"] == KEY
    assert asked.json["max_tokens"] == 3


async def test_without_a_version_the_endpoint_without_versions_is_asked(service: Service) -> None:
    async with connected(service.url, api_version="") as llm:
        assert (await answer_of(llm, replace(HELLO, max_tokens=1))).text == "four "
    (asked,) = service.asked
    assert (asked.path, asked.query) == ("/openai/v1/chat/completions", {})
    assert asked.json["max_completion_tokens"] == 1


@pytest.mark.parametrize("copied", ["/", "/openai", "/openai/v1/"])
async def test_an_endpoint_may_be_copied_with_more_of_its_path(service: Service, copied: str) -> None:
    async with connected(service.url + copied) as llm:
        assert (await answer_of(llm, HELLO)).text


@pytest.mark.contract("PI-19")
async def test_a_prompt_that_the_filter_stops_is_content_filtered(
    service: Service, resource: Resource
) -> None:
    resource.failing = 400, FILTERED, {}
    caught = await failure(service)
    assert type(caught) is ContentFiltered
    assert SECRET_WORDS not in str(caught)


async def test_an_answer_that_the_filter_ends_half_way_is_kept_and_says_so(
    service: Service, resource: Resource
) -> None:
    resource.pieces = said("Once", " upon", finish_reason="content_filter")
    async with connected(service.url) as llm:
        answer = await answer_of(llm, HELLO)
    assert (answer.text, answer.finish.reason) == ("Once upon", "content_filter")


async def test_an_answer_that_the_filter_stops_at_once_is_content_filtered(
    service: Service, resource: Resource
) -> None:
    resource.pieces = [delta(role="assistant", content=""), delta("content_filter"), DONE]
    assert type(await failure(service)) is ContentFiltered


@pytest.mark.contract("PI-19")
async def test_a_rate_limit_tells_the_wait_in_milliseconds_if_it_can(
    service: Service, resource: Resource
) -> None:
    body = {"error": {"code": "429", "message": "exceeded token rate limit"}}
    resource.failing = 429, body, {"retry_after": "2", "retry_after_ms": "1732"}
    caught = await failure(service)
    assert type(caught) is ProviderRateLimited
    assert caught.retry_after_s == 1.732


@pytest.mark.parametrize(
    ("options", "category"),
    [
        ({"api_key": "wrong"}, ProviderUnauthorized),
        ({"api_key": "wrong", "api_version": None}, ProviderUnauthorized),
        ({"deployment": "five"}, ProviderBadReply),
        ({"api_version": "1999-01-01"}, ProviderBadReply),
    ],
)
async def test_what_the_resource_does_not_know_is_told_apart(
    service: Service, options: dict[str, object], category: type[ProviderError]
) -> None:
    assert type(await failure(service, **options)) is category


async def test_variables_of_the_sdk_are_not_read(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "of-elsewhere")
    monkeypatch.setenv("OPENAI_API_VERSION", "of-elsewhere")
    monkeypatch.setenv("OPENAI_ORG_ID", "of-elsewhere")
    for version in (VERSION, None):
        async with connected(service.url, api_version=version) as llm:
            await answer_of(llm, HELLO)
    for asked in service.asked:
        assert "of-elsewhere" not in [*asked.headers.values(), *asked.query.values()]


@pytest.mark.parametrize(
    ("given", "taken"), [(KEY, KEY), (["", KEY], KEY), ([KEY, "second"], KEY)], ids=["one", "other", "both"]
)
def test_of_several_keys_the_first_that_is_set_counts(given: object, taken: str) -> None:
    options = AzureOpenAIOptions.model_validate(
        {"endpoint": "https://r.openai.azure.com", "deployment": "four", "api_key": given}
    )
    assert options.api_key.get_secret_value() == taken


@pytest.mark.parametrize("key", [None, "", ["", ""]])
def test_a_key_is_needed(key: object) -> None:
    with pytest.raises(ValidationError, match="api_key"):
        AzureOpenAIOptions.model_validate(
            {"endpoint": "https://r.invalid", "deployment": "d", "api_key": key}
        )


SELECTION = """
[llm]
use = "azure_openai"
[llm.options]
endpoint = "${AZURE_OPENAI_ENDPOINT}"
deployment = "four"
api_key = ["${AZURE_OPENAI_KEY:-}", "${AZURE_OPENAI_API_KEY:-}"]
[llm.named."gpt-3.5-turbo"]
use = "azure_openai"
[llm.named."gpt-3.5-turbo".options]
endpoint = "${AZURE_OPENAI_ENDPOINT}"
deployment = "three"
api_key = "${AZURE_OPENAI_API_KEY}"
[[transport]]
use = "relay_chat"
"""


class TestRefusedConnection(FailureSuite):
    """Nobody listens."""

    expected = ProviderUnavailable
    secrets = (KEY, SECRET_WORDS)

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        async with serving(Resource()) as gone:
            pass
        async with connected(gone.url) as llm:
            yield lambda: answer_of(llm, HELLO)


@pytest.mark.timeout(60)
def test_the_variables_of_the_environment_choose_key_endpoint_and_deployments(tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text(SELECTION)
    (tmp_path / ".env").write_text(f"AZURE_OPENAI_ENDPOINT=https://r.invalid\nAZURE_OPENAI_API_KEY={KEY}\n")
    command = [sys.executable, "-m", "jackfield", "check", "trial.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert KEY not in done.stdout
    assert "gpt-3.5-turbo" in done.stdout
