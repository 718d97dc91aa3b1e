"""Finding plugins by entry point, checking them and building their objects.

stevedore finds and imports one driver at a time, pluggy checks its hooks and calls its factory. A plugin
that nothing names is never imported. One `Loader` serves one server; there is no global manager.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import pluggy
from pydantic import ValidationError
from stevedore.driver import DriverManager

from jackfield import hookspecs
from jackfield.config.validation import problems_of
from jackfield.conformity import (
    CONTRACTS,
    EXTENSION_CONTRACTS,
    ROLE_CONTRACTS,
    contract_of_tool,
    hold_to,
)
from jackfield.errors import (
    ConfigError,
    JackfieldError,
    PluginCannotLoad,
    PluginCannotStart,
    PluginError,
    PluginNotFound,
    PluginWrongContract,
    PluginWrongOptions,
    Problem,
    UnknownKey,
)
from jackfield.installed import group_of, installed
from jackfield.plugin import API, PROJECT, Capabilities, Kind, Options, PluginInfo, Site
from jackfield.remedies import missing_sdk, one_line, suggestion

if TYPE_CHECKING:
    from stevedore.extension import OnLoadFailureCallbackT

logger = logging.getLogger(__name__)

_SHOW_MORE: Final = 'JACKFIELD_DEBUG=1 and log_level = "DEBUG" show more.'


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin that was imported and describes itself."""

    info: PluginInfo
    module: ModuleType


class _Driver(DriverManager[ModuleType]):
    """Imports one plugin's module, which one of `points` names.

    They are not stevedore's own: its cache on disk can hide a plugin that was just installed, and forgets
    which distribution it came from.
    """

    def __init__(
        self, points: EntryPoints, kind: Kind, name: str, on_failure: OnLoadFailureCallbackT[ModuleType]
    ) -> None:
        self._points = points
        super().__init__(group_of(kind), name, on_load_failure_callback=on_failure)

    def list_entry_points(self) -> list[EntryPoint]:
        return list(self._points)


class Loader:
    """Finds, checks and builds plugins for one server."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._loaded: dict[tuple[Kind, str], Plugin] = {}
        self._points = entry_points()  # each time it reads a file of every distribution

    def load(self, kind: Kind, name: str, section: str) -> Plugin:
        """Import a plugin and check what it says of itself; later calls give the same one.

        :raises PluginNotFound: unknown or installed twice; nothing was imported.
        :raises PluginCannotLoad: its module could not be imported.
        :raises PluginWrongContract: its hooks or its description are not right.
        """
        if (kind, name) not in self._loaded:
            self._find(kind, name, section)
            module = self._import(kind, name, section)
            self._register(module, kind, name, section)
            try:
                info = self._describe(module, kind, name, section)
            except PluginWrongContract:
                self._manager.unregister(module)
                raise
            self._loaded[kind, name] = Plugin(info, module)
        return self._loaded[kind, name]

    def validate(self, plugin: Plugin, options: Mapping[str, Any], section: str) -> Options:
        """Check options against the plugin's model.

        :raises PluginWrongOptions: with every option that does not fit.
        """
        try:
            return plugin.info.options.model_validate(dict(options))
        except ValidationError as error:
            problems = problems_of(error, plugin.info.options, options, f"{section}.options")
            raise PluginWrongOptions(*(self._name_owner(p, plugin) for p in problems)) from None

    def capabilities(self, plugin: Plugin, options: Options, section: str) -> Capabilities:
        """What the plugin says it can do with these options.

        :raises PluginWrongContract: when it does not say.
        """
        try:
            capabilities: object = plugin.info.capabilities(options)
        except Exception as error:
            logger.debug("capabilities of %s failed", section, exc_info=True)
            message = f'"{plugin.info.name}" cannot say what it can do: {type(error).__name__}.'
            raise PluginWrongContract(Problem(section, message, "Update the plugin.")) from error
        if not isinstance(capabilities, Capabilities):
            message = f'"{plugin.info.name}" says what it can do by a {type(capabilities).__name__}.'
            raise PluginWrongContract(Problem(section, message, "Update the plugin."))
        return capabilities

    def build(self, plugin: Plugin, options: Options, site: Site) -> object:
        """Call the plugin's factory, through every extension's wrapper, and check what it built.

        :raises PluginCannotLoad: the SDK that it needs is not installed.
        :raises PluginCannotStart: the factory failed.
        :raises PluginWrongContract: the object is not what its kind promises.
        """
        kind = plugin.info.kind
        built = self._call(f"make_{kind}", plugin, options, site)
        hold_to(CONTRACTS[kind], built, site)
        if kind == "session":
            for role in self.capabilities(plugin, options, site.section).roles:
                hold_to(ROLE_CONTRACTS[role], built, site)
        return built

    def build_extension(self, plugin: Plugin, options: Options, site: Site) -> dict[str, list[object]]:
        """Call each extension hook that the plugin implements; gives the objects by hook name.

        :raises PluginCannotLoad: the SDK that it needs is not installed.
        :raises PluginCannotStart: a factory failed.
        :raises PluginWrongContract: an object is not what its hook promises.
        """
        found: dict[str, list[object]] = {}
        for hook, contract in EXTENSION_CONTRACTS.items():
            if not self._answers(plugin.module, hook):
                continue
            results = self._call(hook, plugin, options, site)
            built = results[0] if isinstance(results, list) and results else None
            if hook != "make_tools":
                found[hook] = [built]
            elif isinstance(built, Sequence):
                found[hook] = list(built)
            else:
                message = f'"{plugin.info.name}" gave a {type(built).__name__} instead of a list of tools.'
                raise PluginWrongContract(Problem(site.section, message, "Update the plugin."))
            for item in found[hook]:
                hold_to(contract_of_tool(item) if hook == "make_tools" else contract, item, site)
        return found

    def _find(self, kind: Kind, name: str, section: str) -> None:
        """Refuse unknown and doubled names before anything is imported."""
        plugins = installed(kind, self._of(kind))
        matches = [plugin for plugin in plugins if plugin.name == name]
        if len(matches) == 1:
            return
        if matches:
            owners = " and ".join(sorted({plugin.distribution for plugin in matches}))
            message = f'The {kind} plugin "{name}" is installed twice, by {owners}.'
            raise PluginNotFound(Problem(section, message, "Uninstall one of them."))
        problem = Problem(
            section, f'No {kind} plugin "{name}" is installed.', suggestion(kind, name, plugins)
        )
        raise PluginNotFound(problem)

    def _of(self, kind: Kind) -> EntryPoints:
        return self._points.select(group=group_of(kind))

    def _import(self, kind: Kind, name: str, section: str) -> ModuleType:
        def fail(_manager: object, _point: EntryPoint, error: BaseException) -> None:
            raise error

        try:
            driver = _Driver(self._of(kind), kind, name, fail)
        except Exception as error:
            logger.debug("importing %s plugin %s failed", kind, name, exc_info=True)
            problem = Problem(
                section,
                f'The {kind} plugin "{name}" cannot be imported: {type(error).__name__}: {one_line(error)}.',
                "Mend or reinstall it; a plugin's module must import without its SDK.",
            )
            raise PluginCannotLoad(problem) from error
        module: object = driver.extensions[0].plugin  # `.driver` is wrong when the object is falsy
        if not isinstance(module, ModuleType):
            message = f'The entry point of the {kind} plugin "{name}" does not name a module.'
            raise PluginWrongContract(Problem(section, message, "Name the module alone, without an object."))
        return module

    def _register(self, module: ModuleType, kind: Kind, name: str, section: str) -> None:
        if self._manager.is_registered(module):
            message = f'The {kind} plugin "{name}" is the same module as {self._manager.get_name(module)}.'
            raise PluginWrongContract(Problem(section, message, "Update the plugin."))
        try:
            self._manager.register(module, f"{kind}:{name}")
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            if self._manager.is_registered(module):  # else pluggy undid it already
                self._manager.unregister(module)
            message = f'The {kind} plugin "{name}" does not fit the hooks: {one_line(error)}.'
            raise PluginWrongContract(Problem(section, message, "Update the plugin.")) from error

    def _describe(self, module: ModuleType, kind: Kind, name: str, section: str) -> PluginInfo:
        """Ask the plugin for its description and hold it against its entry point."""

        def wrong(message: str, fix: str = "Update the plugin.") -> PluginWrongContract:
            return PluginWrongContract(Problem(section, f'The {kind} plugin "{name}" {message}.', fix))

        hooks = {caller.name for caller in self._manager.get_hookcallers(module) or []}
        if "plugin_info" not in hooks:
            raise wrong("has no plugin_info()")
        if kind != "extension" and f"make_{kind}" not in hooks:
            raise wrong(f"has no make_{kind}(options, site)")
        try:
            info: object = module.plugin_info()
        except Exception as error:
            logger.debug("describing %s plugin %s failed", kind, name, exc_info=True)
            raise wrong(f"fails in its plugin_info() with {type(error).__name__}") from error
        if not isinstance(info, PluginInfo):
            raise wrong("does not give a PluginInfo")
        if not (isinstance(info.options, type) and issubclass(info.options, Options)):
            raise wrong("has options that are no subclass of jackfield.Options")
        if (info.kind, info.name) != (kind, name):
            raise wrong(f'describes itself as {info.kind} "{info.name}"')
        if info.api > API:
            message = f"needs version {info.api} of the plugin interface, and this Jackfield has {API}"
            raise wrong(message, "Update Jackfield.")
        if info.api < 1:
            raise wrong(f"was made for version {info.api} of the plugin interface, which is no longer served")
        return info

    def _call(self, hook: str, plugin: Plugin, options: Options, site: Site) -> object:
        others = [other.module for other in self._loaded.values() if other.module is not plugin.module]
        drivers = [module for module in others if self._answers(module, hook)]
        caller = self._manager.subset_hook_caller(hook, drivers)
        try:
            return caller(options=options, site=site)
        except ImportError as error:
            raise PluginCannotLoad(missing_sdk(plugin.info, site.section, error)) from error
        except (ConfigError, PluginError) as error:  # names section and fix itself
            raise PluginCannotStart(*error.problems) from error
        except Exception as error:
            logger.debug("building %s failed", site.section, exc_info=True)
            if isinstance(error, JackfieldError | OSError):
                reason, fix = one_line(error), ""  # says itself what to do
            else:  # what others write into an exception may be one of the options
                reason, fix = f"{type(error).__name__} in its {hook}", _SHOW_MORE
            message = f'"{plugin.info.name}" cannot be built: {reason}.'
            raise PluginCannotStart(Problem(site.section, message, fix)) from error

    def _answers(self, module: ModuleType, hook: str) -> bool:
        """Whether the module answers the hook itself, and does not merely wrap whoever does."""
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        return any(i.plugin is module and not (i.wrapper or i.hookwrapper) for i in implementations)

    def _name_owner(self, problem: Problem, plugin: Plugin) -> Problem:
        if not isinstance(problem, UnknownKey):
            return problem
        owners = self._owners_of(problem.key, plugin.info)
        message = f'"{plugin.info.name}" has no option "{problem.key}".'
        if owners:
            fix = f"It is an option of {' and '.join(owners)}: remove it."
        else:
            fix = problem.fix.replace("Known keys", "Its options")
        return replace(problem, message=message, fix=fix)

    def _owners_of(self, option: str, info: PluginInfo) -> list[str]:
        owners = []
        scout = Loader()  # what it registers takes no part in building
        for other in installed(info.kind):
            if other.name == info.name:
                continue
            try:
                fields = scout.load(info.kind, other.name, "").info.options.model_fields
            except PluginError:
                continue  # a broken plugin that nobody asked for
            if option in fields:
                owners.append(f'"{other.name}"')
        return owners
