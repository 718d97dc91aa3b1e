"""OpenAI's API as the plugins for language models, recognisers and voices share it: the account, the place.

The place is OpenAI's own, a compatible server, or a resource of Azure OpenAI.

Plugins do not import one another; what several need of one SDK stands in a package of its own, as this does.
"""

from __future__ import annotations

from typing import Annotated, Final, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from jackfield.services import Key, OrBlank, ServiceOptions, ServiceURL, host_of

OPENAI_HOST: Final = "api.openai.com"


class AccountOptions(ServiceOptions):
    """Where the API is, and the key to it."""

    base_url: ServiceURL = Field(
        f"https://{OPENAI_HOST}/v1",
        description="Where the API is; any compatible server. The variable OPENAI_BASE_URL is not read: "
        'write "${OPENAI_BASE_URL}".',
    )
    api_key: Annotated[Key | None, OrBlank] = Field(
        None, description='The key: "${OPENAI_API_KEY}". Servers on one\'s own machine often need none.'
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
    def _openai_wants_a_key(self) -> Self:
        if self.is_openai and self.api_key is None:
            raise ValueError(f'{OPENAI_HOST} needs api_key; write api_key = "${{OPENAI_API_KEY}}"')
        return self


def _first_set(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return next((item for item in value if item), None)
    return value or None


def _resource_url(url: str) -> str:
    # What the portal shows beside it is often copied along.
    return url.removesuffix("/v1").removesuffix("/openai")


_STRING_OR_LIST: Final = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
)


class ResourceOptions(ServiceOptions):
    """Which resource of Azure OpenAI, which of its deployments, and the key to it."""

    endpoint: Annotated[ServiceURL, AfterValidator(_resource_url)] = Field(
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
