"""Jackfield: any LLM, recogniser, voice and session store behind one chat and voice server.

What a plugin author needs is importable from here; values and Protocols of each kind are in
`jackfield.contracts`. Importing this package imports nothing else, names are resolved when used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jackfield.errors import (
        ConfigError as ConfigError,
        ContentFiltered as ContentFiltered,
        ContextTooLong as ContextTooLong,
        JackfieldError as JackfieldError,
        ProtocolError as ProtocolError,
        ProviderBadReply as ProviderBadReply,
        ProviderError as ProviderError,
        ProviderRateLimited as ProviderRateLimited,
        ProviderRefused as ProviderRefused,
        ProviderTimedOut as ProviderTimedOut,
        ProviderUnauthorized as ProviderUnauthorized,
        ProviderUnavailable as ProviderUnavailable,
        StoreUnavailable as StoreUnavailable,
        ToolFailed as ToolFailed,
    )
    from jackfield.plugin import (
        API as API,
        Capabilities as Capabilities,
        Options as Options,
        PluginInfo as PluginInfo,
        Site as Site,
        hookimpl as hookimpl,
    )

__version__ = "0.1.0"

_HOMES = {
    "jackfield.errors": (
        "ConfigError",
        "ContentFiltered",
        "ContextTooLong",
        "JackfieldError",
        "ProtocolError",
        "ProviderBadReply",
        "ProviderError",
        "ProviderRateLimited",
        "ProviderRefused",
        "ProviderTimedOut",
        "ProviderUnauthorized",
        "ProviderUnavailable",
        "StoreUnavailable",
        "ToolFailed",
    ),
    "jackfield.plugin": ("API", "Capabilities", "Options", "PluginInfo", "Site", "hookimpl"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604  # names, all of them strings


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'jackfield' has no attribute {name!r}")
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return list(__all__)
