"""A live call from the console in a real browser, with the default configuration: what the page lets hear."""

from __future__ import annotations

import base64
import io
import logging
import os
import shutil
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import av
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect, sync_playwright

from jackfield import Site
from jackfield.audio.resample import resample
from jackfield.cli.configuration import STARTER
from jackfield.contracts.stt import TranscriptionSettings
from jackfield.contracts.tts import SpeechSettings, Voice
from jackfield.models import is_fetched
from tests.acceptance.offline import MODELS
from tests.server_process import ServerProcess
from tests.voices import spoken_text, words

CHROMIUM: Final = shutil.which("chromium")

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(CHROMIUM is None, reason="apt-get install chromium"),
]

QUESTION: Final = "What is the capital of Japan?"
PARROT: Final = """
[llm.named.parrot]
use = "echo"

[scenarios.parrot]
title = "Parrot"
instructions = "Say it again."
llm = "parrot"
"""
"""Says what it is told, however long that is."""
MICROPHONE_HZ: Final = 48_000
HEARING_HZ: Final = 16_000
BEFORE_S: Final = 3.0
ROUND_S: Final = 13.0
"""The question is asked once in so many seconds."""
PATIENCE_MS: Final = 60_000.0
FRAME_S: Final = 0.02
LOUD: Final = 0.01
APART_S: Final = 3.0
"""Between one time that the user speaks and the next."""
SILENCE_S: Final = 0.6
"""The answer is silent for longer than between two sentences when the user has finished."""
CUT_S: Final = 0.2
"""What may be missing of the sound when it is told how far it is."""
STORY: Final = " ".join([spoken_text("two_cities")] * 2)
MOST_WORDS_LOST: Final = 4
"""How far in a sentence the voice had come is told from the time that all of it takes."""
WIRETAP: Final = """(() => {
    const pieces = [];
    let context, channels, recorder;
    function listen(stream, channel) {
        if (!context) {
            context = new AudioContext({ sampleRate: RATE_HZ });
            channels = context.createChannelMerger(2);
            const drain = context.createMediaStreamDestination();
            channels.connect(drain);
            recorder = new MediaRecorder(drain.stream, { mimeType: "audio/webm;codecs=pcm" });
            recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
            recorder.start();
        }
        context.createMediaStreamSource(stream).connect(channels, 0, channel);
    }
    const given = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    navigator.mediaDevices.getUserMedia = async (wanted) => {
        const stream = await given(wanted);
        listen(stream, 1);
        return stream;
    };
    window.RTCPeerConnection = class extends RTCPeerConnection {
        constructor(...settings) {
            super(...settings);
            this.addEventListener("track", (event) => listen(new MediaStream([event.track]), 0));
        }
    };
    window.secondsRecorded = () => context.currentTime;
    window.recorded = async () => {
        const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve));
        recorder.stop();
        await stopped;
        const reader = new FileReader();
        reader.readAsDataURL(new Blob(pieces));
        await new Promise((resolve) => reader.addEventListener("load", resolve));
        return reader.result.split(",")[1];
    };
})()""".replace("RATE_HZ", str(HEARING_HZ))
"""Records what the page is sent and what it sends, side by side."""

Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Call:
    """What was heard in a call, and what the page shows of it."""

    answers: Samples
    user: Samples
    first_s: float
    """When the first answer was over; seconds of the recording, like all others."""
    shown: str
    """Of the answer that was interrupted."""
    by: str

    def interruption(self) -> tuple[float, float]:
        """From when to when the user spoke the last time."""
        loud = loud_s(self.user)
        breaks = np.flatnonzero(np.diff(loud) > APART_S)
        return float(loud[breaks[-1] + 1]), float(loud[-1])

    def silent_s(self) -> float:
        """When the answer fell silent that the user spoke into."""
        loud = loud_s(self.answers)
        return float(loud[loud < self.interruption()[1]][-1])


def loud_s(sound: Samples) -> NDArray[np.float64]:
    """When somebody is heard."""
    size = int(HEARING_HZ * FRAME_S)
    frames = sound[: len(sound) // size * size].reshape(-1, size)
    return np.flatnonzero(np.sqrt(np.mean(frames**2, axis=1)) > LOUD).astype(np.float64) * FRAME_S


def between(sound: Samples, begin_s: float, end_s: float) -> Samples:
    return sound[int(begin_s * HEARING_HZ) : int(end_s * HEARING_HZ)]


def transcribed(*sounds: Samples) -> list[str]:
    """What somebody else would understand of it."""
    from jackfield_stt_faster_whisper import FasterWhisperOptions, make_stt

    async def recognize() -> list[str]:
        site = Site("stt", "faster_whisper", logging.getLogger(__name__))
        async with make_stt(FasterWhisperOptions(threads=1), site) as stt:
            pcm = [(sound * 32767).astype("<i2").tobytes() for sound in sounds]
            return [(await stt.recognize(each, TranscriptionSettings())).text for each in pcm]

    return [words(text) for text in anyio.run(recognize)]


def microphone(path: Path) -> Path:
    """Write what the browser takes for its microphone: the question, and silence, again and again."""
    from jackfield_tts_piper import PiperOptions, make_tts

    async def speak() -> tuple[bytes, int]:
        voice = Voice()
        async with make_tts(PiperOptions(), Site("tts", "piper", logging.getLogger(__name__))) as tts:
            spoken = [piece async for piece in tts.synthesize(QUESTION, SpeechSettings(voice))]
            return b"".join(piece for piece in spoken if isinstance(piece, bytes)), tts.rate_hz(voice)

    spoken, rate_hz = anyio.run(speak)
    pcm = bytes(int(BEFORE_S * MICROPHONE_HZ) * 2) + resample(spoken, rate_hz, MICROPHONE_HZ)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, MICROPHONE_HZ, 0, "NONE", "none"))
        file.writeframes(pcm.ljust(int(ROUND_S * MICROPHONE_HZ) * 2, b"\0"))
    return path


def two_channels(file: bytes) -> tuple[Samples, Samples]:
    with av.open(io.BytesIO(file), "r") as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    sound = np.concatenate([frame.reshape(-1, 2) for frame in frames]).astype(np.float32)
    return sound[:, 0], sound[:, 1]


def hold_call(page: Page) -> Call:
    """Ask by voice; have a long text said, and ask again while it is."""
    page.get_by_role("button", name="Call", exact=True).click()
    answers = page.locator("#log .assistant:not(.partial)")
    expect(answers.filter(has_text="Tokyo").first).to_be_visible(timeout=PATIENCE_MS)
    first_s = float(page.evaluate("secondsRecorded()"))
    page.get_by_label("Scenario").select_option("parrot")
    expect(page.locator("#log .note").last).to_contain_text("Parrot", timeout=PATIENCE_MS)
    page.get_by_label("Message", exact=True).fill(STORY)
    page.keyboard.press("Enter")
    broken_off = answers.filter(has_text="interrupted")
    expect(broken_off).to_be_visible(timeout=PATIENCE_MS)
    expect(page.locator("#log .assistant").last).to_contain_text("Japan", timeout=PATIENCE_MS)
    sound = two_channels(base64.b64decode(page.evaluate("recorded()")))
    shown = broken_off.locator(".words").inner_text()
    by = answers.filter(has_text="Tokyo").first.locator(".label").inner_text()
    page.get_by_role("button", name="Hang up").click()
    return Call(*sound, first_s, shown, by)


def held(folder: Path) -> Call:
    """One call with the starter configuration."""
    voice = microphone(folder / "microphone.wav")
    file = folder / "jackfield.toml"
    file.write_text(STARTER.read_text() + PARROT)
    devices = ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
    devices.append(f"--use-file-for-fake-audio-capture={voice}")
    with (
        ServerProcess(folder, [str(file), "--port", "0"], os.environ) as server,
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *devices]) as browser,
    ):
        page = browser.new_page()
        page.add_init_script(WIRETAP)
        page.goto(f"{server.url}/console/")
        return hold_call(page)


def test_answers_are_heard_in_the_page_until_somebody_speaks_into_them(tmp_path: Path) -> None:
    missing = [name for name in MODELS if not is_fetched(name)]
    if missing and not os.environ.get("CI"):
        pytest.skip(f"Needs models: jackfield models fetch {' '.join(missing)}")
    call = held(tmp_path)
    begin_s, end_s = call.interruption()
    silent_s, shown = call.silent_s(), words(call.shown)
    answer, story = transcribed(
        between(call.answers, 0, call.first_s + CUT_S),
        between(call.answers, call.first_s + CUT_S, silent_s + CUT_S),
    )

    assert "tokyo" in answer
    assert call.by == "by xllamacpp"
    assert silent_s < end_s - SILENCE_S, f"{silent_s - begin_s:.2f} s after the user began"
    assert shown
    assert words(STORY).startswith(shown)
    assert abs(len(shown.split()) - len(story.split())) <= MOST_WORDS_LOST, (shown, story)
