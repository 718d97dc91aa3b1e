"""Traces: a server in a process of its own, and the collector that it sends them to."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio
import httpx
import pytest
from anyio.abc import SocketAttribute
from pydantic import ValidationError
from websockets.sync.client import connect

from jackfield import Site
from jackfield.contracts.extension import CallStarted, TurnFinished
from jackfield.errors import PluginWrongOptions
from jackfield_extension_opentelemetry import (
    OpentelemetryOptions,
    TraceObserver,
    make_observer,
    plugin_info,
)
from tests.collector import Collector, Exported, collecting
from tests.redis_server import free_port
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(60)

ROOT: Final = Path(__file__).parents[3]
QUESTION: Final = (ROOT / "examples" / "question.wav").read_bytes()
CALLER_TRACE, CALLER_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT: Final = f"00-{CALLER_TRACE}-{CALLER_SPAN}-01"
SAID: Final = "platypus"
"""What users and tools say, and no trace may hold."""
CONFIG: Final = f"""
[llm]
use = "echo"
[[llm.fallback]]
use = "echo"
options.prefix = "{SAID} answers: "
[stt]
use = "scripted"
options.transcripts = ["Tell me of the {SAID}. Tell me more of it."]
options.delay_s = 0.01
[tts]
use = "tone"
options.character_ms = 1
[session]
use = "memory"
[[transport]]
use = "relay_chat"
[[transport]]
use = "voice_socket"
[[extension]]
use = "chaos"
options.rules = [
    {{ section = "llm", do = "unavailable", times = 1, delay_s = 0.01 }},
    {{ section = "stt", do = "refused", times = 1 }},
]
[[extension]]
use = "opentelemetry"
options.interval_s = 0.05
[extension.options.environment]
OTEL_SERVICE_NAME = "parlour"
OTEL_EXPORTER_OTLP_ENDPOINT = "COLLECTOR"
OTEL_EXPORTER_OTLP_HEADERS = "x-key=a-secret-key"
OTEL_BSP_SCHEDULE_DELAY = "50"
"""


@dataclass(frozen=True)
class Traced:
    """What was asked, and what arrived of it."""

    collector: Collector
    began_s: float
    ended_s: float
    log: str

    @property
    def turns(self) -> list[Exported]:
        return self.collector.named("turn relay_chat")


def ask(server: ServerProcess, **files: tuple[str, bytes, str]) -> httpx.Response:
    """Send a message through the door relay_chat."""
    kind = "voice" if files else "text"
    form = {"message": f"A {SAID}?", "type": kind, "sessionId": "s", "userId": "u", "username": "U"}
    headers = {} if files else {"traceparent": TRACEPARENT}
    return server.client.post("/chat", data=form, files=files or None, headers=headers)


def call(server: ServerProcess) -> None:
    """Hold a call of one spoken turn."""
    url = server.url.replace("http", "ws", 1) + "/voice"
    with connect(url, proxy=None, additional_headers={"traceparent": TRACEPARENT}) as socket:
        socket.send(json.dumps({"type": "start", "turns": "explicit"}))
        socket.send(json.dumps({"type": "speech.start"}))
        socket.send(bytes(range(256)) * 125)
        socket.send(json.dumps({"type": "speech.end"}))
        while True:
            message = socket.recv(10)
            if isinstance(message, str) and json.loads(message)["type"] == "reply.finished":
                return


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector:
        (folder / "jackfield.toml").write_text(CONFIG.replace("COLLECTOR", collector.url))
        began_s = time.time()
        with ServerProcess(folder, ["--port", "0"], os.environ) as server:
            clip = ("clip.wav", QUESTION, "audio/wav")
            answers = [ask(server), ask(server, audio=clip), ask(server, audio=clip)]
            collector.wait(lambda: bool(collector.named("turn")))
            call(server)
        assert [answer.status_code for answer in answers] == [200, 502, 200], server.output()
        yield Traced(collector, began_s, time.time(), server.output())


def test_a_turn_is_a_span_with_a_child_for_each_step(traced: Traced) -> None:
    text, unheard, voice = traced.turns

    assert [span.name for span in traced.collector.children(text)] == ["chat echo"]
    assert [span.name for span in traced.collector.children(unheard)] == ["stt scripted"]
    steps = [span.name for span in traced.collector.children(voice)]
    assert steps == ["stt scripted", "chat echo", "tts tone", "tts tone"]
    assert [span.kind for span in traced.turns] == ["SERVER"] * 3
    assert text.attributes["jackfield.transport"] == "relay_chat"
    assert text.attributes["jackfield.outcome"] == "ok"
    assert text.attributes["jackfield.message.type"] == "text"
    assert voice.attributes["jackfield.message.type"] == "voice"
    assert text.attributes["gen_ai.conversation.id"] == voice.attributes["gen_ai.conversation.id"]


def test_times_are_nested_and_in_order(traced: Traced) -> None:
    slack_s = 1e-6  # a time since the epoch has no more digits
    for parent in [*traced.turns, *traced.collector.named("call")]:
        assert traced.began_s - slack_s <= parent.began_s <= parent.ended_s <= traced.ended_s + slack_s
        for child in traced.collector.children(parent):
            assert parent.began_s - slack_s <= child.began_s <= child.ended_s <= parent.ended_s + slack_s
            for event in child.events:
                assert child.began_s - slack_s <= event.at_s <= child.ended_s + slack_s
    stt, chat, *_, tts = traced.collector.children(traced.turns[2])
    assert stt.ended_s <= chat.began_s + slack_s
    assert stt.ended_s - stt.began_s >= 0.01
    assert chat.began_s < tts.ended_s


def test_a_generation_is_told_in_the_terms_of_the_semantic_conventions(traced: Traced) -> None:
    chat = traced.collector.children(traced.turns[0])[0]

    assert chat.kind == "CLIENT"
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.provider.name"] == "echo"
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert chat.attributes["gen_ai.usage.output_tokens"] == 4
    assert chat.attributes["jackfield.section"] == "llm.fallback.1"


def test_failures_and_take_overs_are_events_of_the_step(traced: Traced) -> None:
    chat = traced.collector.children(traced.turns[0])[0]
    failed, took_over = (event for event in chat.events if event.name.startswith("provider"))

    assert (failed.name, failed.attributes["jackfield.section"]) == ("provider_failed", "llm")
    assert failed.attributes["error.type"] == "ProviderUnavailable"
    assert took_over.attributes["jackfield.section"] == "llm.fallback.1"
    assert not chat.failed


def test_a_recording_that_is_not_understood_is_a_turn_that_failed(traced: Traced) -> None:
    turn = traced.turns[1]
    stt = traced.collector.children(turn)[0]

    assert turn.failed
    assert stt.failed
    assert turn.attributes["error.type"] == stt.attributes["error.type"] == "ProviderRefused"


def test_a_call_is_a_span_with_its_turns_as_children(traced: Traced) -> None:
    (held,) = traced.collector.named("call")
    (turn,) = traced.collector.children(held)
    steps = traced.collector.children(turn)

    assert (turn.name, turn.kind) == ("turn voice_socket", "INTERNAL")
    assert {span.name for span in steps} == {"stt scripted", "chat echo", "tts tone"}
    assert held.attributes["jackfield.call.end_reason"] == "hung_up"
    assert [event.name for event in turn.events][:2] == ["speech_end", "endpoint"]


def test_a_client_that_traces_finds_turns_and_calls_in_its_trace(traced: Traced) -> None:
    text, unheard, voice = traced.turns
    (held,) = traced.collector.named("call")

    assert (text.trace, text.parent) == (CALLER_TRACE, CALLER_SPAN)
    assert (held.trace, held.parent) == (CALLER_TRACE, CALLER_SPAN)
    assert not unheard.parent
    assert not voice.parent


def test_no_span_holds_a_word_of_anybody(traced: Traced) -> None:
    sent = b"".join(traced.collector.bodies)

    assert b"scripted" in sent
    for word in (SAID, "answers", "Tell me", "secret-key"):
        assert word.encode() not in sent
        assert word not in traced.log


def test_the_variables_of_the_sdk_are_heeded(traced: Traced) -> None:
    assert traced.collector.resources[0]["service.name"] == "parlour"
    assert traced.collector.headers[0]["x-key"] == "a-secret-key"


def test_no_server_imports_the_sdk(tmp_path: Path) -> None:
    (tmp_path / "jackfield.toml").write_text(CONFIG)
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from jackfield.assembly import assemble\n"
        "from jackfield.config import load_config\n"
        "from jackfield.server.app import create_app\n"
        "create_app(assemble(load_config(Path(sys.argv[1]))))\n"
        "print('jackfield_extension_opentelemetry' in sys.modules)\n"
        "print(*sorted({'opentelemetry.sdk', 'google.protobuf', 'requests'} & sys.modules.keys()))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "jackfield.toml")]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["True", ""]


TURN: Final = TurnFinished("door", "session", "turn", "ok", {}, duration_s=0.1)


def observer(
    endpoint: str, *, flush_s: float = 3.0, variables: Mapping[str, str] | None = None
) -> TraceObserver:
    site = Site("extension.1", "opentelemetry", logging.getLogger("jackfield.extension.opentelemetry"))
    known = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "20", **(variables or {})}
    options = OpentelemetryOptions.model_validate(
        {"environment": known, "interval_s": 0.02, "flush_s": flush_s}
    )
    return make_observer(options, site)


@pytest.mark.anyio
async def test_a_collector_out_of_reach_is_told_once_and_told_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    variables = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.1"}
    traces = observer(f"http://somebody:password@127.0.0.1:{port}", variables=variables)
    async with traces:
        for _ in range(2):
            await traces.observe(TURN)
            await settled(traces)
        assert len(caplog.messages) == 1
        assert "traces are lost: the collector at http://127.0.0.1" in caplog.text
        with collecting(port):
            await traces.observe(TURN)
            await settled(traces)
    assert "traces are taken again" in caplog.text
    assert "password" not in caplog.text


@pytest.mark.anyio
async def test_a_collector_that_does_not_answer_holds_the_stop_up_no_longer_than_it_may(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
        port = listener.extra(SocketAttribute.local_port)
        traces = observer(f"http://127.0.0.1:{port}", flush_s=0.3)
        async with traces:
            await traces.observe(TURN)
            began_s = anyio.current_time()
        assert anyio.current_time() - began_s < 2


@pytest.mark.anyio
async def test_what_waits_at_the_end_is_sent_before_the_stop() -> None:
    with collecting() as collector:
        async with observer(collector.url, variables={"OTEL_BSP_SCHEDULE_DELAY": "60000"}) as traces:
            await traces.observe_all([TURN] * 300 + [CallStarted("door", "session", "unfinished")])
        assert len(collector.named("turn")) == 300
        assert len(collector.named("call")) == 1


@pytest.mark.anyio
async def test_the_environment_of_the_server_counts_where_the_file_says_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    with collecting() as collector:
        async with observer(collector.url) as traces:
            await traces.observe(TURN)
            await traces.observe(replace(TURN, traceparent=TRACEPARENT))
        assert [span.trace for span in collector.spans] == [CALLER_TRACE]


@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "http/protobuf"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "otlp"),
    ],
)
def test_an_exporter_that_is_not_there_stops_the_start(variable: str, value: str, fix: str) -> None:
    with pytest.raises(PluginWrongOptions) as raised:
        observer("http://127.0.0.1:9", variables={variable: value})
    (problem,) = raised.value.problems
    assert variable in problem.message
    assert value in problem.message
    assert fix in problem.fix


def test_only_variables_of_opentelemetry_are_taken() -> None:
    with pytest.raises(ValidationError, match="PATH is no variable of OpenTelemetry"):
        OpentelemetryOptions.model_validate({"environment": {"PATH": "/bin"}})


@pytest.mark.parametrize(
    ("environment", "network"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example"}, True),
    ],
)
def test_it_says_whether_anything_leaves_the_machine(environment: dict[str, str], *, network: bool) -> None:
    options = OpentelemetryOptions.model_validate({"environment": environment})

    assert plugin_info().capabilities(options).network is network


async def settled(traces: TraceObserver) -> None:
    """Ask as the server does, until it is known how the last events went."""
    with anyio.fail_after(10):
        while traces.uncertain:
            await anyio.sleep(0.02)
            await traces.observe_all([])
