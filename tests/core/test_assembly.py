"""The assembly: everything a configuration names, or every problem with it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from jackfield.assembly import Assembly, assemble, assemble_in_part, offered
from jackfield.config import examine_text, read_config
from jackfield.config.validation import joined
from jackfield.errors import ConfigError
from tests.core.shop import PluginShop

DOOR = '[[transport]]\nuse = "door"\n'
LLM = '[llm]\nuse = "echo"\n'


@pytest.fixture
def door(shop: PluginShop) -> PluginShop:
    """A shop with a transport that needs the role windows."""
    source = """
class Door:
    def routes(self, panel): pass

@hookimpl
def plugin_info():
    return PluginInfo("transport", "door", "", capabilities=lambda options: Capabilities(roles=("windows",)))

@hookimpl
def make_transport(options, site):
    door = Door()
    door.site = site
    return door
"""
    shop.add("transport", "door", source)
    return shop


def add_store(shop: PluginShop, name: str, *roles: str) -> None:
    methods = (
        "append load touch delete set_preferences publish subscribe put get take count lease renew release "
        "ping size_bytes"
    )
    body = "".join(f"    async def {method}(self): pass\n" for method in methods.split())
    source = (
        f"class Store:\n{body}\n"
        "@hookimpl\ndef plugin_info():\n"
        f"    can = Capabilities(roles={roles!r})\n"
        f"    return PluginInfo('session', {name!r}, '', capabilities=lambda options: can)\n"
        "@hookimpl\ndef make_session(options, site): return Store()\n"
    )
    shop.add("session", name, source)


def add_extension(
    shop: PluginShop, name: str, source: str, *, options: str = "Options", roles: str = "()"
) -> None:
    info = (
        f"PluginInfo('extension', {name!r}, '', options={options}, "
        f"capabilities=lambda o: Capabilities(roles={roles}))"
    )
    shop.add("extension", name, f"{dedent(source)}\n@hookimpl\ndef plugin_info(): return {info}\n")


def assembled(text: str) -> Assembly:
    return assemble(read_config(dedent(text), {}))


def lines(text: str, environment: dict[str, str] | None = None) -> list[str]:
    config, problems = examine_text(dedent(text), environment or {})
    assert config is not None
    _, more = assemble_in_part(config, problems)
    return [str(problem) for problem in joined(problems, more)]


def test_everything_named_is_built_and_told_where_it_stands(door: PluginShop) -> None:
    assembly = assembled(
        """
        [llm]
        use = "echo"
        [llm.named."gpt-4"]
        use = "echo"
        aliases = ["gpt4", "four"]
        options.prefix = "4: "
        [stt]
        use = "scripted"
        [tts]
        use = "tone"
        [[transport]]
        use = "door"
        mount = "/chat/"
        """
    )

    assert [built.section for built in assembly] == [
        "session",
        "llm",
        "llm.named.gpt-4",
        "stt",
        "tts",
        "transport.1",
    ]
    assert assembly.llm.get("gpt4") is assembly.llm.get("gpt-4") is assembly.llm.get("four")
    assert assembly.llm.get(None) is assembly.llm.default
    assert assembly.llm.get("gpt") is None
    assert assembly.doors[0].mount == "/chat"
    assert set(assembly.stores) == {"windows", "records", "signals", "shared"}


def test_assembling_imports_exactly_the_plugins_that_are_named(door: PluginShop) -> None:
    door.add_llm("magpie")
    program = (
        "import sys\nfrom jackfield.config import read_config\nfrom jackfield.assembly import assemble\n"
        f"assemble(read_config({LLM + DOOR!r}, {{}}))\n"
        "print(*sorted({n.partition('.')[0] for n in sys.modules if n.startswith('jackfield_')}))\n"
        "print(*sorted({'fastapi', 'numpy', 'av', 'uvicorn'} & sys.modules.keys()))"
    )

    plugins, heavy = door.run(program)
    assert plugins == "jackfield_llm_echo jackfield_session_memory jackfield_transport_door"
    assert heavy == ""


def test_the_problems_of_all_sections_are_told_together(door: PluginShop) -> None:
    door.add_llm("needy", build="import needy_sdk", extra="jackfield[needy]", options="key: str")
    door.add_llm("magpie", options="nest: str = ''")

    found = lines(
        """
        [server]
        prot = 1
        [llm]
        use = "ecko"
        [llm.named.a]
        use = "needy"
        options.key = "${KEY}"
        [llm.named.b]
        use = "echo"
        options.nest = "tree"
        [stt]
        use = "scripted"
        options.delay_s = "long"
        [tts]
        use = "tone"
        [[transport]]
        use = "door"
        auth = "devices"
        """
    )

    assert found == [
        (
            "[llm.named.a.options.key] The environment variable KEY is not set, or holds a placeholder. "
            "Set KEY, or write KEY=... into the file .env."
        ),
        '[server.prot] There is no key "prot" here. Did you mean "port"?',
        '[llm] No llm plugin "ecko" is installed. Did you mean "echo"?',
        (
            '[llm.named.a] "needy" needs the package needy_sdk, which cannot be imported. '
            "pip install 'jackfield[needy]'"
        ),
        '[llm.named.b.options.nest] "echo" has no option "nest". It is an option of "magpie": remove it.',
        (
            "[stt.options.delay_s] Input should be a valid number, unable to parse string as a number. "
            "Mend the value."
        ),
        "[transport.1.auth] There is no section [auth.devices]. Add [auth.devices].",
    ]


def test_a_missing_extra_is_told_beside_a_missing_key_of_the_same_section(door: PluginShop) -> None:
    door.add_llm("needy", build="import needy_sdk", extra="jackfield[needy]", options="key: str")

    found = lines('[llm]\nuse = "needy"\noptions.key = "${KEY}"\n' + DOOR)

    assert [line.split("]")[0] for line in found] == ["[llm.options.key", "[llm"]
    assert found[1].endswith("pip install 'jackfield[needy]'")


def test_assemble_raises_them_all() -> None:
    with pytest.raises(ConfigError) as error:
        assembled("")

    assert [problem.section for problem in error.value.problems] == ["transport", "llm"]


@pytest.mark.parametrize(
    "text",
    [
        '[llm]\n[[transport]]\nuse = "door"',
        LLM + "[[transport]]\n",
        LLM + '[session]\nuse = "memroy"\n' + DOOR,
        LLM + "[session]\nttl = 3\n" + DOOR,
        LLM + '[llm.named.a]\nusee = "echo"\n[scenarios.x]\ninstructions = "i"\nllm = "a"\n' + DOOR,
        LLM + '[llm.named.a]\nuse = "ecko"\n[scenarios.x]\ninstructions = "i"\nllm = "a"\n' + DOOR,
        LLM + '[auth.a]\nuse = "nobody"\n' + DOOR + 'auth = "a"',
        LLM + "[auth.a]\n" + DOOR + 'auth = "a"',
    ],
)
def test_what_follows_from_a_problem_is_no_problem_of_its_own(door: PluginShop, text: str) -> None:
    found = lines(text)

    assert len({line.split("]")[0].split(".")[0] for line in found}) == 1, found


def test_a_door_whose_role_no_store_has_says_so(door: PluginShop) -> None:
    add_store(door, "box", "shared", "signals")

    assert lines(LLM + DOOR + '[session]\nuse = "box"') == [
        (
            '[transport.1] "door" needs a session store with the role windows. '
            'Add [session.windows] with a plugin that has it, such as use = "memory".'
        )
    ]


def test_calls_of_a_speech_to_speech_model_need_one(door: PluginShop) -> None:
    (line,) = lines(LLM + DOOR + '[call]\npipeline = "realtime"')

    assert line == (
        "[call.pipeline] Calls are to go through a speech-to-speech model, and none is configured. "
        "Add [realtime] with `use`."
    )


def test_an_extension_whose_role_no_store_has_says_so(door: PluginShop) -> None:
    add_store(door, "box", "windows")
    add_extension(door, "counter", "", roles="('shared',)")

    (line,) = lines(LLM + DOOR + '[session]\nuse = "box"\n[[extension]]\nuse = "counter"')

    assert line.startswith('[extension.1] "counter" needs a session store with the role shared.')


def test_one_role_may_have_a_store_of_its_own(door: PluginShop) -> None:
    add_store(door, "box", "shared", "signals")

    assembly = assembled(LLM + DOOR + '[session.shared]\nuse = "box"')

    assert {role: built.plugin for role, built in assembly.stores.items()} == {
        "windows": "memory",
        "records": "memory",
        "signals": "memory",
        "shared": "box",
    }


def test_a_store_cannot_serve_a_role_that_it_does_not_have(door: PluginShop) -> None:
    add_store(door, "box", "shared", "signals")

    assert lines(LLM + DOOR + '[session.windows]\nuse = "box"') == [
        '[session.windows] "box" cannot serve as windows. It serves: shared, signals.'
    ]


def test_a_name_that_two_models_have_is_a_problem(door: PluginShop) -> None:
    text = LLM + '[llm.named.a]\nuse = "echo"\n[llm.named.b]\nuse = "echo"\naliases = ["a"]\n' + DOOR

    assert lines(text) == ['[llm.named.b] The name "a" is used twice. Give another.']


def test_a_scenario_must_name_a_model_that_there_is(door: PluginShop) -> None:
    scenario = '[scenarios.x]\ninstructions = "i"\nllm = "big"\n'

    assert lines(LLM + scenario + DOOR) == [
        '[scenarios.x.llm] There is no model named "big". Add [llm.named."big"].'
    ]
    assert not lines(LLM + scenario + '[llm.named.large]\nuse = "echo"\naliases = ["big"]\n' + DOOR)


def test_extensions_wrap_every_model_and_find_their_options(door: PluginShop) -> None:
    add_extension(
        door,
        "loud",
        """
        class Loud(Options):
            word: str

        class Wrapped:
            def __init__(self, inner, word): self.inner, self.word = inner, word
            def generate(self, request): return self.inner.generate(request)

        @hookimpl(wrapper=True)
        def make_llm(options, site):
            return Wrapped((yield), site.extensions["loud"].word)
        """,
        options="Loud",
    )

    assembly = assembled(
        LLM + '[llm.named.b]\nuse = "echo"\n' + DOOR + '[[extension]]\nuse = "loud"\noptions.word = "hey"'
    )

    assert [vars(built.object)["word"] for built in assembly.llm] == ["hey", "hey"]


TOOL = """
from jackfield.contracts.llm import ToolSpec

class Clock:
    spec = ToolSpec("clock", "Tells the time.")
    async def call(self, arguments, context): return "noon"

@hookimpl
def make_tools(options, site):
    return (Clock(),)
"""


def test_what_extensions_build_is_in_the_assembly(door: PluginShop) -> None:
    add_extension(
        door,
        "guard",
        """
        class Guard:
            async def scan(self, upload): return True
            async def observe(self, event): pass
            def around_turn(self, request, answer): return answer(request)

        guard = Guard()

        @hookimpl
        def make_scanner(options, site): return guard

        @hookimpl
        def make_turn_wrapper(options, site): return guard

        @hookimpl
        def make_observer(options, site): return guard
        """,
    )
    add_extension(door, "clock", TOOL)

    assembly = assembled(LLM + DOOR + '[[extension]]\nuse = "guard"\n[[extension]]\nuse = "clock"')

    (guard,) = assembly.scanners
    same = {id(guard.object), id(assembly.turn_wrappers[0].object), id(assembly.observers[0].object)}
    assert same == {id(guard.object)}
    assert [tool.spec.name for built in assembly.tools for tool in offered(built.object)] == ["clock"]
    assert [built.section for built in assembly].count("extension.1") == 1  # entered once


def test_a_source_of_tools_need_not_know_them_before_it_is_open(door: PluginShop) -> None:
    add_extension(
        door,
        "clocks",
        """
        class Clocks:
            tools = ()

        @hookimpl
        def make_tools(options, site): return [Clocks()]
        """,
    )

    (built,) = assembled(LLM + DOOR + '[[extension]]\nuse = "clocks"').tools

    assert offered(built.object) == ()


def test_two_tools_of_one_name_are_a_problem(door: PluginShop) -> None:
    add_extension(door, "clock", TOOL)
    add_extension(door, "watch", TOOL)

    assert lines(LLM + DOOR + '[[extension]]\nuse = "clock"\n[[extension]]\nuse = "watch"') == [
        '[extension.2] The tool "clock" is offered by extension.1 too. Configure one of them.'
    ]


def test_a_transport_is_told_its_mount(door: PluginShop) -> None:
    assembly = assembled(LLM + DOOR + 'mount = "/a"')

    assert vars(assembly.doors[0].transport.object)["site"].mount == "/a"
