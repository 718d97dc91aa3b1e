"""The SDK's clients, as this plugin wants them: no retries, no redirects, a proxy only where one is meant."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final

import httpx2
import openai

from jackfield_llm_openai.options import (
    AzureOpenAIOptions,
    ChatOptions,
    OpenAIOptions,
    host_of,
    is_on_this_machine,
)

NO_KEY: Final = "none"
"""Sent to servers that need no key: the SDK insists on one."""
_MAX_CONNECTIONS: Final = 1000


def openai_client(options: OpenAIOptions) -> openai.AsyncOpenAI:
    """A client of OpenAI or of a compatible server. Reads certificates from disk."""
    client = openai.AsyncOpenAI(
        api_key=options.api_key.get_secret_value() if options.api_key else NO_KEY,
        base_url=options.base_url,
        max_retries=0,
        default_headers=extra_headers(options),
        http_client=http_client(options, options.base_url),
    )
    # Given to the constructor, None would mean the SDK's own environment variables.
    client.organization, client.project = options.organization, options.project
    return client


def azure_client(options: AzureOpenAIOptions) -> openai.AsyncOpenAI:
    """A client of a resource of Azure OpenAI. Reads certificates from disk."""
    key, headers = options.api_key.get_secret_value(), extra_headers(options)
    http = http_client(options, options.endpoint)
    client = (
        openai.AsyncAzureOpenAI(
            azure_endpoint=options.endpoint,
            api_version=options.api_version,
            api_key=key,
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )
        if options.api_version
        else openai.AsyncOpenAI(
            base_url=f"{options.endpoint}/openai/v1",
            api_key=key,
            max_retries=0,
            default_headers=headers,
            http_client=http,
        )
    )
    client.organization = client.project = None
    return client


def extra_headers(options: ChatOptions) -> dict[str, str]:
    """The further headers of every request."""
    return {name: value.get_secret_value() for name, value in options.extra_headers.items()}


def http_client(options: ChatOptions, url: str) -> httpx2.AsyncClient:
    """The SDK's HTTP client for a service at `url`: on aiohttp, which costs half of its other one."""
    kind = openai.DefaultAioHttpClient if find_spec("aiohttp") else openai.DefaultAsyncHttpxClient
    proxy = options.proxy.get_secret_value() if options.proxy else None
    is_direct = proxy is None and is_on_this_machine(url)
    return kind(
        timeout=openai.Timeout(options.silence_s, connect=options.connect_s),
        limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=options.keep_connections_s),
        follow_redirects=False,
        proxy=proxy,
        mounts={f"all://{_as_pattern(host_of(url))}": None} if is_direct else None,
    )


def _as_pattern(host: str) -> str:
    return f"[{host}]" if ":" in host else host
