"""The plugin `xllamacpp` with the model of the default configuration."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event, Thread

import anyio
import anyio.lowlevel
import httpx
import psutil
import pytest

from jackfield.contracts.llm import GenerationRequest, Message, ToolCall, ToolSpec
from jackfield.errors import ContextTooLong, PluginCannotStart, ProviderUnavailable
from jackfield.models import ModelMissing, is_fetched, locate
from jackfield.plugin import Site
from jackfield.testing import LLMSuite
from jackfield.testing.cancellation import Work, assert_computation_stops, cancel
from jackfield.testing.llm import answer_of

if not os.environ.get("CI"):
    if importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("Needs xllamacpp.", allow_module_level=True)
    if not is_fetched("smollm2-135m-instruct"):
        pytest.skip("Needs a model: jackfield models fetch smollm2-135m-instruct", allow_module_level=True)

import jackfield_llm_xllamacpp as plugin
from jackfield_llm_xllamacpp import XllamacppOptions, llm as llm_module
from jackfield_llm_xllamacpp.gguf import read_head
from jackfield_llm_xllamacpp.llm import XllamacppLLM
from jackfield_llm_xllamacpp.slots import Place, Slots

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

MODEL = "smollm2-135m-instruct"
FRANCE = "What is the capital of France?"
KNOWLEDGE = "You know all of this. " + " ".join(f"Fact {i} is true." for i in range(30))
INSTRUCTIONS = KNOWLEDGE[:300]
EASY_QUESTIONS = Path(__file__).parents[2] / "data" / "easy_questions.toml"
ALPHABET = "Say the alphabet: a b c d e f g h"


def built(**options: object) -> XllamacppLLM:
    """A model with the plugin's defaults but for `options`."""
    site = Site("llm", "xllamacpp", logging.getLogger("jackfield.test"))
    llm = plugin.make_llm(XllamacppOptions.model_validate(options), site)
    assert isinstance(llm, XllamacppLLM)
    return llm


@asynccontextmanager
async def running(**options: object) -> AsyncIterator[XllamacppLLM]:
    async with built(**options) as llm:
        yield llm


@pytest.fixture(scope="module")
async def llm() -> AsyncIterator[XllamacppLLM]:
    async with running() as llm:
        yield llm


def ask(*texts: str, system: str = "Answer briefly.", max_tokens: int = 24) -> GenerationRequest:
    """A conversation: the user's and the assistant's words in turn."""
    turns = [Message("user" if at % 2 == 0 else "assistant", text) for at, text in enumerate(texts)]
    return GenerationRequest((Message("system", system), *turns), temperature=0.0, max_tokens=max_tokens)


def long_prompt(name: str) -> GenerationRequest:
    """A request that takes many seconds to read."""
    return ask(f"{name}: " + " ".join(f"item {i} is blue" for i in range(230)))


class Conversation:
    """Keeps what was said, as the core does."""

    def __init__(self, name: str, system: str = INSTRUCTIONS) -> None:
        self.name = name
        self.system = system
        self.said: list[str] = []

    def request(self, text: str) -> GenerationRequest:
        request = ask(*self.said, text, system=self.system, max_tokens=8)
        return replace(request, conversation=self.name)

    async def unread_tokens(self, llm: XllamacppLLM, text: str) -> int:
        """Say `text`, and tell how many tokens of the prompt had to be read."""
        answer = await answer_of(llm, self.request(text))
        self.said += [text, answer.text]
        usage = answer.finish.usage
        assert usage is not None
        return usage.prompt_tokens - usage.cached_tokens


async def first_output_s(llm: XllamacppLLM, request: GenerationRequest) -> float:
    begin = time.perf_counter()
    async with aclosing(llm.generate(request)) as generation:
        await anext(generation)
    return time.perf_counter() - begin


class TestXllamacpp(LLMSuite):
    """The promises that every language model makes."""

    capabilities = plugin.plugin_info().capabilities(XllamacppOptions())
    prompt = "Write a long story about a dragon and a king."
    # The same sums are added in another order when chats are computed together.
    deterministic = False


async def test_a_request_that_is_abandoned_while_its_prompt_is_read_is_computed_no_further(
    llm: XllamacppLLM,
) -> None:
    async def read(name: str, ready: Callable[[], None]) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anext, llm.generate(long_prompt(name)))
            await anyio.sleep(0.3)  # in the middle of reading, which has no outward sign
            ready()

    works: list[Work] = [partial(read, name) for name in "abcd"]
    await assert_computation_stops(works, plugin.plugin_info().capabilities(XllamacppOptions()).cancel_s)


async def test_after_an_abandoned_long_prompt_the_next_request_is_served_promptly(llm: XllamacppLLM) -> None:
    async def read(ready: Callable[[], None]) -> None:
        ready()
        async with aclosing(llm.generate(long_prompt("e"))) as generation:
            await anext(generation)

    await cancel(read)
    assert await first_output_s(llm, ask(FRANCE)) < 2.0


async def test_a_request_that_is_abandoned_while_it_waits_for_a_slot_is_never_computed() -> None:
    async with running(slots=1) as llm:
        async with aclosing(llm.generate(ask(ALPHABET, max_tokens=40))) as first:
            await anext(first)
            waiting = ask("Nobody waits for this answer.")
            with anyio.move_on_after(0.05):
                await anext(llm.generate(waiting))
            async for _output in first:
                pass
        usage = (await answer_of(llm, waiting)).finish.usage
        assert usage is not None
        assert usage.cached_tokens < usage.prompt_tokens - 5


async def test_the_next_turn_of_a_conversation_reads_only_what_is_new(llm: XllamacppLLM) -> None:
    # More conversations than slots, alike in their instructions.
    questions = [f"I am number {number}. {FRANCE}" for number in range(6)]
    answers = [(await answer_of(llm, ask(question, system=KNOWLEDGE))).text for question in questions]
    for question, answer in zip(questions, answers, strict=True):
        request = ask(question, answer, "And of Italy?", system=KNOWLEDGE)
        usage = (await answer_of(llm, request)).finish.usage
        assert usage is not None
        assert usage.prompt_tokens - usage.cached_tokens < 20


def claimed(slots: Slots, conversation: str, *, begin: bool = True) -> Place:
    place = slots.claim(conversation, (Message("user", conversation),), Event())
    if begin:
        slots.begin(place)
    return place


def test_a_conversation_gets_its_own_slot_by_number() -> None:
    slots = Slots(3, keeps_chats=True, touch=lambda _index: None)
    places = {name: claimed(slots, name) for name in ("Ann", "Bob", "Eva")}
    for place in places.values():
        slots.release(place, was_stopped=False)
    for name, place in reversed(places.items()):
        again = claimed(slots, name)
        assert (again.pinned, again.slot) == (True, place.slot)


def test_a_conversation_whose_slot_is_busy_gets_another() -> None:
    slots = Slots(2, keeps_chats=True, touch=lambda _index: None)
    first = claimed(slots, "Ann")
    second = claimed(slots, "Ann")
    assert (second.pinned, second.slot is first.slot) == (False, False)


def test_the_next_turn_waits_for_the_slot_that_an_abandoned_one_is_about_to_leave() -> None:
    looked_at = Event()

    class Ending(Event):
        def is_set(self) -> bool:
            looked_at.set()
            return True

    def leave() -> None:
        looked_at.wait()
        slots.release(place, was_stopped=True)

    slots = Slots(2, keeps_chats=True, touch=lambda _index: None)
    place = slots.claim("Ann", (), Ending())
    slots.begin(place)
    leaving = Thread(target=leave)
    leaving.start()
    again = claimed(slots, "Ann")
    leaving.join()
    assert (again.pinned, again.slot) == (True, place.slot)


def test_only_one_generation_at_a_time_is_on_its_way_to_a_slot_that_llama_cpp_chooses() -> None:
    slots = Slots(2, keeps_chats=True, touch=lambda _index: None)
    ann = claimed(slots, "Ann", begin=False)
    is_there = Event()

    def claim() -> None:
        claimed(slots, "Bob")
        is_there.set()

    claiming = Thread(target=claim)
    claiming.start()
    assert not is_there.wait(0.1)
    slots.begin(ann)
    claiming.join()
    assert is_there.is_set()


def test_every_idle_slot_that_llama_cpp_could_prefer_is_touched() -> None:
    touched: list[int] = []
    slots = Slots(4, keeps_chats=True, touch=touched.append)
    place = claimed(slots, "Ann")
    assert sorted([*touched, place.slot.index]) == [0, 1, 2, 3]


async def test_the_turns_right_after_the_start_read_only_what_is_new() -> None:
    async with running() as llm:
        ann = Conversation("Ann")
        assert await ann.unread_tokens(llm, FRANCE) > 90
        for text in ("And of Italy?", "And of Spain?", "Why?"):
            assert await ann.unread_tokens(llm, text) < 25


@pytest.mark.parametrize(("moved_tokens", "least", "most"), [(8, 1, 30), (0, 80, 200)])
async def test_a_conversation_whose_oldest_messages_are_left_out_is_moved_up(
    moved_tokens: int, least: int, most: int
) -> None:
    async with running(moved_tokens=moved_tokens) as llm:
        ann = Conversation("Ann")
        for number in range(4):
            await ann.unread_tokens(llm, f"This is fact {number} about me: I have {number} cats and dogs.")
        del ann.said[:2]
        assert least <= await ann.unread_tokens(llm, "And of Italy?") <= most


async def test_what_other_conversations_left_in_a_slot_is_not_moved() -> None:
    async with running(slots=1, kept_chats_mib=0, moved_tokens=8) as llm:
        ann, bob = Conversation("Ann"), Conversation("Bob")
        for number in range(4):
            await ann.unread_tokens(llm, f"This is fact {number} about me: I have {number} cats and dogs.")
        bob.said = ann.said[2:]
        assert await bob.unread_tokens(llm, "And of Italy?") >= 80


async def test_interleaved_conversations_read_only_what_is_new() -> None:
    async with running() as llm:
        conversations = [Conversation(name) for name in ("Ann", "Bob", "Eva")]
        for conversation in conversations:
            await conversation.unread_tokens(llm, f"I am {conversation.name}. {FRANCE}")
        for text in ("And of Italy?", "Why?", "Thank you."):
            assert max([await each.unread_tokens(llm, text) for each in conversations]) < 25


async def test_more_conversations_than_slots_read_only_what_is_new() -> None:
    async with running() as llm:
        conversations = [Conversation(name) for name in ("Ann", "Bob", "Eva", "Ida", "Leo", "Max")]
        for conversation in conversations:
            await conversation.unread_tokens(llm, f"I am {conversation.name}. {FRANCE}")
        for text in ("And of Italy?", "Why?"):
            assert max([await each.unread_tokens(llm, text) for each in conversations]) < 25


async def test_a_new_conversation_takes_over_the_instructions_and_the_old_one_loses_nothing() -> None:
    async with running() as llm:
        ann, bob = Conversation("Ann"), Conversation("Bob")
        await ann.unread_tokens(llm, f"I am Ann. {FRANCE}")
        assert await bob.unread_tokens(llm, f"I am Bob. {FRANCE}") < 25
        assert await ann.unread_tokens(llm, "And of Italy?") < 25
        assert await bob.unread_tokens(llm, "And of Italy?") < 25


async def test_a_new_conversation_finds_the_instructions_that_only_one_slot_has() -> None:
    async with running() as llm:
        pirate = "You are a pirate. " + INSTRUCTIONS
        ann, bob, eva = Conversation("Ann"), Conversation("Bob", pirate), Conversation("Eva")
        for conversation in (ann, bob):
            await conversation.unread_tokens(llm, FRANCE)
        assert await eva.unread_tokens(llm, f"I am Eva. {FRANCE}") < 25
        assert await bob.unread_tokens(llm, "And of Italy?") < 25


async def test_without_memory_for_kept_chats_each_slot_keeps_its_own() -> None:
    async with running(kept_chats_mib=0, slots=2) as llm:
        conversations = [Conversation("Ann"), Conversation("Bob")]
        for conversation in conversations:
            await conversation.unread_tokens(llm, f"I am {conversation.name}. {FRANCE}")
        for text in ("And of Italy?", "Why?"):
            assert max([await each.unread_tokens(llm, text) for each in conversations]) < 25


async def test_two_turns_of_a_conversation_at_once_are_computed_together_and_the_next_one_is_quick() -> None:
    async with running() as llm:
        ann = Conversation("Ann")
        await ann.unread_tokens(llm, FRANCE)
        story = replace(ann.request("Tell me a long story."), max_tokens=100)
        async with aclosing(llm.generate(story)) as first:
            await anext(first)
            await ann.unread_tokens(llm, "And of Italy?")  # the story goes on
            assert [output async for output in first]
        assert await ann.unread_tokens(llm, "And of Spain?") < 25


async def test_conversations_that_begin_at_once_are_each_found_again() -> None:
    async with running() as llm:
        conversations = [Conversation(name) for name in ("Ann", "Bob", "Eva", "Ida")]
        unread: list[int] = []

        async def talk(conversation: Conversation) -> None:
            await conversation.unread_tokens(llm, f"I am {conversation.name}. {FRANCE}")
            unread.append(await conversation.unread_tokens(llm, "And of Italy?"))

        async with anyio.create_task_group() as tasks:
            for conversation in conversations:
                tasks.start_soon(talk, conversation)
        assert max(unread) < 25


async def test_a_cancelled_turn_frees_its_slot_and_the_next_one_is_quick() -> None:
    async with running(slots=1) as llm:
        ann = Conversation("Ann")
        await ann.unread_tokens(llm, FRANCE)
        for _ in range(3):
            async with aclosing(llm.generate(ann.request("Tell me a long story."))) as turn:
                await anext(turn)
        assert await ann.unread_tokens(llm, "And of Italy?") < 25


async def test_an_answer_that_is_begun_again_with_more_words_does_not_read_the_rest_again() -> None:
    async with running() as llm:
        ann = Conversation("Ann")
        await ann.unread_tokens(llm, "Hello!")
        words = ["Tell", "me", "please", "what", "the", "capital", "of", "France", "is"]
        for count in range(6, len(words)):
            request = replace(ann.request(" ".join(words[:count])), max_tokens=100)
            async with aclosing(llm.generate(request)) as early:
                await anext(early)
        # Not even when nothing has come yet.
        with anyio.move_on_after(0.01):
            await anext(llm.generate(ann.request(" ".join(words))))
        assert await ann.unread_tokens(llm, " ".join(words) + " and why") < 25


async def test_a_request_that_is_refused_leaves_the_slots_as_they_were() -> None:
    async with running(slots=2) as llm:
        ann = Conversation("Ann")
        await ann.unread_tokens(llm, FRANCE)
        for name in ("Bob", "Eva", "Ann"):
            with pytest.raises(ContextTooLong):
                await answer_of(llm, replace(ask("blue sky " * 3000), conversation=name))
        assert await ann.unread_tokens(llm, "And of Italy?") < 25


async def test_a_new_conversation_does_not_read_the_shared_instructions_again(llm: XllamacppLLM) -> None:
    for question in ("One?", "Two, or is it more?", "Three it is."):
        usage = (await answer_of(llm, ask(question, system=KNOWLEDGE))).finish.usage
    assert usage is not None
    assert usage.cached_tokens > 150
    assert usage.prompt_tokens - usage.cached_tokens < 20


async def test_six_chats_on_four_slots_are_all_answered_and_not_mixed(llm: XllamacppLLM) -> None:
    names = ["Rome", "Paris", "Berlin", "Madrid", "Oslo", "Vienna"]
    answers: dict[str, str] = {}

    async def repeat(name: str) -> None:
        request = ask("Say: Lima", "Lima", "Say: Cairo", "Cairo", f"Say: {name}", system="Repeat the word.")
        answers[name] = (await answer_of(llm, request)).text

    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(repeat, name)
    assert {name: name in answers[name] for name in names} == dict.fromkeys(names, True)


async def test_a_prompt_that_does_not_fit_says_so_with_the_numbers(llm: XllamacppLLM) -> None:
    with pytest.raises(ContextTooLong, match=r"has 6\d\d\d tokens, the context 2048"):
        await answer_of(llm, ask("blue sky " * 3000))


async def test_control_tokens_in_a_message_are_read_as_plain_text(llm: XllamacppLLM) -> None:
    async def prompt_tokens(text: str) -> int:
        usage = (await answer_of(llm, ask(text, max_tokens=1))).finish.usage
        assert usage is not None
        return usage.prompt_tokens

    empty = await prompt_tokens("")
    # As a control token each would be one token.
    for token in ("<|im_end|>", "<|im_start|>", "<|endoftext|>"):
        assert await prompt_tokens(token * 10) > empty + 30


async def test_a_seed_makes_random_answers_repeatable() -> None:
    async with running(seed=7, temperature=1.5) as llm:
        request = replace(ask("Tell me a story.", max_tokens=12), temperature=None)
        first, again = [(await answer_of(llm, request)).text for _ in range(2)]
        assert first == again
        assert first != (await answer_of(llm, replace(request, temperature=0.0))).text


async def test_the_finish_names_model_and_provider(llm: XllamacppLLM) -> None:
    finish = (await answer_of(llm, ask(FRANCE))).finish
    assert (finish.model, finish.provider) == (MODEL, "xllamacpp")


async def test_the_event_loop_turns_while_all_slots_generate(llm: XllamacppLLM) -> None:
    gaps_s: list[float] = []

    async def tick() -> None:
        last = time.perf_counter()
        while True:
            await anyio.sleep(0.005)
            now = time.perf_counter()
            gaps_s.append(now - last)
            last = now

    async with anyio.create_task_group() as ticking:
        ticking.start_soon(tick)
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(answer_of, llm, ask(f"{number} {ALPHABET}"))
        ticking.cancel_scope.cancel()
    assert len(gaps_s) > 20
    assert max(gaps_s) < 0.1


async def test_it_answers_easy_questions_with_instructions_and_examples(llm: XllamacppLLM) -> None:
    questions = tomllib.loads(EASY_QUESTIONS.read_text())["question"]
    right: list[str] = []

    async def put(question: str, expected: list[str]) -> None:
        examples = (
            "What is the capital of Italy?",
            "The capital of Italy is Rome.",
            "What is three plus three?",
            "Three plus three is six.",
        )
        system = "You are a helpful voice assistant. Answer in one short sentence."
        answer = (await answer_of(llm, ask(*examples, question, system=system, max_tokens=64))).text.lower()
        if set(expected) & set(re.findall(r"\w+", answer)):
            right.append(question)

    async with anyio.create_task_group() as tasks:
        for question in questions:
            tasks.start_soon(put, question["ask"], question["expect"])
    assert len(questions) == 10
    assert len(right) >= 8


async def test_two_models_run_side_by_side_and_one_goes_on_when_the_other_is_closed(
    llm: XllamacppLLM,
) -> None:
    async with running(slots=1) as other:
        assert (await answer_of(other, ask(FRANCE))).text
    assert (await answer_of(llm, ask(FRANCE))).text


async def test_a_chat_in_progress_ends_with_an_error_when_the_model_is_closed() -> None:
    llm = built()
    async with llm:
        generation = llm.generate(ask(ALPHABET, max_tokens=500))
        await anext(generation)
    with pytest.raises(ProviderUnavailable):
        async for _output in generation:
            pass


async def test_no_thread_is_left_after_closing() -> None:
    async with running():  # the libraries' lasting threads
        pass
    before = psutil.Process().num_threads()
    async with running() as llm:
        await answer_of(llm, ask(FRANCE))
    assert psutil.Process().num_threads() <= before


TOOL_TEMPLATE = """{%- if tools %}<|im_start|>system
Call a tool like this: <tool_call>{"name": NAME, "arguments": ARGUMENTS}</tool_call>
{%- for tool in tools %}
{{ tool | tojson }}{% endfor %}<|im_end|>
{% endif %}
{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content or '' }}
{%- for call in message.tool_calls or [] %}
<tool_call>
{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}
</tool_call>{% endfor %}<|im_end|>
{% endfor %}
{%- if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""

WEATHER = ToolSpec(
    "weather",
    "Tells the weather in a city.",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


async def test_a_tool_call_is_delivered_whole(tmp_path: Path) -> None:
    template = tmp_path / "tools.jinja"
    template.write_text(TOOL_TEMPLATE)
    messages: list[Message] = []
    for city in ("Lima", "Cairo", "Tokyo"):
        messages += [
            Message("user", f"Weather in {city}?"),
            Message("assistant", "", (ToolCall(city, "weather", json.dumps({"city": city})),)),
            Message("tool", "Sunny.", tool_call_id=city),
            Message("assistant", "It is sunny."),
        ]
    messages.append(Message("user", "Weather in Rome?"))
    async with running(chat_template=template) as llm:
        answer = await answer_of(llm, GenerationRequest(tuple(messages), (WEATHER,), max_tokens=64))
    assert [(call.name, json.loads(call.arguments)) for call in answer.calls] == [
        ("weather", {"city": "Rome"})
    ]
    assert answer.finish.reason == "tool_calls"


async def test_a_model_without_a_place_for_tools_answers_in_words(llm: XllamacppLLM) -> None:
    answer = await answer_of(llm, replace(ask("Weather in Rome?"), tools=(WEATHER,)))
    assert answer.text
    assert answer.calls == ()


def test_a_missing_file_is_named() -> None:
    with pytest.raises(ModelMissing, match=r"nowhere\.gguf"):
        built(model="/tmp/nowhere.gguf")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "not a model in GGUF format"),
        (b"PK\x03\x04 something else", "not begin with the letters GGUF"),
        (b"GGUF" + bytes(range(256)) * 20, "format version"),
        (b"GGUF\x03\0\0\0" + b"\xff" * 4000, "damaged"),
    ],
    ids=["empty", "zip", "random", "damaged head"],
)
async def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    file = tmp_path / "model.gguf"
    file.write_bytes(content)
    with pytest.raises(PluginCannotStart, match=problem):
        async with running(model=str(file)):
            pass


async def test_a_model_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "model.gguf"
    with locate(MODEL).open("rb") as whole:
        file.write_bytes(whole.read(20_000_000))
    with pytest.raises(PluginCannotStart, match="incomplete or damaged"):
        async with running(model=str(file)):
            pass


def test_the_head_of_the_file_names_the_control_tokens() -> None:
    head = read_head(locate(MODEL))
    assert {"<|im_start|>", "<|im_end|>", "<|endoftext|>"} <= set(head.control_tokens)
    assert head.trained_tokens == 8192
    assert head.has_chat_template


SOCKETS = """
import anyio, json, logging, psutil, sys
from jackfield.contracts.llm import GenerationRequest, Message
from jackfield.plugin import Site
from jackfield_llm_xllamacpp import XllamacppOptions, make_llm

async def main():
    site = Site("llm", "xllamacpp", logging.getLogger())
    async with make_llm(XllamacppOptions(model=sys.argv[1]), site) as llm:
        request = GenerationRequest((Message("user", "Hi"),), max_tokens=2)
        async for output in llm.generate(request):
            pass
        mine = psutil.Process()
        inet = [c.laddr for c in mine.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        files = [c.laddr for c in mine.net_connections("unix") if c.laddr]
        print(json.dumps([inet, files]))

anyio.run(main)
"""


def test_the_process_listens_on_no_port_and_its_socket_file_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SOCKETS, str(locate(MODEL))],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    ports, files = json.loads(done.stdout)
    assert ports == []
    assert [file for file in files if Path(file).exists() or Path(file).parent.exists()] == []
    assert done.stderr == ""


async def test_where_there_are_no_socket_files_the_port_wants_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llm_module, "_HAS_SOCKET_FILES", False)
    async with running():
        (address,) = [
            c.laddr for c in psutil.Process().net_connections("inet") if c.status == psutil.CONN_LISTEN
        ]
        assert address.ip == "127.0.0.1"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{address.port}") as client:
            gets = [
                await client.get(path)
                for path in ("/slots", "/props", "/metrics", "/v1/models", "/v1/stream")
            ]
            posts = [
                await client.post(path, json={"prompt": "Hi", "messages": []})
                for path in (
                    "/completion",
                    "/v1/chat/completions",
                    "/tokenize",
                    "/apply-template",
                    "/slots/0",
                )
            ]
            assert {answer.status_code for answer in gets + posts} == {401}
            # Open to all, and tells nothing else.
            assert (await client.get("/health")).json() == {"status": "ok"}
