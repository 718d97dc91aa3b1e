"""What a call with a speech-to-speech model is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jackfield.assembly import Built
from jackfield.contracts.extension import Event
from jackfield.contracts.realtime import Realtime
from jackfield.dialogue.call.model_figures import ModelFigures
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.tools import Toolbox


@dataclass(frozen=True, slots=True)
class ModelMeans:
    """Its parts. `means.tts` is what says sorry, and may be none."""

    model: Built[Realtime]
    means: Means
    scenarios: ScenarioTable
    toolbox: Toolbox
    figures: ModelFigures
    open_s: float
    """Seconds within which the first session must stand."""
    failover_s: float
    """The same for one model of a chain, where others can take its place."""
    replaced: bool
    """Whether a cascade goes on with the call where no session is to be had."""
    publish: Callable[[Event], None]
    report_interruption: Callable[[], None]
