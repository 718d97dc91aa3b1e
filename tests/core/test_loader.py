"""The loader: finding plugins, importing no more than is named, and telling what is wrong with one."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from stevedore.driver import DriverManager

from jackfield.contracts.llm import LLM
from jackfield.errors import (
    PluginCannotLoad,
    PluginCannotStart,
    PluginError,
    PluginNotFound,
    PluginWrongContract,
    PluginWrongOptions,
)
from jackfield.loader import Loader
from jackfield.plugin import Kind, Options, Site
from tests.core.shop import PluginShop, llm_source

SECRET = "sk-0123456789abcdef"


def site(section: str = "llm", **extensions: Options) -> Site:
    return Site(section, "test", logging.getLogger("test"), "", extensions)


def make(loader: Loader, name: str, options: dict[str, Any] | None = None, kind: Kind = "llm") -> object:
    plugin = loader.load(kind, name, kind)
    return loader.build(plugin, loader.validate(plugin, options or {}, kind), site(kind))


def problem(error: pytest.ExceptionInfo[PluginError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


# Finding.


def test_a_plugin_that_was_just_installed_is_found(shop: PluginShop) -> None:
    shop.add_llm("first")
    make(Loader(), "first")
    DriverManager("jackfield.llm", "first")  # fills the cache that stevedore keeps

    shop.add_llm("second")

    assert isinstance(make(Loader(), "second"), LLM)


def test_an_unknown_name_gets_the_nearest_one_and_nothing_is_imported(shop: PluginShop) -> None:
    shop.add_llm("parrot")

    with pytest.raises(PluginNotFound) as error:
        Loader().load("llm", "parott", "llm")

    assert problem(error) == '[llm] No llm plugin "parott" is installed. Did you mean "parrot"?'
    assert shop.imported() == set()


def test_a_name_of_another_kind_is_said_to_be_one(shop: PluginShop) -> None:
    shop.add("vad", "ears_only", "")

    with pytest.raises(PluginNotFound, match='"ears_only" is a plugin of kind vad'):
        Loader().load("llm", "ears_only", "llm")


def test_a_name_that_two_distributions_offer_is_refused_and_nothing_is_imported(shop: PluginShop) -> None:
    shop.add_llm("parrot")
    shop.add("llm", "parrot", "", distribution="other-parrot")

    with pytest.raises(PluginNotFound) as error:
        Loader().load("llm", "parrot", "llm")

    message = '[llm] The llm plugin "parrot" is installed twice, by jackfield-llm-parrot and other-parrot.'
    assert problem(error) == f"{message} Uninstall one of them."
    assert shop.imported() == set()


def test_only_named_plugins_are_imported(shop: PluginShop) -> None:
    for name in ("parrot", "magpie"):
        shop.add_llm(name)
    program = (
        "import sys; from jackfield.loader import Loader; "
        "Loader().load('llm', 'parrot', 'llm'); "
        "print(*sorted(name for name in sys.modules if name.startswith('jackfield_')))"
    )

    assert shop.run(program) == ["jackfield_llm_parrot"]


# Importing.


def test_a_module_that_cannot_be_imported_is_a_problem_in_one_line(shop: PluginShop) -> None:
    shop.add("llm", "parrot", "raise RuntimeError('first\\nsecond')")

    with pytest.raises(PluginCannotLoad) as error:
        Loader().load("llm", "parrot", "llm")

    assert 'The llm plugin "parrot" cannot be imported: RuntimeError: first second.' in problem(error)


def test_a_failing_assertion_in_a_module_is_a_problem_too(shop: PluginShop) -> None:
    shop.add("llm", "parrot", "assert False")

    with pytest.raises(PluginCannotLoad):
        Loader().load("llm", "parrot", "llm")


@pytest.mark.parametrize("falsy", ["{}", "None", "0"])
def test_an_entry_point_that_names_an_object_is_refused_though_it_is_falsy(
    shop: PluginShop, falsy: str
) -> None:
    shop.add("llm", "parrot", f"plugin = {falsy}", target="jackfield_llm_parrot:plugin")

    with pytest.raises(PluginWrongContract, match="does not name a module"):
        Loader().load("llm", "parrot", "llm")


def test_a_missing_sdk_names_the_extra_that_brings_it(shop: PluginShop) -> None:
    shop.add_llm("parrot", build="import parrot_sdk.client", extra="jackfield[parrot]")

    with pytest.raises(PluginCannotLoad) as error:
        make(Loader(), "parrot")

    assert problem(error) == (
        '[llm] "parrot" needs the package parrot_sdk, which cannot be imported. '
        "pip install 'jackfield[parrot]'"
    )


def test_a_library_that_does_not_load_is_named(shop: PluginShop) -> None:
    shop.add_llm("parrot", build="raise ImportError('libparrot.so.1: cannot open')")

    with pytest.raises(PluginCannotLoad, match=r"libparrot\.so\.1: cannot open"):
        make(Loader(), "parrot")


# Holding plugins to their contract.


def test_a_misspelt_hook_is_refused(shop: PluginShop) -> None:
    shop.add_llm("parrot", more="@hookimpl\ndef make_lml(options, site): pass")

    with pytest.raises(PluginWrongContract, match="make_lml"):
        Loader().load("llm", "parrot", "llm")


def test_a_refused_plugin_leaves_the_manager_as_it_was(shop: PluginShop) -> None:
    shop.add_llm("bad", more="@hookimpl\ndef make_lml(options, site): pass")
    shop.add_llm("parrot")
    loader = Loader()
    with pytest.raises(PluginWrongContract):
        loader.load("llm", "bad", "llm")

    assert type(make(loader, "parrot")).__module__ == "jackfield_llm_parrot"
    with pytest.raises(PluginWrongContract, match="make_lml"):  # and again, not "already registered"
        loader.load("llm", "bad", "llm")


def test_an_argument_that_the_hook_does_not_have_is_refused(shop: PluginShop) -> None:
    source = "@hookimpl\ndef plugin_info(): pass\n@hookimpl\ndef make_llm(options, place): pass"
    shop.add("llm", "parrot", source)

    with pytest.raises(PluginWrongContract, match="place"):
        Loader().load("llm", "parrot", "llm")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("x = 1", r"has no plugin_info\(\)"),
        ("@hookimpl\ndef plugin_info(): pass", r"has no make_llm\(options, site\)"),
        ("{make}@hookimpl\ndef plugin_info(): return 'parrot'", "does not give a PluginInfo"),
        ("{make}@hookimpl\ndef plugin_info(): raise OSError", r"fails in its plugin_info\(\) with OSError"),
        (
            "{make}@hookimpl\ndef plugin_info(): return PluginInfo('llm', 'owl', '')",
            'describes itself as llm "owl"',
        ),
        (
            "{make}@hookimpl\ndef plugin_info(): return PluginInfo('llm', 'parrot', '', api=99)",
            "needs version 99 of the plugin interface, and this Jackfield has 1. Update Jackfield.",
        ),
        (
            "{make}@hookimpl\ndef plugin_info(): return PluginInfo('llm', 'parrot', '', api=0)",
            "was made for version 0 of the plugin interface, .* Update the plugin.",
        ),
        (
            "{make}@hookimpl\ndef plugin_info(): return PluginInfo('llm', 'parrot', '', options=dict)",
            "options that are no subclass of jackfield.Options",
        ),
    ],
)
def test_a_module_that_is_no_plugin_says_why(shop: PluginShop, source: str, reason: str) -> None:
    shop.add("llm", "parrot", source.replace("{make}", "@hookimpl\ndef make_llm(options, site): pass\n"))

    with pytest.raises(PluginWrongContract, match=reason):
        Loader().load("llm", "parrot", "llm")


def test_one_module_under_two_names_is_refused(shop: PluginShop) -> None:
    module = shop.add_llm("parrot")
    shop.add("llm", "alias", "", target=module)
    loader = Loader()
    loader.load("llm", "parrot", "llm")

    with pytest.raises(PluginWrongContract, match="is the same module as llm:parrot"):
        loader.load("llm", "alias", "llm.named.alias")

    assert isinstance(make(loader, "parrot"), LLM)


def test_an_object_without_the_members_of_its_kind_is_refused_and_they_are_named(shop: PluginShop) -> None:
    shop.add_llm("parrot", build="return object()")

    with pytest.raises(PluginWrongContract, match="built a object without generate, which the contract LLM"):
        make(Loader(), "parrot")


def test_a_store_must_have_the_roles_that_it_declares(shop: PluginShop) -> None:
    source = """
class Store:
    async def ping(self): pass
    async def size_bytes(self): pass
    async def append(self): pass

@hookimpl
def plugin_info():
    return PluginInfo("session", "box", "", capabilities=lambda options: Capabilities(roles=("windows",)))

@hookimpl
def make_session(options, site):
    return Store()
"""
    shop.add("session", "box", source)

    with pytest.raises(
        PluginWrongContract, match="delete, load, set_preferences, touch, which the contract W"
    ):
        make(Loader(), "box", kind="session")


def test_a_property_that_does_not_work_yet_counts_as_there(shop: PluginShop) -> None:
    source = """
class Ears:
    @property
    def window_samples(self): raise RuntimeError("not entered")
    def stream(self): pass

@hookimpl
def plugin_info():
    return PluginInfo("vad", "ears", "")

@hookimpl
def make_vad(options, site):
    return Ears()
"""
    shop.add("vad", "ears", source)

    make(Loader(), "ears", kind="vad")


@pytest.mark.parametrize("capabilities", ["lambda options: 1 / 0", "lambda options: None"])
def test_capabilities_that_cannot_be_told_are_a_problem(shop: PluginShop, capabilities: str) -> None:
    source = f"""
@hookimpl
def plugin_info():
    return PluginInfo("llm", "parrot", "", capabilities={capabilities})

@hookimpl
def make_llm(options, site): pass
"""
    shop.add("llm", "parrot", source)
    loader = Loader()
    plugin = loader.load("llm", "parrot", "llm")

    with pytest.raises(PluginWrongContract, match=r'"parrot" .*says? what it can do'):
        loader.capabilities(plugin, Options(), "llm")


# Building.


def test_each_factory_answers_for_itself_alone(shop: PluginShop) -> None:
    shop.add_llm("parrot")
    shop.add_llm("magpie")
    loader = Loader()
    loader.load("llm", "magpie", "llm")
    loader.load("llm", "parrot", "llm")

    modules = [type(make(loader, name)).__module__ for name in ("magpie", "parrot", "magpie")]

    assert modules == ["jackfield_llm_magpie", "jackfield_llm_parrot", "jackfield_llm_magpie"]


def test_a_driver_that_builds_nothing_is_not_replaced_by_another(shop: PluginShop) -> None:
    shop.add_llm("parrot", build="return None")
    shop.add_llm("magpie")
    loader = Loader()
    loader.load("llm", "magpie", "llm")

    with pytest.raises(PluginWrongContract, match="NoneType"):
        make(loader, "parrot")


WRAPPER = """
class Wrapped:
    def __init__(self, inner): self.inner = inner
    def generate(self, request): return self.inner.generate(request)

@hookimpl
def plugin_info():
    return PluginInfo("extension", {name!r}, "")

@hookimpl(wrapper=True)
def make_llm(options, site):
    return Wrapped((yield))
"""


def test_a_wrapper_of_an_extension_applies_to_every_driver(shop: PluginShop) -> None:
    shop.add("extension", "wrapping", WRAPPER.format(name="wrapping"))
    for name in ("parrot", "magpie"):
        shop.add_llm(name)
    loader = Loader()
    loader.load("extension", "wrapping", "extension.1")

    for name in ("parrot", "magpie"):
        built = make(loader, name)
        assert type(built).__name__ == "Wrapped"
        inner: object = getattr(built, "inner")  # noqa: B009  # a class of the test's plugin
        assert type(inner).__module__ == f"jackfield_llm_{name}"


def test_loaders_know_nothing_of_each_other(shop: PluginShop) -> None:
    shop.add("extension", "wrapping", WRAPPER.format(name="wrapping"))
    shop.add_llm("parrot")
    Loader().load("extension", "wrapping", "extension.1")

    assert type(make(Loader(), "parrot")).__name__ == "LLM"


def test_a_failing_factory_is_told_without_what_the_exception_says(shop: PluginShop) -> None:
    shop.add_llm("parrot", options="key: str", build="raise RuntimeError('bad key ' + options.key)")

    with pytest.raises(PluginCannotStart) as error:
        make(Loader(), "parrot", {"key": SECRET})

    assert '"parrot" cannot be built: RuntimeError in its make_llm.' in problem(error)
    assert SECRET not in problem(error)


def test_a_factory_may_say_itself_why_it_failed(shop: PluginShop) -> None:
    build = "from jackfield import ProviderUnavailable; raise ProviderUnavailable('No model.\\nFetch it.')"
    shop.add_llm("parrot", build=build)

    with pytest.raises(PluginCannotStart) as error:
        make(Loader(), "parrot")

    assert problem(error) == '[llm] "parrot" cannot be built: No model. Fetch it.'


@pytest.mark.parametrize(
    ("hook", "reason"),
    [
        ("def make_scanner(options, site): return object()", "built a object without scan"),
        ("def make_scanner(options, site): return None", "built a NoneType without scan"),
        ("def make_tools(options, site): return 3", "gave a int instead of a list of tools"),
        ("def make_tools(options, site): return [3]", "built a int without call, spec"),
        ("def make_observer(options, site): raise KeyError", "KeyError in its make_observer"),
    ],
)
def test_what_an_extension_builds_is_held_to_its_contract(shop: PluginShop, hook: str, reason: str) -> None:
    source = "@hookimpl\ndef plugin_info(): return PluginInfo('extension', 'guard', '')"
    shop.add("extension", "guard", f"{source}\n@hookimpl\n{hook}")
    loader = Loader()
    plugin = loader.load("extension", "guard", "extension.1")

    with pytest.raises(PluginError, match=reason):
        loader.build_extension(plugin, Options(), site("extension.1"))


# Options.

KEYED = (
    "key: str; level: int = 1; kind: 'Literal[\"a\", \"b\"]' = 'a'\n"
    "    @field_validator('key')\n"
    "    @classmethod\n"
    "    def _check(cls, value):\n"
    "        if value.endswith('!'): raise ValueError(f'{value!r} is no key')\n"
    "        return value\n"
)
KEYED_IMPORTS = "from typing import Literal\nfrom pydantic import field_validator\n"


def wrong_options(shop: PluginShop, options: dict[str, Any]) -> list[str]:
    shop.add("llm", "parrot", KEYED_IMPORTS + llm_source("parrot", options=KEYED))
    loader = Loader()
    plugin = loader.load("llm", "parrot", "llm")
    with pytest.raises(PluginWrongOptions) as error:
        loader.validate(plugin, options, "llm")
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    "options",
    [
        {"key": [SECRET]},
        {"key": {"secret": SECRET}},
        {"key": SECRET + "!"},
        {"key": "x", "level": SECRET},
        {"key": "x", "kind": SECRET},
        {"key": "x", "api_key": SECRET},
        {"api_key": SECRET, "level": [SECRET], "kind": {"a": SECRET}},
    ],
)
def test_no_problem_with_options_shows_a_value(shop: PluginShop, options: dict[str, Any]) -> None:
    lines = wrong_options(shop, options)

    assert lines
    assert SECRET not in "".join(lines)


def test_every_option_that_does_not_fit_is_told(shop: PluginShop) -> None:
    lines = wrong_options(shop, {"level": "high", "lvl": 3})

    assert [line.split("]")[0] for line in lines] == [
        "[llm.options.key",
        "[llm.options.level",
        "[llm.options.lvl",
    ]
    assert lines[2] == '[llm.options.lvl] "parrot" has no option "lvl". Did you mean "level"?'


def test_an_option_left_from_the_former_plugin_is_told_with_its_owner(shop: PluginShop) -> None:
    shop.add_llm("parrot", options="words: int = 3")
    shop.add_llm("magpie", options="nest: str = ''")
    loader = Loader()
    plugin = loader.load("llm", "parrot", "llm")

    with pytest.raises(PluginWrongOptions) as error:
        loader.validate(plugin, {"nest": "tree"}, "llm")

    assert problem(error) == (
        '[llm.options.nest] "parrot" has no option "nest". It is an option of "magpie": remove it.'
    )


def test_looking_for_the_owner_of_an_option_survives_broken_plugins_and_wraps_nothing(
    shop: PluginShop,
) -> None:
    shop.add("extension", "broken", "raise RuntimeError")
    shop.add("extension", "wrapping", WRAPPER.format(name="wrapping"))
    shop.add(
        "extension",
        "calm",
        "@hookimpl\ndef plugin_info(): return PluginInfo('extension', 'calm', '')",
    )
    shop.add_llm("parrot")
    loader = Loader()
    plugin = loader.load("extension", "calm", "extension.1")
    with pytest.raises(PluginWrongOptions):
        loader.validate(plugin, {"nest": "tree"}, "extension.1")

    assert type(make(loader, "parrot")).__name__ == "LLM"
