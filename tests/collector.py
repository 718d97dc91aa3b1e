"""A collector of OpenTelemetry traces, as a real endpoint of OTLP over HTTP on this machine."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

Value = str | bool | int | float | list[str]
_PATIENCE_S: Final = 10.0


@dataclass(frozen=True)
class SpanEvent:
    """Something that a span tells of."""

    name: str
    at_s: float
    attributes: Mapping[str, Value]


@dataclass(frozen=True)
class Exported:
    """A span as it arrived; times in seconds since the epoch."""

    name: str
    trace: str
    id: str
    parent: str
    kind: str
    began_s: float
    ended_s: float
    failed: bool
    attributes: Mapping[str, Value]
    events: tuple[SpanEvent, ...]


@dataclass
class Collector:
    """What has arrived."""

    url: str
    spans: list[Exported] = field(default_factory=list)
    resources: list[Mapping[str, Value]] = field(default_factory=list)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def named(self, beginning: str) -> list[Exported]:
        """The spans whose names begin so, the earliest first."""
        found = [span for span in self.spans if span.name.startswith(beginning)]
        return sorted(found, key=lambda span: span.began_s)

    def children(self, parent: Exported) -> list[Exported]:
        """The spans within one, the earliest first."""
        found = [span for span in self.spans if (span.trace, span.parent) == (parent.trace, parent.id)]
        return sorted(found, key=lambda span: span.began_s)

    def wait(self, arrived: Callable[[], bool]) -> None:
        """Wait until something has arrived."""
        deadline = time.monotonic() + _PATIENCE_S
        while not arrived():
            if time.monotonic() > deadline:
                raise TimeoutError([span.name for span in self.spans])
            time.sleep(0.02)

    def take(self, body: bytes) -> None:
        """Take a request of an exporter."""
        self.bodies.append(body)
        for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(_values(of_resource.resource.attributes))
            for of_scope in of_resource.scope_spans:
                self.spans += map(_exported, of_scope.spans)


@contextmanager
def collecting(port: int = 0) -> Iterator[Collector]:
    """Listen on this machine, on a free port unless one is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.headers.append(dict(self.headers.items()))
            collector.take(body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is http.server's
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


def _exported(span: Span) -> Exported:
    events = (
        SpanEvent(event.name, event.time_unix_nano / 1e9, _values(event.attributes)) for event in span.events
    )
    return Exported(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
        span.start_time_unix_nano / 1e9,
        span.end_time_unix_nano / 1e9,
        span.status.code == Status.STATUS_CODE_ERROR,
        _values(span.attributes),
        tuple(events),
    )


def _values(attributes: object) -> dict[str, Value]:
    found: dict[str, Value] = {}
    for attribute in attributes:  # type: ignore[attr-defined]  # a container that protobuf does not name
        value = attribute.value
        kind = value.WhichOneof("value")
        if kind == "array_value":
            found[attribute.key] = [item.string_value for item in value.array_value.values]
        else:
            found[attribute.key] = getattr(value, kind)
    return found
