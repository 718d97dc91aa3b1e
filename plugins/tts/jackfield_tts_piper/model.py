"""A voice's model: phonemes go in, sound comes out while it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from jackfield_tts_piper.graph import cut

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions  # type: ignore[import-untyped]  # it has no types
    from piper import PiperConfig, SynthesisConfig

Samples = NDArray[np.float32]
Plan = NDArray[np.float32]
"""What the decoder works from; its shape is (1, channels, frames)."""

_DECODER: Final = "dec.conv_pre.weight"
"""The first weight of the decoder, in every Piper voice: what is before it plans, what follows it sounds."""
_FIRST_FRAMES: Final = 24
"""About a quarter of a second: as much as is needed until the next part is there on a busy machine."""
_GROWTH: Final = 3
_MOST_FRAMES: Final = 216
_MARGINS: Final = (12, 24)
"""Frames on either side that a part is computed with, since its neighbours sound into it."""
_SAME: Final = 1e-3


class Model(Protocol):
    """What speaks."""

    def sounds(self, ids: Sequence[int], how: SynthesisConfig, switch: RunOptions) -> Iterator[Samples]:
        """Yield the sound of some phonemes, in parts, -1 to 1. Blocks; `switch` stops it at any time."""
        ...


@dataclass(frozen=True, slots=True)
class _Stoppable:
    """A session for one synthesis, with the switch that stops it half-way."""

    session: InferenceSession
    switch: RunOptions | None

    def run(self, outputs: object, inputs: Mapping[str, object]) -> object:
        taken = {each.name for each in self.session.get_inputs()}
        given = {name: value for name, value in inputs.items() if name in taken}
        return self.session.run(outputs, given, self.switch)


def _computed(
    config: PiperConfig, session: _Stoppable, ids: Sequence[int], how: SynthesisConfig
) -> NDArray[np.float32]:
    from piper import PiperVoice

    computed = PiperVoice(config=config, session=session).phoneme_ids_to_audio(list(ids), how)
    return np.asarray(computed, np.float32)


class WholeModel:
    """Computes all sound of a sentence at once."""

    def __init__(self, config: PiperConfig, session: InferenceSession) -> None:
        self._config = config
        self._session = session

    def sounds(self, ids: Sequence[int], how: SynthesisConfig, switch: RunOptions) -> Iterator[Samples]:
        yield _computed(self._config, _Stoppable(self._session, switch), ids, how).reshape(-1)


class SplitModel:
    """Plans a sentence as a whole, which is a third of the work, and then computes its sound in parts."""

    def __init__(
        self, config: PiperConfig, planner: InferenceSession, decoder: InferenceSession, seam: str
    ) -> None:
        self._config = config
        self._planner = planner
        self._decoder = decoder
        self._seam = seam
        self._margin = 0

    def sounds(self, ids: Sequence[int], how: SynthesisConfig, switch: RunOptions) -> Iterator[Samples]:
        plan = self._plan(ids, how, switch)
        for start, end in _parts(plan.shape[2]):
            yield self._part(plan, start, end, how, switch)

    def check(self, ids: Sequence[int], how: SynthesisConfig) -> bool:
        """Find out how wide the margins have to be; False when parts do not sound like the whole."""
        plan = self._plan(ids, how, None)
        frames = plan.shape[2]
        whole = self._decoded(plan, how, None)
        for self._margin in _MARGINS:
            parts = [self._part(plan, start, end, how, None) for start, end in _parts(frames)]
            together = np.concatenate(parts)
            if len(together) == len(whole) and np.abs(together - whole).max() < _SAME:
                return True
        return False

    def _plan(
        self, ids: Sequence[int], how: SynthesisConfig, switch: RunOptions | None
    ) -> NDArray[np.float32]:
        plan = _computed(self._config, _Stoppable(self._planner, switch), ids, how)
        return plan.reshape(1, plan.shape[0], -1)

    def _part(
        self, plan: Plan, start: int, end: int, how: SynthesisConfig, switch: RunOptions | None
    ) -> Samples:
        before = min(start, self._margin)
        sound = self._decoded(plan[:, :, start - before : end + self._margin], how, switch)
        frame = len(sound) // (min(end + self._margin, plan.shape[2]) - start + before)
        return sound[before * frame : (before + end - start) * frame]

    def _decoded(self, plan: Plan, how: SynthesisConfig, switch: RunOptions | None) -> Samples:
        speaker = np.array([how.speaker_id or 0], np.int64)
        inputs = {self._seam: plan, "sid": speaker}
        sound = _Stoppable(self._decoder, switch).run(None, inputs)
        return np.asarray(sound, np.float32).reshape(-1)


def _parts(frames: int) -> Iterator[tuple[int, int]]:
    """Where parts begin and end; each is longer than the one before, for then there is more time."""
    start, size = 0, _FIRST_FRAMES
    while start < frames:
        end = start + size if frames - start - size >= _FIRST_FRAMES else frames
        yield start, end
        start, size = end, min(size * _GROWTH, _MOST_FRAMES)


def load(file: Path, config: PiperConfig, threads: int, ids: Sequence[int], how: SynthesisConfig) -> Model:
    """Load a voice. What it says of `ids` decides whether it can be computed in parts.

    :raises Exception: of onnxruntime, whose errors have no root but this, when the file is no model.
    """
    split = _load_split(file, config, threads)
    if split is not None and split.check(ids, how):
        return split
    return WholeModel(config, _session(str(file), threads))


def _load_split(file: Path, config: PiperConfig, threads: int) -> SplitModel | None:
    halves = cut(file.read_bytes(), _DECODER)
    if halves is None:
        return None
    return SplitModel(config, _session(halves.first, threads), _session(halves.second, threads), halves.seam)


def _session(model: bytes | str, threads: int) -> InferenceSession:
    from onnxruntime import InferenceSession, SessionOptions

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A waiting thread that spins takes a core from the recogniser and the language model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return InferenceSession(model, sess_options=options, providers=["CPUExecutionProvider"])
