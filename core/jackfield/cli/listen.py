"""`jackfield listen`: see what the configured speech recogniser understands, without a server."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio
import click

from jackfield.assembly import Built
from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.audio.sniff import CONTAINERS
from jackfield.cli.configuration import file_option, loaded
from jackfield.cli.hearing import Hearing
from jackfield.cli.own_providers import INTERRUPTED, OwnProviders, run
from jackfield.cli.sound_program import found, recorder
from jackfield.cli.transcript_lines import TranscriptLines
from jackfield.contracts.stt import STT, STT_RATE_HZ, TranscriptionSettings
from jackfield.contracts.vad import VAD
from jackfield.errors import ConfigError, Problem

if TYPE_CHECKING:
    from jackfield.config import Config

NOTHING: Final = 1
"""Exit code when no words were heard."""
_STDIN: Final = Path("-")

Source = Callable[[Hearing], Awaitable[None]]
"""Gives a hearing its sound."""


@click.command("listen", epilog="Example: jackfield listen --json question.wav")
@click.argument(
    "sound",
    metavar="[FILE]",
    required=False,
    type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True),
)
@click.option("--seconds", type=click.FloatRange(0, min_open=True), help="Sound of the microphone to take.")
@click.option("--json", "as_json", is_flag=True, help="Print an object a line: text, times, confidence.")
@click.option("--stt", metavar="NAME", help="A named recogniser, [stt.named.NAME], not the default.")
@click.option("--language", metavar="TAG", help="Language that is spoken, such as en or de-AT.")
@file_option
def command(
    sound: Path | None,
    seconds: float | None,
    as_json: bool,
    stt: str | None,
    language: str | None,
    config_file: Path | None,
    env_file: Path | None,
) -> None:
    """Write down what FILE says; `-` is standard input, no FILE the microphone.

    Each utterance is a line on standard output; how long it took is told on standard error, and there a
    terminal shows the words while they come. A recording is one utterance. The microphone is heard until
    Ctrl-C, and with [vad] in the configuration a pause ends an utterance. Exits with 1 without any words.
    """
    if sound is not None and seconds is not None:
        raise click.UsageError("--seconds is for the microphone; leave it out, or FILE.")
    config = loaded(config_file, env_file)
    own = OwnProviders(config)
    recogniser = own.provider("stt", stt)
    pcm = None if sound is None else _decoded(sound, config)
    if pcm is None:
        found("microphone")
    detector = own.detector() if pcm is None else None
    listening = Listening(config, recogniser, detector, language or config.assistant.language, as_json)
    source = partial(_microphone, seconds) if pcm is None else partial(_recording, pcm)
    try:
        click.echo(f"Loading {' and '.join(listening.plugins)} ...", err=True)
        heard = run(partial(_listen, own, listening, source))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    if not heard:
        click.echo("No words could be heard.", err=True)
        raise SystemExit(NOTHING)


def _decoded(file: Path, config: Config) -> bytes:
    """Give a recording as PCM at 16000 Hz, within the limits that the configuration sets to clips.

    :raises ConfigError: when it cannot be read.
    """
    from jackfield.audio.decode import AudioTooLong, Undecodable, decode

    limits = config.limits
    name = "standard input" if file == _STDIN else file.name
    try:
        with click.open_file(str(file), "rb") as source:
            data: bytes = source.read(limits.audio_bytes + 1)
        if len(data) > limits.audio_bytes:
            message = f"The recording is larger than {limits.audio_bytes} bytes."
            raise ConfigError([Problem(name, message, "Raise limits.audio_bytes, or cut it.")])
        return decode(data, rate_hz=STT_RATE_HZ, max_s=limits.audio_seconds)
    except OSError as error:
        raise ConfigError(
            [Problem(name, f"It cannot be read: {error.strerror}.", "Name another.")]
        ) from error
    except AudioTooLong as error:
        raise ConfigError([Problem(name, str(error), "Raise limits.audio_seconds, or cut it.")]) from error
    except Undecodable as error:
        fix = f"Recordings in {', '.join(CONTAINERS)} are understood."
        raise ConfigError([Problem(name, str(error), fix)]) from error


class Listening:
    """Who listens, and how."""

    def __init__(
        self, config: Config, stt: Built[STT], vad: Built[VAD] | None, language: str | None, as_json: bool
    ) -> None:
        self.plugins = [built.plugin for built in (stt, vad) if built]
        self._config = config
        self._stt = stt
        self._vad = vad.object if vad else None
        self._settings = TranscriptionSettings(language=language, gated=vad is not None)
        self._as_json = as_json

    def hearing(self) -> Hearing:
        """Begin to hear one speaker. The providers are open."""
        lines = TranscriptLines(as_json=self._as_json)
        limit_s = self._config.timeouts.stt_seconds
        return Hearing(self._stt, self._vad, self._settings, self._config.call, limit_s, lines)


async def _listen(own: OwnProviders, listening: Listening, source: Source) -> bool:
    """Listen to the end; tells whether there were words."""
    async with own.open():
        hearing = listening.hearing()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(hearing.run)
            await source(hearing)
            await hearing.finish()
            tasks.cancel_scope.cancel()
        return hearing.heard


async def _recording(pcm: bytes, hearing: Hearing) -> None:
    hearing.feed_whole(pcm)


async def _microphone(seconds: float | None, hearing: Hearing) -> None:
    """Hear the microphone until Ctrl-C, for so many seconds of sound, or until something fails."""
    most_bytes = None if seconds is None else round(seconds * STT_RATE_HZ) * WIDTH_BYTES
    async with recorder(STT_RATE_HZ) as microphone, anyio.create_task_group() as tasks:
        with _interruptible(tasks.cancel_scope.cancel):
            tasks.start_soon(_stop_on_failure, hearing, tasks.cancel_scope)
            click.echo("Listening. Ctrl-C ends.", err=True)
            async with aclosing(microphone.sound()) as sound:
                async for pcm in sound:
                    taken = pcm if most_bytes is None else pcm[:most_bytes]
                    hearing.feed(taken)
                    if most_bytes is not None:
                        most_bytes -= len(taken)
                        if not most_bytes:
                            break
            tasks.cancel_scope.cancel()


async def _stop_on_failure(hearing: Hearing, scope: anyio.CancelScope) -> None:
    await hearing.failed.wait()
    scope.cancel()


@contextmanager
def _interruptible(stop: Callable[[], object]) -> Iterator[None]:
    """Let Ctrl-C call `stop`, on the event loop; from then on it interrupts the command as ever."""
    loop = asyncio.get_running_loop()

    def stop_soon(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, before)
        loop.call_soon_threadsafe(stop)

    before = signal.signal(signal.SIGINT, stop_soon)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
