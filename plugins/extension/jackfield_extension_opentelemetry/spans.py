"""From events to spans: a turn with a child for each step, a call with its turns as children."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jackfield.contracts.extension import CallEnded, CallStarted, Event, ProviderFailed, Step, TurnFinished

Attributes = Mapping[str, str | int | float | bool | list[str]]

_MOST_CALLS: Final = 10_000
"""Calls whose end may be awaited; an end that was lost on the way is not awaited for ever."""
_OPERATIONS: Final = {"stt": "transcribe", "llm": "chat", "tool": "execute_tool", "tts": "speak"}
_PROVIDERS: Final = {"azure_openai": "azure.ai.openai"}
"""What the semantic conventions call a plugin's provider, where that is not the plugin's name."""
_FAILED: Final = "provider_failed"
_TOOK_OVER: Final = "provider_took_over"


class Spans:
    """Makes spans of events. Used by one thread."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self._calls: OrderedDict[str, Span] = OrderedDict()
        self._incoming = TraceContextTextMapPropagator()

    def add(self, event: Event) -> None:
        """Take an event."""
        if isinstance(event, TurnFinished):
            self._add_turn(event)
        elif isinstance(event, CallStarted):
            self._begin_call(event)
        elif isinstance(event, CallEnded):
            self._end_call(event)
        elif isinstance(event, ProviderFailed) and (call := self._calls.get(event.call)):
            attributes = {"jackfield.section": event.section, "error.type": event.error}
            call.add_event(_FAILED, attributes, _ns(event.at_s))

    def end(self) -> None:
        """End what is still open."""
        for call in self._calls.values():
            call.end()
        self._calls.clear()

    def _begin_call(self, event: CallStarted) -> None:
        attributes = _of(event.transport, event.session) | {"jackfield.call.id": event.call}
        self._calls[event.call] = self._tracer.start_span(
            f"call {event.transport}",
            self._caller(event.traceparent),
            SpanKind.SERVER,
            attributes,
            start_time=_ns(event.at_s),
        )
        if len(self._calls) > _MOST_CALLS:
            self._calls.popitem(last=False)[1].end()

    def _end_call(self, event: CallEnded) -> None:
        call = self._calls.pop(event.call, None)
        if call is not None:
            call.set_attribute("jackfield.call.end_reason", event.reason)
            call.end(_ns(event.at_s))

    def _add_turn(self, event: TurnFinished) -> None:
        zero_s = event.at_s - event.duration_s
        began_s = zero_s + min([0.0, *(step.began_s for step in event.steps)])
        call = self._calls.get(event.call)
        turn = self._tracer.start_span(
            f"turn {event.transport}",
            set_span_in_context(call) if call is not None else self._caller(event.traceparent),
            SpanKind.INTERNAL if call is not None else SpanKind.SERVER,
            _of_turn(event),
            start_time=_ns(began_s),
        )
        if not turn.is_recording():  # neither are its children: samplers follow their parents
            return
        for stage, seconds in event.waterfall.items():
            turn.add_event(stage, timestamp=_ns(zero_s + seconds))
        if event.outcome == "failed":
            turn.set_status(Status(StatusCode.ERROR))
        within = set_span_in_context(turn)
        for step in event.steps:
            self._add_step(step, zero_s, within)
        turn.end(_ns(event.at_s))

    def _add_step(self, step: Step, zero_s: float, within: Context) -> None:
        kind = SpanKind.INTERNAL if step.kind == "tool" else SpanKind.CLIENT
        attributes = _of_step(step)
        span = self._tracer.start_span(
            _name(step), within, kind, attributes, start_time=_ns(zero_s + step.began_s)
        )
        for trouble in step.troubles:
            at_ns = _ns(zero_s + trouble.at_s)
            failure = {
                "jackfield.section": trouble.section,
                "jackfield.plugin": trouble.provider,
                "error.type": trouble.error,
            }
            span.add_event(_FAILED, failure, at_ns)
            if trouble.taken_over_by:
                taker = {"jackfield.section": trouble.taken_over_by, "error.type": trouble.error}
                span.add_event(_TOOK_OVER, taker, at_ns)
        if step.first_s is not None:
            span.add_event("first_output", timestamp=_ns(zero_s + step.first_s))
        if step.outcome == "failed":
            span.set_status(Status(StatusCode.ERROR))
        span.end(_ns(zero_s + step.ended_s))

    def _caller(self, traceparent: str) -> Context:
        """The trace that the client asked to be part of; a new one without, or when it cannot be read."""
        return self._incoming.extract({"traceparent": traceparent} if traceparent else {}, Context())


def _name(step: Step) -> str:
    if step.kind == "llm":
        return f"chat {step.requested_model or step.model}".rstrip()
    if step.kind == "tool":
        return f"execute_tool {step.provider}".rstrip()
    return f"{step.kind} {step.provider}"


def _of(transport: str, session: str) -> dict[str, str | int | float | bool | list[str]]:
    return {"jackfield.transport": transport, "gen_ai.conversation.id": session}


def _of_turn(event: TurnFinished) -> Attributes:
    attributes = _of(event.transport, event.session)
    attributes["jackfield.turn.id"] = event.turn
    attributes["jackfield.outcome"] = event.outcome
    attributes["jackfield.message.type"] = event.message_type
    if event.language:
        attributes["jackfield.language"] = event.language
    if event.call:
        attributes["jackfield.call.id"] = event.call
    if event.error:
        attributes["error.type"] = event.error
    return attributes


def _of_step(step: Step) -> Attributes:
    attributes: dict[str, str | int | float | bool | list[str]] = {
        "gen_ai.operation.name": _OPERATIONS[step.kind],
        "jackfield.outcome": step.outcome,
    }
    if step.kind == "tool":
        attributes["gen_ai.tool.name"] = step.provider or "unknown"
    else:
        attributes["gen_ai.provider.name"] = _PROVIDERS.get(step.provider, step.provider)
        attributes["jackfield.section"] = step.section
        attributes["jackfield.plugin"] = step.provider
    if step.error:
        attributes["error.type"] = step.error
    elif step.outcome == "failed":
        attributes["error.type"] = "_OTHER"
    if step.first_s is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = step.first_s - step.began_s
    if step.kind == "llm":
        attributes |= _of_generation(step)
    return attributes


def _of_generation(step: Step) -> Attributes:
    attributes: dict[str, str | int | float | bool | list[str]] = {}
    if step.requested_model:
        attributes["gen_ai.request.model"] = step.requested_model
    if step.model:
        attributes["gen_ai.response.model"] = step.model
    if step.reason:
        attributes["gen_ai.response.finish_reasons"] = [step.reason]
    if step.usage is not None:
        attributes["gen_ai.usage.input_tokens"] = step.usage.prompt_tokens
        attributes["gen_ai.usage.output_tokens"] = step.usage.completion_tokens
        if step.usage.cached_tokens:
            attributes["gen_ai.usage.cache_read.input_tokens"] = step.usage.cached_tokens
        if step.usage.estimated:
            attributes["jackfield.usage.estimated"] = True
    return attributes


def _ns(at_s: float) -> int:
    return round(at_s * 1e9)
