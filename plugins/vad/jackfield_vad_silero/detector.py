"""The detector as the core sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from anyio import to_thread

from jackfield import Site
from jackfield.contracts.vad import VADStream
from jackfield.errors import PluginCannotStart, Problem

if TYPE_CHECKING:
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no types

    from jackfield_vad_silero.network import Floats, Network

_WINDOW_SAMPLES: Final = 512
_WINDOW_BYTES: Final = 2 * _WINDOW_SAMPLES


class SileroStream:
    """What is remembered of one speaker: 1.3 kB, given back when nobody holds it any more."""

    __slots__ = ("_network", "memory")

    def __init__(self, network: Network) -> None:
        self._network = network
        self.memory = network.memory()

    def feed(self, window: bytes) -> float:
        _check((window,))
        return self._network.step((self.memory,), (window,))[0]


class SileroVAD:
    """One network for all speakers. An async context manager: entering loads it."""

    window_samples = _WINDOW_SAMPLES

    def __init__(self, model: Path, site: Site) -> None:
        self._model = model
        self._site = site
        self._network: Network | None = None
        self._limits: threadpool_limits | None = None

    async def __aenter__(self) -> Self:
        """:raises PluginCannotStart: when the file is not the network that this plugin knows."""
        from threadpoolctl import threadpool_limits

        self._network = await to_thread.run_sync(self._load)
        self._limits = threadpool_limits(limits=1, user_api="blas")
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self._limits is not None:
            self._limits.restore_original_limits()
        self._network = self._limits = None

    def stream(self) -> SileroStream:
        return SileroStream(self._loaded())

    def feed_many(self, streams: Sequence[VADStream], windows: Sequence[bytes]) -> Sequence[float]:
        from jackfield_vad_silero.network import MOST_SPEAKERS

        network = self._loaded()
        memories = [_memory(stream) for stream in streams]
        if len(windows) != len(memories):
            raise ValueError(f"there are {len(memories)} speakers and {len(windows)} windows")
        _check(windows)
        probabilities: list[float] = []
        for at in range(0, len(memories), MOST_SPEAKERS):
            until = at + MOST_SPEAKERS
            probabilities += network.step(memories[at:until], windows[at:until])
        return probabilities

    def _loaded(self) -> Network:
        if self._network is None:
            raise RuntimeError("the detector must be entered before it listens")
        return self._network

    def _load(self) -> Network:
        from jackfield_vad_silero.network import SHAPES, Network
        from jackfield_vad_silero.weights import read_weights

        try:
            network = Network(read_weights(self._model, SHAPES))
        except (OSError, ValueError) as error:
            raise PluginCannotStart(
                Problem(
                    f"{self._site.section}.options.model",
                    f"The model {str(self._model)!r} cannot be loaded: {error}.",
                    "Name an ONNX file of Silero VAD 5 or 6 for 16 kHz, or leave `model` out and run: "
                    "jackfield models fetch silero-vad",
                )
            ) from error
        network.step([network.memory()], [bytes(_WINDOW_BYTES)])  # numpy imports parts of itself late
        return network


def _memory(stream: VADStream) -> Floats:
    if not isinstance(stream, SileroStream):
        raise TypeError(f"a detector is fed its own streams, not {type(stream).__name__}")
    return stream.memory


def _check(windows: Sequence[bytes]) -> None:
    for window in windows:
        if len(window) != _WINDOW_BYTES:
            raise ValueError(f"a window is {_WINDOW_BYTES} bytes, not {len(window)}")
