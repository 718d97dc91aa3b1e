"""Telling observers, figures and the log how providers fail and others take over."""

from __future__ import annotations

import logging
from collections.abc import Callable

from jackfield.contracts.extension import Event, ProviderFailed, ProviderTookOver
from jackfield.contracts.panel import Metric, Metrics
from jackfield.errors import ProviderError

logger = logging.getLogger(__name__)

Place = tuple[str, str]
"""Section of the file, and name of the plugin."""


def tell_failure(place: Place, error: Exception, publish: Callable[[Event], None]) -> None:
    """Tell the observers and the log that a provider failed."""
    section, plugin = place
    kind = type(error).__name__
    publish(ProviderFailed(section, plugin, kind))
    if isinstance(error, ProviderError | OSError):
        logger.warning("%s (%s) failed: %s: %s", section, plugin, kind, error)
    else:  # it breaks its contract, so only the traceback can tell where
        logger.error("%s (%s) failed", section, plugin, exc_info=error)


class Reporter:
    """Tells of the chains of one server. It is silent, but for the log, until it is connected."""

    def __init__(self) -> None:
        self._publish: Callable[[Event], None] = _nobody
        self._failovers: Metric | None = None
        self._circuits: Metric | None = None
        self._open: dict[Place, bool] = {}

    def connect(self, publish: Callable[[Event], None], metrics: Metrics) -> None:
        """From now on observers and figures are told."""
        self._publish = publish
        if not self._open:
            return
        self._failovers = metrics.counter(
            "jackfield_failovers_total", "Times that a provider was left for the next.", ["section", "error"]
        )
        self._circuits = metrics.gauge(
            "jackfield_circuit_open", "1 while a provider of a chain cools down.", ["section", "provider"]
        )
        for place, is_open in self._open.items():
            self._circuits.set(float(is_open), *place)

    def member(self, place: Place) -> None:
        """A chain has this member."""
        self._open.setdefault(place, False)

    def circuit(self, place: Place, is_open: bool) -> None:
        """A member cools down, or is back."""
        self._open[place] = is_open
        if self._circuits is not None:
            self._circuits.set(float(is_open), *place)
        if is_open:
            logger.warning("%s (%s) is asked no more for a while", *place)
        else:
            logger.info("%s (%s) works again", *place)

    def failed(self, place: Place, error: Exception) -> None:
        """A member failed."""
        tell_failure(place, error, self._publish)

    def took_over(self, left: Place, taker: Place, error: Exception) -> None:
        """A member was left for another one."""
        kind = type(error).__name__
        logger.warning("%s (%s) takes over from %s (%s)", *taker, *left)
        self._publish(ProviderTookOver(left[0], *taker, kind))
        if self._failovers is not None:
            self._failovers.inc(left[0], kind)


def _nobody(_event: Event) -> None: ...
