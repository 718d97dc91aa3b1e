"""Options and environment of the plugin `openai`, against a server on a real socket."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib import import_module

import pytest
from pydantic import ValidationError

import jackfield_llm_openai as plugin
from jackfield.errors import (
    ProviderUnavailable,
)
from jackfield.testing.llm import answer_of
from jackfield_llm_openai import OpenAIOptions
from tests.plugins.http_service import Service, serving
from tests.plugins.llm.openai_chat import (
    HELLO,
    KEY,
    answering,
    connected,
    failing,
    said,
)

pytestmark = pytest.mark.anyio

LOCAL = "http://127.0.0.1:8080/v1"


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(answering(*said("Hello", " there"))) as service:
        yield service


async def test_settings_of_the_request_win_over_options_and_further_fields_over_both(
    service: Service,
) -> None:
    options = {"temperature": 0.5, "max_tokens": 100, "extra_body": {"seed": 7, "temperature": 1.0}}
    async with connected(service.url, **options) as llm:
        await answer_of(llm, HELLO)
        await answer_of(llm, replace(HELLO, temperature=0.0, max_tokens=5, stop=("END",)))
    first, second = (asked.json for asked in service.asked)
    assert (first["max_tokens"], first["temperature"], first["seed"]) == (100, 1.0, 7)
    assert (second["max_tokens"], second["temperature"], second["stop"]) == (5, 1.0, ["END"])


@pytest.mark.parametrize(
    ("host", "chosen", "field"),
    [
        ("api.openai.com", None, "max_completion_tokens"),
        ("models.invalid", None, "max_tokens"),
        ("models.invalid", "max_completion_tokens", "max_completion_tokens"),
    ],
)
async def test_the_bound_of_the_answer_has_the_name_that_the_server_knows(
    service: Service, host: str, chosen: str | None, field: str
) -> None:
    async with connected(f"http://{host}", proxy=service.url, max_tokens_field=chosen) as llm:
        await answer_of(llm, replace(HELLO, max_tokens=5))
    assert service.asked[0].json[field] == 5


async def test_a_pseudonym_is_sent_only_under_the_name_that_is_configured(service: Service) -> None:
    request = replace(HELLO, user="pseudonym-1")
    for field in (None, "safety_identifier"):
        async with connected(service.url, user_field=field) as llm:
            await answer_of(llm, request)
    first, second = (asked.json for asked in service.asked)
    assert "pseudonym-1" not in first.values()
    assert second["safety_identifier"] == "pseudonym-1"


async def test_a_server_that_refuses_stream_options_is_not_sent_any(service: Service) -> None:
    async with connected(service.url, send_usage=False, extra_headers={"X-Gateway": "a-secret"}) as llm:
        await answer_of(llm, HELLO)
    assert "stream_options" not in service.asked[0].json
    assert service.asked[0].headers["x-gateway"] == "a-secret"


async def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with connected(service.url) as llm:
        assert (await answer_of(llm, HELLO)).text == "Hello there"


async def test_a_proxy_of_the_environment_is_used_for_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("HTTP_PROXY", service.url)
    async with connected("http://models.invalid") as llm:
        assert (await answer_of(llm, HELLO)).text == "Hello there"
    assert service.asked[0].headers["host"] == "models.invalid"


async def test_a_proxy_of_the_options_is_used_for_this_machine_too(service: Service) -> None:
    async with connected("http://localhost:9", proxy=service.url) as llm:
        assert (await answer_of(llm, HELLO)).text == "Hello there"


async def test_variables_of_the_sdk_are_not_sent_to_other_servers(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-openai")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-openai")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-openai")
    async with connected(service.url, api_key=None) as llm:
        await answer_of(llm, HELLO)
    assert not [value for value in service.asked[0].headers.values() if "of-openai" in value]


async def test_organization_and_project_are_sent_when_configured(service: Service) -> None:
    async with connected(service.url, organization="org-1", project="proj-1") as llm:
        await answer_of(llm, HELLO)
    headers = service.asked[0].headers
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")


async def test_without_aiohttp_the_other_http_client_of_the_sdk_is_used(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("jackfield_openai_account.sdk"), "find_spec", lambda _name: None)
    async with connected(service.url) as llm:
        assert (await answer_of(llm, HELLO)).text == "Hello there"
        service.handler = failing(500, b"")
        with pytest.raises(ProviderUnavailable):
            await answer_of(llm, HELLO)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "api_key"),
        ({"api_key": "two words"}, "neither spaces"),
        ({"base_url": "localhost:8080/v1"}, "whole URL"),
        ({"base_url": "ftp://host/v1"}, "whole URL"),
        ({"api_key": KEY, "proxy": "localhost:3128"}, "HTTP proxy"),
        ({"api_key": KEY, "proxy": "socks5://localhost:1080"}, "HTTP proxy"),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        OpenAIOptions.model_validate({"model": "m"} | options)


@pytest.mark.parametrize(
    ("url", "network"),
    [
        ("http://127.0.0.1:8080/v1", False),
        ("http://[::1]:8080/v1", False),
        ("http://localhost/v1", False),
        ("http://192.168.0.7/v1", True),
        ("https://api.openai.com/v1", True),
    ],
)
def test_only_a_server_on_this_machine_counts_as_no_network(url: str, network: bool) -> None:
    options = OpenAIOptions.model_validate({"model": "m", "base_url": url, "api_key": KEY})
    assert plugin.plugin_info().capabilities(options).network is network


def test_the_module_is_imported_without_the_sdk() -> None:
    code = "import sys, jackfield_llm_openai as p; p.plugin_info(); print('openai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
