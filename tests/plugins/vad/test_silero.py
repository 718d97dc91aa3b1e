"""The plugin `silero` with the real model and people's voices."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import AsyncIterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl  # type: ignore[import-untyped]  # it has no types
from numpy.typing import NDArray

from jackfield import Site
from jackfield.contracts.vad import BatchVAD, VADStream
from jackfield.errors import PluginCannotStart
from jackfield.models import ModelMissing, is_fetched, locate
from jackfield.testing import VADSuite
from jackfield_vad_silero import SileroOptions, SileroVAD, make_vad, plugin_info
from tests.voices import RECORDINGS, recording

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

WINDOW_BYTES = 1024
WINDOW_S = 0.032
PAUSE_S = 0.35
# Begin and end in seconds of what is spoken in the first half minute of two_cities.wav between such pauses.
SPOKEN_S = (
    *((1.2, 4.6), (5.0, 6.3), (6.7, 8.3), (8.8, 10.3), (10.8, 12.8), (13.5, 16.7)),
    *((17.6, 20.5), (21.3, 24.1), (24.6, 26.1), (26.6, 28.3), (29.1, 32.3)),
)

PARTS = ("threadpoolctl", "moonshine_voice")  # of the second only the recordings, not the code
if not os.environ.get("CI"):
    if any(importlib.util.find_spec(part) is None for part in PARTS):
        pytest.skip(f"Needs {' and '.join(PARTS)}.", allow_module_level=True)
    if not is_fetched("silero-vad"):
        pytest.skip("Needs a model: jackfield models fetch silero-vad", allow_module_level=True)


def build(**options: object) -> SileroVAD:
    settings = SileroOptions.model_validate(options)
    return make_vad(settings, Site("vad", "silero", logging.getLogger(__name__)))


@pytest.fixture(scope="module")
async def vad() -> AsyncIterator[SileroVAD]:
    """The detector, loaded once."""
    async with build() as vad:
        yield vad


def windows_of(pcm: bytes) -> list[bytes]:
    return [pcm[at : at + WINDOW_BYTES] for at in range(0, len(pcm) - WINDOW_BYTES + 1, WINDOW_BYTES)]


def probabilities(vad: SileroVAD, pcm: bytes) -> list[float]:
    stream = vad.stream()
    return [stream.feed(window) for window in windows_of(pcm)]


def spoken(judged: list[float]) -> list[tuple[float, float]]:
    """Give begin and end in seconds of what is speech, without the pauses shorter than `PAUSE_S`."""
    found: list[tuple[float, float]] = []
    for is_speech, group in groupby(range(len(judged)), key=lambda at: judged[at] >= 0.5):
        stretch = list(group)
        begin_s, end_s = stretch[0] * WINDOW_S, (stretch[-1] + 1) * WINDOW_S
        if not is_speech:
            continue
        if found and begin_s - found[-1][1] < PAUSE_S:
            begin_s = found.pop()[0]
        found.append((begin_s, end_s))
    return found


def pcm_of(sound: NDArray[np.float64]) -> bytes:
    """Give PCM of sound between -1 and 1."""
    return (sound * 32_767).astype("<i2").tobytes()


class TestSilero(VADSuite):
    capabilities = plugin_info().capabilities(SileroOptions())
    speech = recording("two_cities")[1 * 32_000 : 5 * 32_000]


async def test_it_finds_where_somebody_speaks_and_where_nobody_does(vad: SileroVAD) -> None:
    found = spoken(probabilities(vad, recording("two_cities")))
    for (begin_s, end_s), (expected_begin_s, expected_end_s) in zip(
        found[: len(SPOKEN_S)], SPOKEN_S, strict=True
    ):
        assert begin_s == pytest.approx(expected_begin_s, abs=0.1)
        assert end_s == pytest.approx(expected_end_s, abs=0.1)


@pytest.mark.parametrize("name", RECORDINGS)
async def test_it_judges_as_onnxruntime_does_with_the_same_file(vad: SileroVAD, name: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", exc_type=ImportError)
    session = onnxruntime.InferenceSession(str(locate("silero-vad")), providers=["CPUExecutionProvider"])
    state = np.zeros((2, 1, 128), np.float32)
    context: NDArray[np.float32] = np.zeros((1, 64), np.float32)
    pcm = recording(name)
    expected = []
    for window in windows_of(pcm):
        samples = np.frombuffer(window, "<i2").astype(np.float32)[None] / np.float32(32_768)
        heard = np.concatenate([context, samples], axis=1)
        context = samples[:, -64:]
        judged, state = session.run(None, {"input": heard, "state": state, "sr": np.array(16_000)})
        expected.append(float(judged[0, 0]))
    assert probabilities(vad, pcm) == pytest.approx(expected, abs=0.001)


@pytest.mark.parametrize("loudness", [0.001, 0.03, 0.3])
async def test_noise_is_not_speech(vad: SileroVAD, loudness: float) -> None:
    noise = np.random.default_rng(1).standard_normal(10 * 16_000) * loudness
    assert max(probabilities(vad, pcm_of(noise.clip(-1, 1)))) < 0.5


async def test_a_humming_mains_is_not_speech(vad: SileroVAD) -> None:
    time_s = np.arange(10 * 16_000) / 16_000
    hum = 0.1 * np.sin(2 * np.pi * 50 * time_s) + 0.05 * np.sin(2 * np.pi * 150 * time_s)
    assert max(probabilities(vad, pcm_of(hum))) < 0.5


async def test_a_quiet_voice_is_found_too(vad: SileroVAD) -> None:
    sound = np.frombuffer(recording("two_cities"), "<i2") / 32_768
    loud, quiet = probabilities(vad, pcm_of(sound)), probabilities(vad, pcm_of(sound * 0.1))
    agreed = sum((one >= 0.5) == (other >= 0.5) for one, other in zip(loud, quiet, strict=True))
    assert agreed / len(loud) > 0.95


async def test_the_loudest_possible_sound_does_no_harm(vad: SileroVAD) -> None:
    square = (b"\xff\x7f" * 40 + b"\x00\x80" * 40) * 2_000
    assert all(0 <= probability <= 1 for probability in probabilities(vad, square))


async def test_silence_after_speech_is_told_within_a_third_of_a_second(vad: SileroVAD) -> None:
    judged = probabilities(vad, recording("two_cities")[: int(4.5 * 32_000)] + bytes(32_000))
    assert max(judged[int((4.5 + 0.33) / WINDOW_S) :]) < 0.5


async def test_it_looks_at_several_speakers_in_one_step(vad: SileroVAD) -> None:
    assert isinstance(vad, BatchVAD)


@pytest.mark.parametrize("size_bytes", [0, 640, 1022, 2048])
async def test_a_window_of_another_length_is_refused(vad: SileroVAD, size_bytes: int) -> None:
    with pytest.raises(ValueError, match=f"1024 bytes, not {size_bytes}"):
        vad.stream().feed(bytes(size_bytes))
    with pytest.raises(ValueError, match=f"1024 bytes, not {size_bytes}"):
        vad.feed_many([vad.stream(), vad.stream()], [bytes(1024), bytes(size_bytes)])


async def test_as_many_windows_as_speakers_are_wanted(vad: SileroVAD) -> None:
    with pytest.raises(ValueError, match="2 speakers and 1 windows"):
        vad.feed_many([vad.stream(), vad.stream()], [bytes(1024)])


async def test_a_stream_of_another_detector_is_refused(vad: SileroVAD) -> None:
    class Other:
        def feed(self, window: bytes) -> float:
            return 0.0

    other: VADStream = Other()
    with pytest.raises(TypeError, match="Other"):
        vad.feed_many([other], [bytes(1024)])


async def test_matrices_are_multiplied_on_one_thread_while_it_is_in_use() -> None:
    def threads() -> set[int]:
        return {pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"}

    before = threads()
    async with build():
        assert threads() <= {1}
    assert threads() == before


async def test_it_names_its_model_and_needs_no_network() -> None:
    capabilities = plugin_info().capabilities(SileroOptions())
    assert capabilities.models == ("silero-vad",)
    assert not capabilities.network


async def test_a_model_that_was_not_fetched_is_told_with_the_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JACKFIELD_MODELS", str(tmp_path))
    with pytest.raises(ModelMissing, match="jackfield models fetch silero-vad"):
        build()


@pytest.mark.parametrize("content", [b"", b"\x08\x07", b"damaged", b"\x3a\xff\xff\xff\x7f", bytes(1_000)])
async def test_a_file_that_is_not_the_model_cannot_start(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(PluginCannotStart, match=r"model.onnx.*cannot be loaded.*models fetch"):
        async with build(model=str(tmp_path / "model.onnx")):
            pass


async def test_a_model_cut_short_cannot_start(tmp_path: Path) -> None:
    whole = locate("silero-vad").read_bytes()
    (tmp_path / "model.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PluginCannotStart, match="cannot be loaded"):
        async with build(model=str(tmp_path / "model.onnx")):
            pass


async def test_it_does_not_listen_before_it_is_entered() -> None:
    with pytest.raises(RuntimeError, match="entered"):
        build().stream()
