"""Holding a built object against the Protocol of its kind: pluggy checks the names of arguments only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from jackfield.contracts.auth import Auth
from jackfield.contracts.extension import Observer, Scanner, TurnWrapper
from jackfield.contracts.llm import LLM
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.session import Records, SessionStore, Shared, Signals, Windows
from jackfield.contracts.stt import STT
from jackfield.contracts.tools import Tool, ToolSource
from jackfield.contracts.transport import Transport
from jackfield.contracts.tts import TTS
from jackfield.contracts.vad import VAD
from jackfield.errors import PluginWrongContract, Problem
from jackfield.plugin import Kind, Role, Site

CONTRACTS: Final[Mapping[Kind, type]] = {
    "llm": LLM,
    "stt": STT,
    "tts": TTS,
    "session": SessionStore,
    "transport": Transport,
    "realtime": Realtime,
    "vad": VAD,
    "auth": Auth,
}
"""What the object of each kind must be. Extensions build several kinds of object."""

ROLE_CONTRACTS: Final[Mapping[Role, type]] = {
    "windows": Windows,
    "records": Records,
    "signals": Signals,
    "shared": Shared,
}

EXTENSION_CONTRACTS: Final[Mapping[str, type]] = {
    "make_tools": Tool,
    "make_scanner": Scanner,
    "make_turn_wrapper": TurnWrapper,
    "make_observer": Observer,
}
"""What each hook of an extension builds; `make_tools` a list of them, or of sources of them."""


def missing_members(built: object, contract: type) -> list[str]:
    """Names that a runtime-checkable Protocol has and the object lacks."""
    protocols = [base for base in contract.__mro__ if getattr(base, "_is_protocol", False)]
    members = {
        name
        for base in protocols
        for name, value in vars(base).items()
        if not name.startswith("_") and (callable(value) or isinstance(value, property))
    }
    # A property is looked for in the class first: it may not work before the object is entered.
    return sorted(name for name in members if not (hasattr(type(built), name) or hasattr(built, name)))


def contract_of_tool(item: object) -> type:
    """What a thing is held to that `make_tools` gave."""
    return Tool if missing_members(item, ToolSource) else ToolSource


def hold_to(contract: type, built: object, site: Site) -> None:
    """Hold what a plugin built against a contract.

    :raises PluginWrongContract: naming the members that are missing.
    """
    missing = missing_members(built, contract)
    if missing:
        what = f'"{site.plugin}" built a {type(built).__name__} without {", ".join(missing)}'
        message = f"{what}, which the contract {contract.__name__} has."
        raise PluginWrongContract(Problem(site.section, message, "Update the plugin."))
