"""The program that makes spans and exports them: the OpenTelemetry SDK in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from threading import Lock
from typing import Final
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from jackfield.processes import Abandoned, Answer, Fields, Handle, serve
from jackfield_extension_opentelemetry.events import unpacked
from jackfield_extension_opentelemetry.spans import Spans

NOTHING: Final = {"sent": 0, "failed": 0}
"""Spans that were got rid of, and that were not."""
_NICENESS: Final = 10
"""Spans can wait; answers cannot."""


class WatchedExporter(SpanExporter):
    """An exporter that says how many spans it got rid of, and how many it did not."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lock = Lock()
        self._counts = dict(NOTHING)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        with self._lock:
            self._counts["sent" if result is SpanExportResult.SUCCESS else "failed"] += len(spans)
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)

    def taken(self) -> Mapping[str, int]:
        """Give the counts since they were asked for last."""
        with self._lock:
            counts, self._counts = self._counts, dict(NOTHING)
        return counts


def start(settings: Fields) -> tuple[Fields, Handle]:
    """Set the SDK up as the environment says."""
    variables = settings.get("environment")
    if isinstance(variables, Mapping):
        os.environ.update(variables)
    with suppress(OSError):
        os.nice(_NICENESS)
    exporter = (
        None if os.environ.get("OTEL_TRACES_EXPORTER") == "none" else WatchedExporter(OTLPSpanExporter())
    )
    provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
    if exporter is not None:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    spans = Spans(provider.get_tracer("jackfield"))
    endpoint = _shown_endpoint()

    def handle(request: Fields, body: bytes, _abandoned: Abandoned) -> Answer:
        for event in unpacked(body):
            spans.add(event)
        if request.get("flush"):
            spans.end()
            provider.force_flush()
        counts = exporter.taken() if exporter is not None else NOTHING
        return {"endpoint": endpoint, **counts}, b""

    return {}, handle


def _resource() -> Resource:
    named = os.environ.get("OTEL_SERVICE_NAME") or SERVICE_NAME in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    return Resource.create({} if named else {SERVICE_NAME: "jackfield"})


def _shown_endpoint() -> str:
    """Host and port that spans go to, without what may be secret in the address."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    url = urlsplit(next(filter(None, map(os.environ.get, names)), "http://localhost:4318"))
    return f"{url.scheme}://{url.netloc.rpartition('@')[2]}"


if __name__ == "__main__":
    serve(start)
