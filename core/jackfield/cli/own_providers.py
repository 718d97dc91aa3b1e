"""Providers of a configuration that a command asks itself, without a server."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio

from jackfield.assembly import Built
from jackfield.chaining import Chaining
from jackfield.config.sections import ChainedSection, ChainSection, ProviderSection
from jackfield.errors import ConfigError, PluginCannotStart, Problem
from jackfield.loader import Loader
from jackfield.plugin import Kind, Site
from jackfield.resilience.chains import Chains
from jackfield.server.opening import Openings
from jackfield.server.preflight import check_decoder

if TYPE_CHECKING:
    from jackfield.config import Config

T = TypeVar("T")

INTERRUPTED: Final = 130
"""Exit code after Ctrl-C, as shells have it."""

_NAMES: Final = {"llm": "language model", "stt": "speech recogniser", "tts": "voice"}


class OwnProviders:
    """Builds single providers, with those that stand in for them, and opens what was built."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._loader = Loader()
        self._chains = Chains(config.timeouts.failover_seconds, config.timeouts.cooldown_seconds)
        self._parts: list[Built[Any]] = []

    def provider(self, kind: Kind, name: str | None = None) -> Built[Any]:
        """Build a named provider; without a name, the default one.

        :raises ConfigError: when the configuration has none, or none of that name, or the installation
            lacks what it needs.
        :raises PluginError: when it cannot be built.
        """
        place, wanted = self._section(kind, name)
        problems = [] if kind == "llm" else list(check_decoder(place))
        built = Chaining(kind, self._build, self._chains, problems).one(place, wanted)
        if built is None or problems:
            raise ConfigError(problems)
        self._parts += built.members or (built,)
        return built

    def detector(self) -> Built[Any] | None:
        """Build the detector of voice activity; None when the configuration has none.

        :raises PluginError: when it cannot be built.
        """
        wanted = self._config.vad
        if wanted is None:
            return None
        built = self._build("vad", wanted, "vad")
        self._parts.append(built)
        return built

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None, None]:
        """Open all that was built, as the server does while it starts, and close it again.

        :raises PluginCannotStart: with everything that did not open.
        """
        async with opened(self._parts), anyio.create_task_group() as tasks:
            tasks.start_soon(self._chains.run)
            yield
            tasks.cancel_scope.cancel()

    def _section(self, kind: Kind, name: str | None) -> tuple[str, ChainedSection]:
        chain: ChainSection | None = getattr(self._config, kind)
        if chain is None:
            message = f"No {_NAMES[kind]} is configured."
            raise ConfigError([Problem(kind, message, f"Add [{kind}] with `use`.")])
        if name is None:
            return kind, chain
        for main_name, section in chain.named.items():
            if name in (main_name, *section.aliases):
                return f"{kind}.named.{main_name}", section
        fix = f"Choose one of: {', '.join(_names(chain))}." if chain.named else f"Add [{kind}.named.{name}]."
        raise ConfigError([Problem(f"{kind}.named", f'No {_NAMES[kind]} is named "{name}".', fix)])

    def _build(self, kind: Kind, wanted: ProviderSection, section: str) -> Built[Any]:
        plugin = self._loader.load(kind, wanted.use, section)
        options = self._loader.validate(plugin, wanted.options, section)
        site = Site(section, wanted.use, logging.getLogger(f"jackfield.{kind}.{wanted.use}"))
        capabilities = self._loader.capabilities(plugin, options, section)
        return Built(section, wanted.use, capabilities, self._loader.build(plugin, options, site))


def _names(chain: ChainSection) -> Iterator[str]:
    for name, section in chain.named.items():
        yield from (name, *section.aliases)


@asynccontextmanager
async def opened(parts: Sequence[Built[Any]]) -> AsyncGenerator[None, None]:
    """Open what was built, side by side, and close it again.

    :raises PluginCannotStart: with everything that did not open.
    """
    problems: list[Problem] = []
    async with anyio.create_task_group() as tasks:
        openings = Openings(tasks)
        try:
            problems = await openings.open(parts)
            if not problems:
                yield
        finally:
            await openings.close()
    if problems:  # raised here: a task group would wrap it
        raise PluginCannotStart(*problems)


def run(work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end; an error comes as it was raised, whichever task groups it passed."""
    try:
        return anyio.run(work)
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None
