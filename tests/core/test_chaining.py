"""Providers that stand in for others: from the file to objects that stand for several."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from jackfield.assembly import Assembly, assemble
from jackfield.cli.needs import providers
from jackfield.cli.schema import schema_of
from jackfield.config import read_config
from jackfield.contracts.llm import LLM, GenerationRequest, Message
from jackfield.errors import ConfigError
from tests.core.shop import PluginShop

pytestmark = pytest.mark.anyio

DOOR = '[[transport]]\nuse = "relay_chat"\n'
CHAIN = """
[llm]
use = "broken"
[[llm.fallback]]
use = "echo"
options.prefix = "Second: "
[[llm.fallback]]
use = "echo"
options.prefix = "Third: "

[llm.named.big]
use = "echo"
options.prefix = "Big: "
[[llm.named.big.fallback]]
use = "echo"
options.prefix = "Third: "
"""
BROKEN = """
from jackfield.contracts.llm import Finish
from jackfield.errors import ProviderUnavailable

class LLM:
    async def __aenter__(self):
        print("opened")
        return self
    async def __aexit__(self, *_):
        print("closed")
    async def generate(self, request):
        raise ProviderUnavailable("gone")
        yield Finish("stop")

@hookimpl
def plugin_info():
    can = Capabilities(streaming=True, context_tokens=1000, network=True)
    return PluginInfo("llm", "broken", "", capabilities=lambda options: can)

@hookimpl
def make_llm(options, site):
    model = LLM()
    model.site = site
    return model
"""


@pytest.fixture
def broken(shop: PluginShop) -> PluginShop:
    shop.add("llm", "broken", BROKEN)
    return shop


def assembled(text: str) -> Assembly:
    return assemble(read_config(text + DOOR, {}))


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        assembled(text)
    return [problem.section for problem in caught.value.problems]


def checked(shop: PluginShop, file: Path, *options: str) -> list[str]:
    arguments = ["check", *options, str(file)]
    return shop.run(f"from jackfield.cli.commands import root; root({arguments})")


async def said(llm: LLM) -> str:
    async with aclosing(llm.generate(GenerationRequest((Message("user", "hi"),)))) as outputs:
        return "".join([output async for output in outputs if isinstance(output, str)])


async def test_the_next_one_answers_where_the_first_fails(broken: PluginShop) -> None:
    default = assembled(CHAIN).llm.default
    assert default is not None
    assert await said(default.object) == "Second: hi"


def test_members_are_named_by_their_sections(broken: PluginShop) -> None:
    default = assembled(CHAIN).llm.default
    assert default is not None
    assert [built.section for built in default.members] == ["llm", "llm.fallback.1", "llm.fallback.2"]
    assert (default.section, default.plugin) == ("llm", "broken > echo > echo")


def test_a_chain_can_do_what_all_its_members_can(broken: PluginShop) -> None:
    default = assembled(CHAIN).llm.default
    assert default is not None
    can = default.capabilities
    assert (can.streaming, can.context_tokens, can.network) == (True, 1000, True)


def test_a_fallback_that_the_file_has_elsewhere_is_the_same_object(broken: PluginShop) -> None:
    llm = assembled(CHAIN).llm
    assert llm.default is not None
    assert llm.named["big"].members[1].object is llm.default.members[2].object


def test_a_provider_that_falls_back_to_its_like_is_itself(broken: PluginShop) -> None:
    llm = assembled('[llm]\nuse = "echo"\n[[llm.fallback]]\nuse = "echo"\n').llm.default
    assert llm is not None
    assert llm.members == ()


def test_every_member_is_opened_and_none_twice(broken: PluginShop) -> None:
    sections = [built.section for stage in assembled(CHAIN).stages() for built in stage]
    assert [section for section in sections if section.startswith("llm")] == [
        "llm",
        "llm.fallback.1",
        "llm.fallback.2",
        "llm.named.big",
    ]


def test_problems_of_all_members_are_told_together(broken: PluginShop) -> None:
    text = CHAIN.replace("Second: ", "x").replace('options.prefix = "Third: "', "options.suffix = 1")
    text += '[tts]\nuse = "tone"\n[[tts.fallback]]\nuse = "tune"\n'
    assert problems(text) == [
        "llm.fallback.2.options.suffix",
        "tts.fallback.1",
    ]


MODEL = """
class Model:
    def session(self, settings): pass
class Name(Options):
    name: str = "a"
@hookimpl
def plugin_info(): return PluginInfo("realtime", "model", "", Name)
@hookimpl
def make_realtime(options, site): return Model()
"""
MODELS = """
[llm]
use = "echo"
[realtime]
use = "model"
[[realtime.fallback]]
use = "model"
options.name = "b"
[[realtime.fallback]]
use = "cascade"
"""


def test_a_chain_of_speech_to_speech_models_may_end_in_a_cascade(shop: PluginShop) -> None:
    shop.add("realtime", "model", MODEL)
    voices = '[stt]\nuse = "scripted"\noptions.transcripts = ["x"]\n[tts]\nuse = "tone"\n'
    built = assembled(MODELS + voices).realtime.default
    assert built is not None
    assert [member.plugin for member in built.members] == ["model", "model"]
    assert ("realtime", "realtime.fallback.1") in [
        (kind, place) for kind, place, _ in providers(read_config(MODELS, {}))
    ]
    assert "cascade" not in [wanted.use for _, _, wanted in providers(read_config(MODELS, {}))]


def test_a_cascade_at_the_end_needs_a_recogniser_and_a_voice(shop: PluginShop) -> None:
    shop.add("realtime", "model", MODEL)
    assert problems(MODELS) == ["realtime.fallback.2", "realtime.fallback.2"]


@pytest.mark.parametrize(
    ("text", "section"),
    [
        ("[call]\nfailover_seconds = 8\ntts_seconds = 9\nstt_seconds = 9\n", "call.failover_seconds"),
        ("[timeouts]\nllm_first_seconds = 8\n", "timeouts.failover_seconds"),
    ],
)
def test_a_limit_that_leaves_no_time_for_a_fallback_is_a_problem(
    broken: PluginShop, text: str, section: str
) -> None:
    assert problems(CHAIN + text) == [section]
    assembled('[llm]\nuse = "echo"\n' + text)  # without a fallback it may be as it likes


def test_models_of_fallbacks_are_fetched_too(broken: PluginShop) -> None:
    places = [place for _, place, _ in providers(read_config(CHAIN + DOOR, {}))]
    assert places == [
        "llm",
        "llm.fallback.1",
        "llm.fallback.2",
        "llm.named.big",
        "llm.named.big.fallback.1",
    ]


def test_check_prints_the_order_of_a_chain(broken: PluginShop, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    file.write_text(CHAIN + DOOR)
    text = " ".join(" ".join(checked(broken, file)).split())
    assert "context of 1000 tokens, then [llm.fallback.1], [llm.fallback.2] [llm.fallback.1]" in text
    assert "[llm.named.big] echo streaming, then [llm.fallback.2]" in text


def test_check_start_opens_and_closes_every_member(broken: PluginShop, tmp_path: Path) -> None:
    file = tmp_path / "jackfield.toml"
    text = '[llm]\nuse = "echo"\n[[llm.fallback]]\nuse = "broken"\n[[llm.fallback]]\nuse = "broken"\n'
    file.write_text(text + DOOR)
    shown = checked(broken, file, "--start")
    assert (shown.count("opened"), shown.count("closed")) == (1, 1)


def test_the_schema_knows_the_options_of_fallbacks(
    broken: PluginShop,
) -> None:
    llm = schema_of(read_config(CHAIN + DOOR, {}))["properties"]["llm"]["properties"]
    assert llm["fallback"]["items"]["allOf"]
    assert llm["named"]["additionalProperties"]["properties"]["fallback"]["items"]["allOf"]
