"""The configuration file: its sections as models, and reading it with the environment and `.env`."""

from __future__ import annotations

from jackfield.config.reader import examine_file, examine_text, load_config, read_config
from jackfield.config.sections import (
    AssistantSection,
    AudioSection,
    AuthSection,
    ChainSection,
    Config,
    ExampleTurn,
    ExtensionSection,
    LimitsSection,
    NamedSection,
    ProviderSection,
    ScenarioSection,
    ServerSection,
    SessionSection,
    TimeoutsSection,
    TransportSection,
)

__all__ = [
    "AssistantSection",
    "AudioSection",
    "AuthSection",
    "ChainSection",
    "Config",
    "ExampleTurn",
    "ExtensionSection",
    "LimitsSection",
    "NamedSection",
    "ProviderSection",
    "ScenarioSection",
    "ServerSection",
    "SessionSection",
    "TimeoutsSection",
    "TransportSection",
    "examine_file",
    "examine_text",
    "load_config",
    "read_config",
]
