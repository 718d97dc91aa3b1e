"""Spans that are made of events, by the real SDK."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jackfield.contracts.extension import (
    CallEnded,
    CallStarted,
    Event,
    ProviderFailed,
    ServerStarted,
    Step,
    Trouble,
    TurnFinished,
    TurnStarted,
)
from jackfield.contracts.llm import Usage
from jackfield_extension_opentelemetry.spans import Spans


def made(*events: Event, ended: bool = False) -> Sequence[ReadableSpan]:
    """The spans that are over, in the order in which they ended."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("test"))
    for event in events:
        spans.add(event)
    if ended:
        spans.end()
    return exporter.get_finished_spans()


def turn(*steps: Step, outcome: str = "ok", call: str = "", traceparent: str = "") -> TurnFinished:
    return TurnFinished(
        "door", "s", "t", outcome, {}, 1.0, steps, call=call, traceparent=traceparent, at_s=1000.0
    )


def test_a_generation_tells_its_model_and_what_it_cost() -> None:
    usage = Usage(100, 7, cached_tokens=90)
    step = Step(
        "llm", "llm", "azure_openai", 0.1, 0.5, 0.2, requested_model="gpt-4o", model="gpt-4o-1", usage=usage
    )
    span, _turn = made(turn(step))

    assert span.name == "chat gpt-4o"
    assert span.attributes is not None
    assert span.attributes["gen_ai.provider.name"] == "azure.ai.openai"
    assert span.attributes["gen_ai.request.model"] == "gpt-4o"
    assert span.attributes["gen_ai.response.model"] == "gpt-4o-1"
    assert span.attributes["gen_ai.usage.input_tokens"] == 100
    assert span.attributes["gen_ai.usage.output_tokens"] == 7
    assert span.attributes["gen_ai.usage.cache_read.input_tokens"] == 90
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(0.1)
    assert (span.start_time, span.end_time) == (999_100_000_000, 999_500_000_000)


@pytest.mark.parametrize(
    ("name", "span_name", "tool"),
    [("search", "execute_tool search", "search"), ("", "execute_tool", "unknown")],
)
def test_a_tool_is_told_by_name_unless_the_model_invented_it(name: str, span_name: str, tool: str) -> None:
    span, _turn = made(turn(Step("tool", "", name, 0.1, 0.2, outcome="failed")))

    assert span.name == span_name
    assert span.attributes is not None
    assert span.attributes["gen_ai.tool.name"] == tool
    assert span.attributes["error.type"] == "_OTHER"
    assert not span.status.is_ok


def test_a_step_that_began_before_its_turn_lies_within_it_all_the_same() -> None:
    step, whole = made(turn(Step("llm", "llm", "echo", -0.25, 0.5)))

    assert step.start_time == whole.start_time == 998_750_000_000


def test_a_cancelled_step_is_no_error() -> None:
    step, whole = made(turn(Step("tts", "tts", "tone", 0.1, 0.5, outcome="cancelled"), outcome="interrupted"))

    assert step.status.is_unset
    assert whole.status.is_unset


def test_a_failure_that_nobody_takes_over_is_an_event_alone() -> None:
    trouble = Trouble(0.2, "llm", "echo", "ProviderTimedOut")
    step, _turn = made(turn(Step("llm", "llm", "echo", 0.1, 0.5, troubles=(trouble,))))

    assert [(event.name, event.timestamp) for event in step.events] == [("provider_failed", 999_200_000_000)]


def test_ears_that_fail_between_two_turns_are_an_event_of_the_call() -> None:
    (call,) = made(
        CallStarted("door", "s", "c", at_s=1.0),
        ProviderFailed("stt", "scripted", "ProviderRefused", call="c", at_s=2.0),
        CallEnded("door", "s", "c", "idle", 4.0, at_s=5.0),
    )

    assert [(event.name, event.timestamp) for event in call.events] == [("provider_failed", 2_000_000_000)]
    assert (call.start_time, call.end_time) == (1_000_000_000, 5_000_000_000)


def test_a_turn_of_a_call_whose_beginning_was_lost_is_a_trace_of_its_own() -> None:
    (found,) = made(turn(call="lost"), CallEnded("door", "s", "lost", "idle", 4.0))

    assert found.parent is None


def test_a_call_that_is_still_held_is_ended_with_the_server() -> None:
    assert made(CallStarted("door", "s", "c")) == ()
    assert len(made(CallStarted("door", "s", "c"), ended=True)) == 1


@pytest.mark.parametrize("header", ["nonsense", "00-" + "0" * 32 + "-b7ad6b7169203331-01", "ff", "é" * 55])
def test_a_header_that_is_none_begins_a_new_trace(header: str) -> None:
    (found,) = made(turn(traceparent=header))

    assert found.parent is None


def test_a_caller_that_samples_nothing_is_heeded() -> None:
    assert made(turn(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")) == ()


def test_other_events_make_no_spans() -> None:
    assert made(ServerStarted(), TurnStarted("door", "s", "t"), ProviderFailed("llm", "echo", "X")) == ()
