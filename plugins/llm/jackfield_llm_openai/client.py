"""The client of Azure OpenAI."""

from __future__ import annotations

import openai

from jackfield_llm_openai.options import AzureOpenAIOptions
from jackfield_openai_account.sdk import client_of, extra_headers, http_client


def azure_client(options: AzureOpenAIOptions) -> openai.AsyncOpenAI:
    """A client of a resource of Azure OpenAI."""
    if options.api_version is None:
        return client_of(options, f"{options.endpoint}/openai/v1", options.api_key)
    client = openai.AsyncAzureOpenAI(
        azure_endpoint=options.endpoint,
        api_version=options.api_version,
        api_key=options.api_key.get_secret_value(),
        max_retries=0,
        default_headers=extra_headers(options),
        http_client=http_client(options, options.endpoint),
    )
    client.organization = client.project = None  # else the SDK's own environment variables
    return client
