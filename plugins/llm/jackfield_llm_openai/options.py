"""Options of both plugins: how a model is asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jackfield.services import OrBlank, ServiceOptions
from jackfield_openai_account import OPENAI_HOST, AccountOptions, ResourceOptions

MaxTokensField = Literal["max_completion_tokens", "max_tokens"]


class ChatOptions(ServiceOptions):
    """What both services share: the defaults of a request."""

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


class OpenAIOptions(ChatOptions, AccountOptions):
    """Options of the plugin `openai`."""

    model: str = Field(min_length=1, description="Name of the model, as the service knows it.")


class AzureOpenAIOptions(ChatOptions, ResourceOptions):
    """Options of the plugin `azure_openai`."""

    api_version: Annotated[str | None, OrBlank] = Field(
        None,
        description='Version of the API, a date such as 2024-10-21: "${AZURE_OPENAI_API_VERSION:-}". Without '
        "it the endpoint without versions, /openai/v1, is used.",
    )
