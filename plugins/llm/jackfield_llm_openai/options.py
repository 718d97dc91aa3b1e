"""Options of both plugins: where the service is, and how it is asked."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from jackfield.plugin import Options

OPENAI_HOST: Final = "api.openai.com"
_SCHEMES: Final = ("http", "https")

MaxTokensField = Literal["max_completion_tokens", "max_tokens"]


def host_of(url: str) -> str:
    """The host that a URL names, in lower case; empty if it names none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def is_on_this_machine(url: str) -> bool:
    """Whether the URL names the loopback interface."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _resource_url(url: str) -> str:
    # What the portal shows beside it is often copied along.
    return _service_url(url).removesuffix("/v1").removesuffix("/openai")


def _service_url(url: str) -> str:
    if urlsplit(url).scheme not in _SCHEMES or not host_of(url):
        raise ValueError("give a whole URL, such as https://api.openai.com/v1 or http://127.0.0.1:8080/v1")
    return url.rstrip("/")


def _header_text(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("a key has neither spaces nor line breaks nor letters beyond ASCII")
    return secret


def _first_set(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return next((item for item in value if item), None)
    return _none_if_blank(value)


def _none_if_blank(value: object) -> object:
    return None if value == "" else value


ServiceURL = Annotated[str, AfterValidator(_service_url)]
Key = Annotated[SecretStr, AfterValidator(_header_text)]
OrBlank = BeforeValidator(_none_if_blank)
"""Lets `${NAME:-}` stand for a value that may be missing."""
_STRING_OR_LIST: Final = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)


class ChatOptions(Options):
    """What both services share: the way to them, and the defaults of a request."""

    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        description="0 always takes the likeliest token; higher is more varied. None leaves it to the model; "
        "some take no other value than their own.",
    )
    max_tokens: int | None = Field(
        None, ge=1, description="Most tokens of an answer, when the request does not say. None sets no bound."
    )
    max_tokens_field: Annotated[MaxTokensField | None, OrBlank] = Field(
        None,
        description="Name under which the bound of the answer is sent: models that reason know only "
        "`max_completion_tokens`, many servers only the older `max_tokens`. None takes the newer one for "
        f"{OPENAI_HOST} and for Azure OpenAI without `api_version`, else the older.",
    )
    context_tokens: int | None = Field(
        None,
        ge=256,
        description="Tokens of prompt and answer together that the model takes, so that the history is cut "
        "in time. The services do not tell.",
    )
    user_field: Literal["user", "safety_identifier"] | None = Field(
        None,
        description="Field of the request that gets the pseudonym of the user, for services that trace "
        "misuse. None sends none.",
    )
    send_usage: bool = Field(
        True, description="Whether token counts are asked for (`stream_options`), which old servers refuse."
    )
    extra_body: dict[str, object] = Field(
        default_factory=dict,
        description="Further fields of the request, as the service's documentation has them, such as "
        "`top_p` or `reasoning_effort`. They win over all others.",
    )
    extra_headers: dict[str, Key] = Field(
        default_factory=dict, description="Further headers of the request, for gateways that ask for them."
    )
    connect_s: float = Field(5.0, gt=0, description="Seconds within which a connection must stand.")
    silence_s: float = Field(
        60.0,
        gt=0,
        description="Seconds that the service may send nothing. `[timeouts]` bounds the whole wait, and "
        "usually ends it first.",
    )
    keep_connections_s: float = Field(
        60.0, ge=0, description="Seconds that an idle connection is kept for the next turn."
    )
    proxy: Annotated[SecretStr | None, OrBlank] = Field(
        None,
        description="URL of an HTTP proxy, which may hold a password. Without it HTTPS_PROXY, HTTP_PROXY, "
        "ALL_PROXY and NO_PROXY count, but never for a service on this machine.",
    )


class OpenAIOptions(ChatOptions):
    """Options of the plugin `openai`."""

    model: str = Field(min_length=1, description="Name of the model, as the service knows it.")
    base_url: ServiceURL = Field(
        f"https://{OPENAI_HOST}/v1",
        description="Where the API is; any compatible server. The variable OPENAI_BASE_URL is not read: "
        'write "${OPENAI_BASE_URL}".',
    )
    api_key: Annotated[Key | None, OrBlank] = Field(
        None,
        description='The key: "${OPENAI_API_KEY}". Servers on one\'s own machine often need none.',
    )
    organization: Annotated[str | None, OrBlank] = Field(
        None, description="Organization that is billed, when the key belongs to several."
    )
    project: Annotated[str | None, OrBlank] = Field(
        None, description="Project that is billed, when the key belongs to several."
    )

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own service."""
        return host_of(self.base_url) == OPENAI_HOST

    @model_validator(mode="after")
    def _openai_wants_a_key(self) -> OpenAIOptions:
        if self.is_openai and self.api_key is None:
            raise ValueError(f'{OPENAI_HOST} needs api_key; write api_key = "${{OPENAI_API_KEY}}"')
        return self


class AzureOpenAIOptions(ChatOptions):
    """Options of the plugin `azure_openai`."""

    endpoint: Annotated[str, AfterValidator(_resource_url)] = Field(
        description='Address of the resource: "${AZURE_OPENAI_ENDPOINT}", such as '
        "https://my-resource.openai.azure.com."
    )
    deployment: str = Field(
        min_length=1,
        description="Name of the deployment, which stands for a model: the resource's owner chose it.",
    )
    api_key: Annotated[Key, BeforeValidator(_first_set), _STRING_OR_LIST] = Field(
        description="A key of the resource. Of a list the first that is not empty counts: "
        '["${AZURE_OPENAI_KEY:-}", "${AZURE_OPENAI_API_KEY:-}"].'
    )
    api_version: Annotated[str | None, OrBlank] = Field(
        None,
        description='Version of the API, a date such as 2024-10-21: "${AZURE_OPENAI_API_VERSION:-}". Without '
        "it the endpoint without versions, /openai/v1, is used.",
    )
