"""Which models of the catalogue a configuration needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from jackfield.cli.configuration import loaded
from jackfield.errors import ConfigError, PluginError, Problem
from jackfield.loader import Loader
from jackfield.models import catalogue
from jackfield.plugin import Kind

if TYPE_CHECKING:
    from jackfield.config import Config
    from jackfield.config.sections import ChainedSection, ProviderSection


def needed_models(file: Path) -> list[str]:
    """Give every model that an option of a configured provider names, in the order of the file.

    :raises ConfigError: when the file cannot be used.
    """
    config = loaded(file, None)
    loader, problems, names = Loader(), list[Problem](), dict[str, None]()
    for kind, section, wanted in providers(config):
        try:
            plugin = loader.load(kind, wanted.use, section)
            options = loader.validate(plugin, wanted.options, section)
        except PluginError as error:
            problems += error.problems
            continue
        values = (str(getattr(options, name)) for name in type(options).model_fields)
        names |= dict.fromkeys(value for value in values if value in catalogue())
    if problems:
        raise ConfigError(problems)
    return list(names)


def providers(config: Config) -> Iterator[tuple[Kind, str, ProviderSection]]:
    """Give kind, location and section of everything that may work with a model's file."""
    chains: tuple[Kind, ...] = ("llm", "stt", "tts", "realtime")
    for kind in chains:
        chain = getattr(config, kind)
        if chain is None:
            continue
        yield from _with_fallbacks(kind, kind, chain)
        for name, named in chain.named.items():
            yield from _with_fallbacks(kind, f"{kind}.named.{name}", named)
    if config.vad is not None:
        yield "vad", "vad", config.vad


def _with_fallbacks(
    kind: Kind, section: str, wanted: ChainedSection
) -> Iterator[tuple[Kind, str, ProviderSection]]:
    yield kind, section, wanted
    for number, fallback in enumerate(wanted.stand_ins(kind), 1):
        yield kind, f"{section}.fallback.{number}", fallback
