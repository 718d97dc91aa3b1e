"""Telling observers, figures and the log of turns, and of where their time went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import getrandbits
from typing import Literal, Protocol

from jackfield.assembly import Built
from jackfield.contracts.extension import Event, TurnFinished, TurnStarted
from jackfield.contracts.panel import Metrics
from jackfield.contracts.turn import TurnRequest
from jackfield.dialogue.sessions import LOGGED_KEY_CHARS
from jackfield.dialogue.waterfall import Waterfall
from jackfield.traceparent import traceparent

logger = logging.getLogger(__name__)


def new_turn_id() -> str:
    """Give what tells a turn from all others, and is no secret."""
    return f"{getrandbits(64):016x}"


class ToldTurn(Protocol):
    """What is told of a turn, whoever answers in it."""

    @property
    def request(self) -> TurnRequest: ...

    @property
    def key(self) -> str: ...

    @property
    def id(self) -> str: ...

    @property
    def outcome(self) -> Literal["ok", "failed", "cancelled", "interrupted"]: ...

    @property
    def error(self) -> str: ...

    @property
    def waterfall(self) -> Waterfall: ...

    @property
    def call(self) -> str: ...

    @property
    def traceparent(self) -> str: ...

    @property
    def llm(self) -> Built[object]: ...


class Chronicle:
    """Tells of turns as they begin and end."""

    def __init__(self, metrics: Metrics, publish: Callable[[Event], None]) -> None:
        self._publish = publish
        self._stage_seconds = metrics.histogram(
            "jackfield_stage_seconds",
            "Seconds from the beginning of a turn to each of its stages.",
            ["transport", "stage"],
        )

    @contextmanager
    def told(self, turn: ToldTurn) -> Iterator[None]:
        """Tell of a turn that begins, and of its end and where its time went."""
        self.begun(turn)
        try:
            yield
        finally:
            self.ended(turn)

    def begun(self, turn: ToldTurn) -> None:
        """Tell of a turn that begins."""
        self._publish(TurnStarted(turn.request.transport, turn.key, turn.id))

    def ended(self, turn: ToldTurn) -> None:
        """Tell of a turn's end, and of where its time went."""
        request, waterfall = turn.request, turn.waterfall
        stages, duration_s = waterfall.seconds(), waterfall.total_s()
        finished = TurnFinished(
            request.transport,
            turn.key,
            turn.id,
            turn.outcome,
            stages,
            duration_s=duration_s,
            steps=waterfall.steps.told(waterfall.began_s),
            message_type=request.message_type,
            language=request.language,
            error=turn.error,
            call=turn.call,
            traceparent=turn.traceparent,
        )
        self._publish(finished)
        for stage, seconds in stages.items():
            self._stage_seconds.observe(seconds, request.transport, stage)
        logger.info(
            "turn %s %s in %.3f s (%s), %s, %s %s, llm %s",
            turn.id,
            turn.outcome,
            duration_s,
            waterfall,
            turn.key[:LOGGED_KEY_CHARS],
            request.transport,
            request.message_type,
            turn.llm.plugin,
        )

    @contextmanager
    def hearing(self, request: TurnRequest, key: str, waterfall: Waterfall) -> Iterator[None]:
        """Tell of a recorded message whose words the recogniser did not give: a turn that failed."""
        try:
            yield
        except Exception:
            steps = waterfall.steps.told(waterfall.began_s)
            failed = next((step for step in steps if step.outcome == "failed"), None)
            if failed is not None:
                transport, turn = request.transport, new_turn_id()
                self._publish(TurnStarted(transport, key, turn))
                ended = TurnFinished(
                    transport,
                    key,
                    turn,
                    "failed",
                    waterfall.seconds(),
                    duration_s=waterfall.total_s(),
                    steps=steps,
                    message_type=request.message_type,
                    language=request.language,
                    error=failed.error,
                    traceparent=traceparent.get(),
                )
                self._publish(ended)
            raise
