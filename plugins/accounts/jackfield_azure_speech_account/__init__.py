"""Azure Speech as the plugins for recognisers and voices share it: whose resource, and where it is."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Annotated, Final, Self

from pydantic import Field, field_validator, model_validator

from jackfield import Options, Site
from jackfield.errors import PluginCannotStart, Problem
from jackfield.services import Key, OrBlank, is_on_this_machine

__all__ = ["AccountOptions", "load_sdk"]

_REGION: Final = re.compile(r"[a-z0-9]+")
_LIBRARIES: Final = "On Debian and Ubuntu: apt-get install libssl3 libuuid1 libstdc++6 ca-certificates"
_HOST: Final = re.compile(r"wss?://[^/?#@\s]+")


class AccountOptions(Options):
    """Whose account, and which place."""

    key: Annotated[Key | None, OrBlank] = Field(
        None,
        description='Key of the Speech resource: "${AZURE_SPEECH_KEY}". A container on one\'s own machine '
        "needs none.",
    )
    region: Annotated[str | None, OrBlank] = Field(
        None, description='Region of the resource, such as `westeurope`: "${AZURE_SPEECH_REGION}".'
    )
    host: Annotated[str | None, OrBlank] = Field(
        None,
        description="Instead of `region`: `wss://` and the host of a sovereign cloud, "
        "or `ws://` and the address of a container.",
    )

    @property
    def is_on_this_machine(self) -> bool:
        """Whether nothing leaves this machine."""
        return self.host is not None and is_on_this_machine(self.host)

    @field_validator("region")
    @classmethod
    def _short_name(cls, region: str | None) -> str | None:
        if region is not None and not _REGION.fullmatch(region):
            raise ValueError("give the region's short name, such as westeurope")
        return region

    @field_validator("host")
    @classmethod
    def _whole_host(cls, host: str | None) -> str | None:
        if host is not None and not _HOST.fullmatch(host):
            raise ValueError("give wss:// or ws:// and a host, without a path: ws://127.0.0.1:5000")
        return host

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.region) == bool(self.host):
            raise ValueError("give either `region` or `host`, and not both")
        if self.region and self.key is None:
            raise ValueError("`region` needs `key`")
        return self


def load_sdk(site: Site) -> None:
    """Import the SDK.

    :raises ImportError: when it is not installed.
    :raises PluginCannotStart: when it is, and what it is linked against is not.
    """
    try:
        import_module("azure.cognitiveservices.speech")
    except OSError as error:
        problem = Problem(site.section, f"The Azure Speech SDK cannot be loaded: {error}.", _LIBRARIES)
        raise PluginCannotStart(problem) from error
