"""Every chain of a server: made of its members, told of, and helped to heal."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

import anyio

from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Probed
from jackfield.contracts.llm import LLM, TokenCounter
from jackfield.contracts.panel import Metrics
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.stt import STT
from jackfield.contracts.tts import TTS, IncrementalTTS
from jackfield.plugin import Capabilities, Kind
from jackfield.resilience.chain import Chain, Member, fails_over
from jackfield.resilience.circuit import Circuit
from jackfield.resilience.guard import in_time
from jackfield.resilience.llm_chain import CountingLLMChain, LLMChain
from jackfield.resilience.realtime_chain import RealtimeChain
from jackfield.resilience.reporting import Place, Reporter
from jackfield.resilience.stt_chain import STTChain
from jackfield.resilience.tts_chain import IncrementalTTSChain, TTSChain

logger = logging.getLogger(__name__)


class Chains:
    """Makes chains. `after_s` and `cooldown_s` are `timeouts.failover_seconds` and `cooldown_seconds`."""

    def __init__(self, after_s: float = 8.0, cooldown_s: float = 5.0) -> None:
        self._after_s = after_s
        self._cooldown_s = cooldown_s
        self._reporter = Reporter()
        self._members: dict[int, Member[Any]] = {}

    def connect(self, publish: Callable[[Event], None], metrics: Metrics) -> None:
        """From now on observers and figures are told how the members do."""
        self._reporter.connect(publish, metrics)

    def join(self, kind: Kind, members: Sequence[tuple[Place, Capabilities, object]]) -> object:
        """Give an object that stands for all of these, in their order."""
        joined = [self._member(place, built) for place, _, built in members]
        return _JOINTS[kind](Chain(joined, self._reporter, self._after_s), [can for _, can, _ in members])

    def _member(self, place: Place, built: object) -> Member[Any]:
        """What is known of a provider belongs to the object, whichever chains it stands in."""
        if id(built) not in self._members:
            changed = partial(self._reporter.circuit, place)
            circuit = Circuit(self._cooldown_s, probed=isinstance(built, Probed), changed=changed)
            self._members[id(built)] = Member(place, built, circuit)
            self._reporter.member(place)
        return self._members[id(built)]

    async def run(self) -> None:
        """Ask members that can tell whether they work again, until cancelled."""
        async with anyio.create_task_group() as tasks:
            for member in self._members.values():
                if isinstance(member.object, Probed):
                    tasks.start_soon(self._heal, member.object, member.circuit, member.place)

    async def _heal(self, provider: Probed, circuit: Circuit, place: Place) -> None:
        while True:
            await circuit.wait_for_turn()
            trial = circuit.begin()
            try:
                await in_time(provider.probe(), self._after_s)
            except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
                if not fails_over(error):  # refused the question, as only one that works does
                    circuit.succeeded()
                    continue
                logger.info("%s (%s) does not work yet: %s", *place, type(error).__name__)
                circuit.failed(error, trial=trial)
            else:
                circuit.succeeded()


def _join_llms(chain: Chain[LLM], abilities: Sequence[Capabilities]) -> LLMChain:
    """Tokens are counted by whichever member can, the one with the least room first."""
    sizes = [can.context_tokens for can in abilities]
    order = sorted(range(len(sizes)), key=lambda at: sizes[at] or float("inf"))
    models = [chain.members[at].object for at in order]
    counters = [model for model in models if isinstance(model, TokenCounter)]
    return CountingLLMChain(chain, counters[0]) if counters else LLMChain(chain)


def _join_recognisers(chain: Chain[STT], _abilities: Sequence[Capabilities]) -> STTChain:
    return STTChain(chain)


def _join_voices(chain: Chain[TTS], abilities: Sequence[Capabilities]) -> TTSChain:
    incremental = abilities[0].streaming and isinstance(chain.members[0].object, IncrementalTTS)
    return IncrementalTTSChain(chain) if incremental else TTSChain(chain)


def _join_speech_models(chain: Chain[Realtime], _abilities: Sequence[Capabilities]) -> RealtimeChain:
    return RealtimeChain(chain)


_JOINTS: Final[Mapping[Kind, Callable[[Chain[Any], Sequence[Capabilities]], object]]] = {
    "llm": _join_llms,
    "stt": _join_recognisers,
    "tts": _join_voices,
    "realtime": _join_speech_models,
}
