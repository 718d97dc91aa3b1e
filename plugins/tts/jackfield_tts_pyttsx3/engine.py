"""The program that speaks: pyttsx3 in a process of its own, one piece of text after the other.

Three things of pyttsx3 2.99 are mended here. It says that it is done while eSpeak still works, so the end is
waited for. What it sets is forgotten if it speaks before eSpeak has heard of it; that is waited for too. It
tells eSpeak ten times the size that a text has, and eSpeak copies so much, beyond the end of memory at times.
"""

from __future__ import annotations

import ctypes
import os
import threading
import wave
from importlib import import_module
from typing import Final

from jackfield.processes import Abandoned, Answer, CannotStart, Fields, Handle, serve

_LIBRARY: Final = "libespeak-ng.so.1"
_INSTALL: Final = "Install it with: pip install 'jackfield[pyttsx3]' (or: apt-get install libespeak-ng1)."


class Speaker:
    """pyttsx3's engine with eSpeak. Used by one thread."""

    def __init__(self) -> None:
        import pyttsx3  # type: ignore[import-untyped]  # it publishes no types
        from pyttsx3.drivers import _espeak  # type: ignore[import-untyped]  # it publishes no types

        synth = _espeak.cSynth
        _espeak.cSynth = lambda text, _size, *others: synth(text, len(text) + 1, *others)
        self._espeak = _espeak
        self._engine = pyttsx3.init("espeak")
        self._driver = self._engine.proxy._driver
        self._set: dict[str, object] = {}
        self._done = threading.Event()
        self._engine.connect("finished-utterance", lambda **_what: self._done.set())
        # A file in memory: nothing is left of it, however the process ends.
        self._file_fd = os.memfd_create("speech")
        self._file = f"/proc/self/fd/{self._file_fd}"

    def voices(self) -> list[list[object]]:
        return [[voice.id, voice.name, voice.languages] for voice in self._engine.getProperty("voices")]

    def handle(self, request: Fields, _body: bytes, _abandoned: Abandoned) -> Answer:
        self._choose("voice", request["voice"])
        self._choose("rate", request["rate"])
        self._choose("volume", request["volume"])
        return self._speak(str(request["text"]))

    def _speak(self, text: str) -> Answer:
        os.ftruncate(self._file_fd, 0)
        self._done.clear()
        self._engine.save_to_file(text, self._file)
        self._engine.runAndWait()
        self._done.wait()
        self._espeak.Synchronize()
        with wave.open(self._file) as speech:
            return {"rate_hz": speech.getframerate()}, speech.readframes(speech.getnframes())

    def _choose(self, name: str, value: object) -> None:
        if self._set.get(name) == value:
            return
        if name == "voice":
            self._set.clear()  # another voice has a rate of its own
        self._driver.setProperty(name, value)  # the engine's own would keep a wrong voice to itself
        self._espeak.Synchronize()
        self._set[name] = value


def _load_library() -> None:
    """Load eSpeak as pyttsx3 will look for it: the system's, else the one of espeakng-loader."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as missing:
        try:
            loader = import_module("espeakng_loader")
            os.environ["ESPEAK_DATA_PATH"] = loader.get_data_path()  # read when eSpeak begins
            ctypes.CDLL(loader.get_library_path(), mode=ctypes.RTLD_GLOBAL)
        except (ImportError, OSError, RuntimeError) as error:
            raise CannotStart(f"There is no {_LIBRARY}: {error}.", _INSTALL) from missing


def _start(settings: Fields) -> tuple[Fields, Handle]:
    _load_library()
    speaker = Speaker()
    trial, _ = speaker.handle({**settings, "text": "1"}, b"", lambda: False)
    return {**trial, "voices": speaker.voices()}, speaker.handle


if __name__ == "__main__":
    serve(_start)
