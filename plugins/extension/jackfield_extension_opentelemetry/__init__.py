"""OpenTelemetry: sends a trace of every turn and call to a collector, over OTLP and HTTP.

The SDK works in a process of its own, which is given events in batches: the server itself neither imports it
nor waits for it. The standard's environment variables set it (`OTEL_EXPORTER_OTLP_ENDPOINT`,
`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, ...). Spans hold no text of users, models or tools.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Final

from pydantic import Field, SecretStr, field_validator

from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
from jackfield.errors import PluginWrongOptions, Problem
from jackfield.services.options import is_on_this_machine
from jackfield_extension_opentelemetry.observer import TraceObserver

__all__ = ["OpentelemetryOptions", "TraceObserver", "make_observer", "plugin_info"]

_SDK: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_DEFAULT_ENDPOINT: Final = "http://localhost:4318"
_EXPORTERS: Final = {
    "OTEL_TRACES_EXPORTER": ("otlp", "none"),
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": ("http/protobuf",),
    "OTEL_EXPORTER_OTLP_PROTOCOL": ("http/protobuf",),
}
"""What these variables may say: there is one exporter."""


class OpentelemetryOptions(Options):
    """How often spans are handed on, and what the environment does not say."""

    environment: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="Variables of the OpenTelemetry SDK, `OTEL_...`, that hold instead of those of the "
        "server's environment. What stands in the file `.env` comes here by its name, as `${NAME}`.",
    )
    interval_s: float = Field(
        1.0, gt=0, le=60, description="Seconds between two times that finished turns are handed to the SDK."
    )
    flush_s: float = Field(
        3.0,
        gt=0,
        le=10,
        description="Seconds that the server's stop waits at most for the collector to take what is left.",
    )

    @field_validator("environment")
    @classmethod
    def _are_variables_of_the_sdk(cls, environment: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name in environment:
            if not name.startswith("OTEL_"):
                raise ValueError(f"{name} is no variable of OpenTelemetry: their names begin with OTEL_")
        return environment


def _known(options: OpentelemetryOptions) -> dict[str, str]:
    """Every variable that the SDK will see."""
    return {**os.environ, **_variables(options)}


def _variables(options: OpentelemetryOptions) -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in options.environment.items()}


def _capabilities(options: OpentelemetryOptions) -> Capabilities:
    endpoint = next(filter(None, map(_known(options).get, _ENDPOINTS)), _DEFAULT_ENDPOINT)
    return Capabilities(network=not is_on_this_machine(endpoint))


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name="opentelemetry",
        summary="Traces of turns and calls, sent to an OpenTelemetry collector.",
        options=OpentelemetryOptions,
        extra="jackfield[opentelemetry]",
        capabilities=_capabilities,
    )


@hookimpl
def make_observer(options: OpentelemetryOptions, site: Site) -> TraceObserver:
    for module in _SDK:  # looked for, and not imported: that is for the process that uses it
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"No module named {module!r}", name=module)
    _check_exporter(_known(options), site)
    return TraceObserver(
        _variables(options), interval_s=options.interval_s, flush_s=options.flush_s, site=site
    )


def _check_exporter(known: Mapping[str, str], site: Site) -> None:
    for name, values in _EXPORTERS.items():
        value = known.get(name)
        if value and value not in values:
            wanted = " or ".join(f'"{each}"' for each in values)
            message = f'{name} is "{value}", which this extension cannot do.'
            fix = f"Set it to {wanted}, here or in the server's environment, or leave it out."
            raise PluginWrongOptions(Problem(f"{site.section}.options.environment", message, fix))
