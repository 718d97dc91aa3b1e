"""From a configuration to everything it names, built and checked, nothing of it opened yet."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from jackfield.chaining import Chaining, late_deadlines
from jackfield.config.sections import (
    ChainSection,
    Config,
    ProviderSection,
    SessionSection,
    TransportSection,
)
from jackfield.contracts.auth import Auth
from jackfield.contracts.extension import Observer, Scanner, TurnWrapper
from jackfield.contracts.llm import LLM
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.session import SessionStore
from jackfield.contracts.stt import STT
from jackfield.contracts.tools import Tool, ToolSource
from jackfield.contracts.transport import Transport
from jackfield.contracts.tts import TTS
from jackfield.contracts.vad import VAD
from jackfield.errors import ConfigError, PluginError, Problem
from jackfield.loader import Loader, Plugin
from jackfield.plugin import ROLES, Capabilities, Kind, Options, Role, Site
from jackfield.resilience.chains import Chains

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Built(Generic[T_co]):
    """One object of the panel: where the file names it, what it is called, what it can do."""

    section: str
    plugin: str
    capabilities: Capabilities
    object: T_co
    members: tuple[Built[T_co], ...] = ()
    """Those that a chain consists of, in their order; `object` then stands for all of them."""


@dataclass(frozen=True, slots=True)
class Providers(Generic[T_co]):
    """The default provider of a kind, and the named ones by every name and alias."""

    default: Built[T_co] | None = None
    named: Mapping[str, Built[T_co]] = field(default_factory=dict)

    def get(self, name: str | None) -> Built[T_co] | None:
        """Give a named provider, the default one without a name, None when there is none."""
        return self.default if name is None else self.named.get(name)

    def __iter__(self) -> Iterator[Built[T_co]]:
        """Every provider once."""
        seen = [self.default] if self.default else []
        seen += self.named.values()
        return iter({id(built): built for built in seen}.values())


@dataclass(frozen=True, slots=True)
class Door:
    """A transport with its place: `mount` is empty at the root, `auth` names its section."""

    transport: Built[Transport]
    mount: str
    auth: str | None


@dataclass(frozen=True, slots=True)
class Assembly:
    """Everything a configuration names."""

    config: Config
    llm: Providers[LLM]
    stt: Providers[STT]
    tts: Providers[TTS]
    realtime: Providers[Realtime]
    vad: Built[VAD] | None
    stores: Mapping[Role, Built[SessionStore]]
    doors: tuple[Door, ...]
    auths: Mapping[str, Built[Auth]]
    tools: tuple[Built[Tool | ToolSource], ...] = ()
    scanners: tuple[Built[Scanner], ...] = ()
    turn_wrappers: tuple[Built[TurnWrapper], ...] = ()
    observers: tuple[Built[Observer], ...] = ()
    chains: Chains = field(default_factory=Chains)
    """What is known of the providers that stand for each other."""

    def __iter__(self) -> Iterator[Built[object]]:
        """Every built object once, in the order of their stages."""
        return (built for stage in self.stages() for built in stage)

    def stages(self) -> Iterator[list[Built[object]]]:
        """Every built object once, in the order in which they are opened, those of one stage side by side.

        Stores come first, then all providers, then one after the other whatever may want either, doors last.
        """
        whole: list[Built[Any]] = [*self.llm, *self.stt, *self.tts, *self.realtime]
        providers = [part for built in whole for part in built.members or (built,)]
        providers += [self.vad] if self.vad else []
        rest: list[Built[Any]] = [*self.auths.values(), *self.extensions()]
        rest += [door.transport for door in self.doors]
        seen: set[int] = set()
        for stage in ([*self.stores.values()], providers, *([built] for built in rest)):
            fresh = {id(built.object): built for built in stage if id(built.object) not in seen}
            seen |= fresh.keys()
            yield list(fresh.values())

    def extensions(self) -> list[Built[Any]]:
        """Everything that a hook of an extension built, once."""
        parts: list[Built[Any]] = [*self.tools, *self.scanners, *self.turn_wrappers, *self.observers]
        return list({id(built.object): built for built in parts}.values())

    def clashing_tools(self) -> list[Problem]:
        """Say which tools share a name; of a source that is not open yet no tools are known."""
        problems: list[Problem] = []
        owners: dict[str, str] = {}
        for built in self.tools:
            for tool in offered(built.object):
                name = tool.spec.name
                if name in owners:
                    message = f'The tool "{name}" is offered by {owners[name]} too.'
                    problems.append(Problem(built.section, message, "Configure one of them."))
                owners.setdefault(name, built.section)
        return problems


def offered(part: Tool | ToolSource) -> Sequence[Tool]:
    """Give the tools that a part of the panel offers now."""
    return part.tools if isinstance(part, ToolSource) else (part,)


def assemble(config: Config) -> Assembly:
    """Build everything that a configuration names.

    :raises ConfigError: with every problem of every section.
    """
    assembly, problems = assemble_in_part(config)
    if problems:
        raise ConfigError(problems)
    return assembly


def assemble_in_part(config: Config, known: Sequence[Problem] = ()) -> tuple[Assembly, list[Problem]]:
    """Build what can be built of a configuration, and say what is wrong with the rest.

    `known` is what is wrong with its file already: what is missing because of it is not told.
    """
    return _Assembler(config, known).assemble()


class _Assembler:
    """Collects problems while it builds, so that all of them are told at once."""

    def __init__(self, config: Config, known: Sequence[Problem]) -> None:
        self._config = config
        self._known = known
        self._loader = Loader()
        self._problems: list[Problem] = []
        self._extensions: list[tuple[str, Plugin, Options, Capabilities]] = []
        timeouts = config.timeouts
        self._chains = Chains(timeouts.failover_seconds, timeouts.cooldown_seconds)

    def assemble(self) -> tuple[Assembly, list[Problem]]:
        config = self._config
        self._load_extensions()  # first: they may wrap the factories of all others
        assembly = Assembly(
            config=config,
            llm=self._providers("llm", config.llm),
            stt=self._providers("stt", config.stt),
            tts=self._providers("tts", config.tts),
            realtime=self._providers("realtime", config.realtime),
            vad=self._build("vad", config.vad, "vad") if config.vad else None,
            stores=self._stores(config.session),
            doors=self._doors(),
            auths=self._auths(),
            chains=self._chains,
            **self._extension_objects(),
        )
        self._problems += late_deadlines(config)
        self._check_names(assembly)
        self._check_needs(assembly)
        return assembly, list(dict.fromkeys(self._problems))

    def _unsettled(self, section: str) -> bool:
        """Whether something is wrong with a section, so that nobody can say what it would have held."""
        problems = (*self._known, *self._problems)
        return any(f"{problem.section}.".startswith(f"{section}.") for problem in problems)

    def _prepare(
        self, kind: Kind, wanted: ProviderSection, section: str
    ) -> tuple[Plugin, Options, Capabilities] | None:
        try:
            plugin = self._loader.load(kind, wanted.use, section)
            options = self._loader.validate(plugin, wanted.options, section)
            return plugin, options, self._loader.capabilities(plugin, options, section)
        except PluginError as error:
            self._problems += error.problems
            return None

    def _build(self, kind: Kind, wanted: ProviderSection, section: str, mount: str = "") -> Built[Any] | None:
        prepared = self._prepare(kind, wanted, section)
        if prepared is None:
            return None
        plugin, options, capabilities = prepared
        try:
            built = self._loader.build(plugin, options, self._site(section, plugin, mount))
        except PluginError as error:
            self._problems += error.problems
            return None
        return Built(section, plugin.info.name, capabilities, built)

    def _site(self, section: str, plugin: Plugin, mount: str = "") -> Site:
        logger = logging.getLogger(f"jackfield.{plugin.info.kind}.{plugin.info.name}")
        others = {extension.info.name: options for _, extension, options, _ in self._extensions}
        production = self._config.server.environment == "production"
        return Site(section, plugin.info.name, logger, mount, others, production)

    def _providers(self, kind: Kind, chain: ChainSection | None) -> Providers[Any]:
        if chain is None:
            return Providers()
        chaining = Chaining(kind, self._build, self._chains, self._problems)
        return Providers(*chaining.providers(chain))

    def _stores(self, session: SessionSection) -> dict[Role, Built[SessionStore]]:
        common = self._build("session", session, "session")
        stores: dict[Role, Built[SessionStore] | None] = {}
        stores.update(dict.fromkeys(common.capabilities.roles if common else (), common))
        for role in ROLES:
            own: ProviderSection | None = getattr(session, role)
            if own is None:
                continue
            section = f"session.{role}"
            built = self._build("session", own, section)
            if built and role not in built.capabilities.roles:
                message = f'"{own.use}" cannot serve as {role}.'
                fix = f"It serves: {', '.join(built.capabilities.roles)}."
                self._problems.append(Problem(section, message, fix))
            stores[role] = built
        return {role: built for role, built in stores.items() if built}

    def _doors(self) -> tuple[Door, ...]:
        if not self._config.transport and not self._unsettled("transport"):
            message = "No [[transport]] is configured, so nobody could come in."
            self._problems.append(Problem("transport", message, 'Add [[transport]] with use = "relay_chat".'))
        doors = (self._door(number, wanted) for number, wanted in enumerate(self._config.transport, 1))
        return tuple(door for door in doors if door)

    def _door(self, number: int, wanted: TransportSection) -> Door | None:
        section = f"transport.{number}"
        known = wanted.auth is None or wanted.auth in self._config.auth
        if not known and not self._unsettled(f"auth.{wanted.auth}"):
            message = f"There is no section [auth.{wanted.auth}]."
            self._problems.append(Problem(f"{section}.auth", message, f"Add [auth.{wanted.auth}]."))
        built = self._build("transport", wanted, section, wanted.mount)
        return Door(built, wanted.mount, wanted.auth) if built else None

    def _auths(self) -> dict[str, Built[Auth]]:
        sections = self._config.auth.items()
        auths = {name: self._build("auth", wanted, f"auth.{name}") for name, wanted in sections}
        return {name: built for name, built in auths.items() if built}

    def _load_extensions(self) -> None:
        for number, wanted in enumerate(self._config.extension, 1):
            section = f"extension.{number}"
            prepared = self._prepare("extension", wanted, section)
            if prepared:
                self._extensions.append((section, *prepared))

    def _extension_objects(self) -> dict[str, tuple[Built[Any], ...]]:
        places = {
            "make_tools": "tools",
            "make_scanner": "scanners",
            "make_turn_wrapper": "turn_wrappers",
            "make_observer": "observers",
        }
        found: dict[str, list[Built[Any]]] = {place: [] for place in places.values()}
        for section, plugin, options, capabilities in self._extensions:
            try:
                objects = self._loader.build_extension(plugin, options, self._site(section, plugin))
            except PluginError as error:
                self._problems += error.problems
                continue
            for hook, built in objects.items():
                found[places[hook]] += [
                    Built(section, plugin.info.name, capabilities, item) for item in built
                ]
        return {name: tuple(objects) for name, objects in found.items()}

    def _check_names(self, assembly: Assembly) -> None:
        """A scenario must name a model that exists, and no two tools may share a name."""
        llm = self._config.llm
        sections = llm.named.items() if llm else ()
        models = {key for name, section in sections for key in (name, *section.aliases)}
        for name, scenario in self._config.scenarios.items():
            if scenario.llm is None or llm is None or self._unsettled("llm.named"):
                continue
            if scenario.llm not in models:
                message = f'There is no model named "{scenario.llm}".'
                fix = f'Add [llm.named."{scenario.llm}"].'
                self._problems.append(Problem(f"scenarios.{name}.llm", message, fix))
        self._problems += assembly.clashing_tools()

    def _check_pipeline(self) -> None:
        """Calls that are a speech-to-speech model's need one."""
        config = self._config
        if config.call.pipeline == "realtime" and config.realtime is None and not self._unsettled("realtime"):
            message = "Calls are to go through a speech-to-speech model, and none is configured."
            self._problems.append(Problem("call.pipeline", message, "Add [realtime] with `use`."))
        named = config.realtime.named.items() if config.realtime else ()
        places = {"realtime": config.realtime, **{f"realtime.named.{name}": each for name, each in named}}
        for place, chain in places.items():
            if chain is None or not chain.ends_in_cascade("realtime"):
                continue
            for kind in ("stt", "tts"):
                if getattr(config, kind) is None and not self._unsettled(kind):
                    message = f"The chain ends in a cascade, and there is no [{kind}]."
                    fix = f"Add [{kind}] with `use`."
                    self._problems.append(Problem(f"{place}.fallback.{len(chain.fallback)}", message, fix))

    def _check_needs(self, assembly: Assembly) -> None:
        """A door needs a model; doors, authentication and extensions need the roles that they declare."""
        if self._config.llm is None and not self._unsettled("llm"):
            self._problems.append(Problem("llm", "No language model is configured.", "Add [llm] with `use`."))
        self._check_pipeline()
        if self._unsettled("session"):
            return  # which roles there will be is not known yet
        users: list[Built[Any]] = [door.transport for door in assembly.doors]
        users += assembly.auths.values()
        needs = [(user.section, user.plugin, user.capabilities) for user in users]
        needs += [(section, plugin.info.name, can) for section, plugin, _, can in self._extensions]
        for section, name, capabilities in needs:
            missing = [role for role in capabilities.roles if role not in assembly.stores]
            if missing:
                message = f'"{name}" needs a session store with the role {" and ".join(missing)}.'
                fix = f'Add [session.{missing[0]}] with a plugin that has it, such as use = "memory".'
                self._problems.append(Problem(section, message, fix))
