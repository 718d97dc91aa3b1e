"""The openai SDK: its clients as they are wanted here, and its errors by the categories of the core."""

from __future__ import annotations

import ssl
import sys
from importlib.util import find_spec
from typing import Final

import anyio
import httpx2
import openai

from jackfield.errors import ProviderBadReply, ProviderError, ProviderTimedOut, ProviderUnavailable
from jackfield.services import Key, ServiceOptions, host_of, is_on_this_machine, refusal
from jackfield_openai_account import AccountOptions

_NO_KEY: Final = "none"
"""Sent to servers that need no key: the SDK insists on one."""
_MAX_CONNECTIONS: Final = 1000
_ELAPSED: Final = ("ReadTimeout", "WriteTimeout")
_HANG_UPS: Final = {
    "ReadError",
    "RemoteProtocolError",
    "WriteError",
    # Of aiohttp, as what the SDK makes of them is the same for every failure of a connection.
    "ClientConnectionResetError",
    "ClientOSError",
    "ServerDisconnectedError",
}


def client_of(
    options: ServiceOptions,
    base_url: str,
    api_key: Key | None,
    organization: str | None = None,
    project: str | None = None,
) -> openai.AsyncOpenAI:
    """A client that neither tries again nor follows redirects. Reads certificates from disk."""
    client = openai.AsyncOpenAI(
        api_key=api_key.get_secret_value() if api_key else _NO_KEY,
        base_url=base_url,
        max_retries=0,
        default_headers=extra_headers(options),
        http_client=http_client(options, base_url),
    )
    # Given to the constructor, None would mean the SDK's own environment variables.
    client.organization, client.project = organization, project
    return client


def openai_client(options: AccountOptions) -> openai.AsyncOpenAI:
    """A client of OpenAI or of a compatible server."""
    return client_of(options, options.base_url, options.api_key, options.organization, options.project)


def extra_headers(options: ServiceOptions) -> dict[str, str]:
    """The further headers of every request."""
    return {name: value.get_secret_value() for name, value in options.extra_headers.items()}


def http_client(options: ServiceOptions, url: str) -> httpx2.AsyncClient:
    """The SDK's HTTP client for a service at `url`: on aiohttp, which costs half of its other one."""
    kind = openai.DefaultAioHttpClient if find_spec("aiohttp") else openai.DefaultAsyncHttpxClient
    proxy = options.proxy.get_secret_value() if options.proxy else None
    host = host_of(url)
    pattern = f"all://[{host}]" if ":" in host else f"all://{host}"
    return kind(
        timeout=openai.Timeout(options.silence_s, connect=options.connect_s),
        limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS, keepalive_expiry=options.keep_connections_s),
        follow_redirects=False,
        proxy=proxy,
        mounts={pattern: None} if proxy is None and is_on_this_machine(url) else None,
    )


def sdk_errors() -> tuple[type[Exception], ...]:
    """What the SDK, and reading a body below it, may raise; complete once a client was made."""
    known = (
        openai.OpenAIError,
        httpx2.HTTPError,
        httpx2.StreamError,
        ssl.SSLError,
        anyio.EndOfStream,
        OSError,
    )
    aiohttp = sys.modules.get("aiohttp")  # its errors about broken HTTP pass the SDK by
    return known if aiohttp is None else (*known, aiohttp.ClientError)


def is_hang_up(error: openai.APIConnectionError) -> bool:
    """Whether the server closed an existing connection before it answered."""
    causes = (error.__cause__, error.__cause__ and error.__cause__.__cause__)
    return not _HANG_UPS.isdisjoint(type(cause).__name__ for cause in causes)


def provider_error(error: Exception) -> ProviderError:
    """The category of one of the errors of `sdk_errors`.

    Raise it `from None`: the words of the SDK's own error may quote what was sent.
    """
    if isinstance(error, openai.APIStatusError):
        return refusal(error.status_code, error.body, error.response.headers)
    if isinstance(error, openai.APIConnectionError) and isinstance(error.__cause__, sdk_errors()):
        return provider_error(error.__cause__)
    if isinstance(error, openai.OpenAIError) and not isinstance(error, openai.APIConnectionError):
        return ProviderBadReply(f"The service's answer cannot be understood ({type(error).__name__}).")
    if type(error).__name__ in _ELAPSED:
        return ProviderTimedOut("The service sent nothing for longer than silence_s.")
    return ProviderUnavailable(f"The connection to the service failed ({type(error).__name__}).")
