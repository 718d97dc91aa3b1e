"""Figures, kept by prometheus-client in a registry of the server's own, and the route that shows them."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import Response

from jackfield.errors import ProtocolError

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class _Registry(CollectorRegistry):
    """A registry that does not tell when each counter and histogram began: nobody asks for it.

    The library has a switch for that, but it is one for the whole process.
    """

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            began = f"{metric.name}_created"
            metric.samples = [sample for sample in metric.samples if sample.name != began]
            yield metric


class PrometheusMetric:
    """A counter, gauge or histogram. Implements `contracts.panel.Metric`.

    The child of each set of label values is looked up once, so that counting costs no more than adding.
    """

    def __init__(self, whole: Counter | Gauge | Histogram, labels: tuple[str, ...]) -> None:
        self.labels: Final = labels
        self._whole = whole
        self._children: dict[tuple[str, ...], Counter | Gauge | Histogram] = {} if labels else {(): whole}

    def _child(self, labels: tuple[str, ...]) -> Counter | Gauge | Histogram:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = self._whole.labels(*labels)
        return child

    def inc(self, *labels: str, by: float = 1.0) -> None:
        """Counter, gauge: add."""
        child = self._child(labels)
        if isinstance(child, Histogram):
            raise TypeError("a histogram takes observe()")
        child.inc(by)

    def set(self, value: float, *labels: str) -> None:
        """Gauge: be this."""
        child = self._child(labels)
        if not isinstance(child, Gauge):
            raise TypeError("only a gauge takes set()")
        child.set(value)

    def observe(self, value: float, *labels: str) -> None:
        """Histogram: take this."""
        child = self._child(labels)
        if not isinstance(child, Histogram):
            raise TypeError("only a histogram takes observe()")
        child.observe(value)


class PrometheusMetrics:
    """All figures of one server. Implements `contracts.panel.Metrics`."""

    def __init__(self) -> None:
        self._registry = _Registry()
        self._metrics: dict[str, PrometheusMetric] = {}
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> PrometheusMetric:
        """Make a counter, or give the one of that name."""
        return self._metric(name, labels, lambda: Counter(name, text, labels, registry=self._registry))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> PrometheusMetric:
        """Make a gauge, or give the one of that name."""
        return self._metric(name, labels, lambda: Gauge(name, text, labels, registry=self._registry))

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = ()
    ) -> PrometheusMetric:
        """Make a histogram, or give the one of that name. Times are in seconds."""
        bounds = tuple(buckets) or _BUCKETS_S
        return self._metric(
            name, labels, lambda: Histogram(name, text, labels, registry=self._registry, buckets=bounds)
        )

    def _metric(
        self, name: str, labels: Sequence[str], make: Callable[[], Counter | Gauge | Histogram]
    ) -> PrometheusMetric:
        metric = self._metrics.get(name)
        if metric is None:
            metric = self._metrics[name] = PrometheusMetric(make(), tuple(labels))
        elif metric.labels != tuple(labels):
            raise ValueError(f"{name} has the labels {metric.labels}, not {tuple(labels)}")
        return metric

    def text(self) -> bytes:
        """Every figure in Prometheus' text format."""
        return generate_latest(self._registry)


def metrics_endpoint(
    metrics: PrometheusMetrics, refresh: Callable[[], Awaitable[None]], token: str | None
) -> Callable[[Request], Awaitable[Response]]:
    """Make the handler of `GET /metrics`.

    `refresh` sets the figures that are read only when somebody looks. With a token, requests must bring it
    as `Authorization: Bearer`.
    """

    async def show(request: Request) -> Response:
        if token is not None:
            brought = request.headers.get("authorization", "").encode()
            if not hmac.compare_digest(brought, f"Bearer {token}".encode()):
                raise ProtocolError(
                    401,
                    "not_authenticated",
                    "The figures need their token.",
                    headers={"WWW-Authenticate": "Bearer"},
                )
        await refresh()
        return Response(metrics.text(), media_type=None, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return show
