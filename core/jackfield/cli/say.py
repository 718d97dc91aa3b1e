"""`jackfield say`: hear the configured voice, without a server."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Literal

import anyio
import click
from anyio.streams.memory import MemoryObjectSendStream

from jackfield.audio.pcm import WIDTH_BYTES
from jackfield.cli.configuration import file_option, loaded
from jackfield.cli.own_providers import INTERRUPTED, OwnProviders, run
from jackfield.cli.sound_file import Output, SoundFile, WavStream, format_of
from jackfield.cli.sound_program import found, player
from jackfield.contracts.tts import TTS, SpeechSettings, TTSOutput, Voice
from jackfield.errors import ConfigError, Problem, ProviderBadReply
from jackfield.resilience.guard import Patience, guard
from jackfield.text import normalise

if TYPE_CHECKING:
    from jackfield.config import Config
    from jackfield.config.sections import TimeoutsSection

_AHEAD_PIECES: Final = 1024
"""Sound that may be made before it was heard; then the voice waits."""
_STDOUT: Final = Path("-")


@click.command("say", epilog="Example: jackfield say --output hello.mp3 Hello there")
@click.argument("text", nargs=-1)
@click.option("--file", "text_file", type=click.File(encoding="utf-8"), help="Read the text from this file.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write .wav, .mp3, .ogg or .webm instead of playing; `-` is WAV on standard output.",
)
@click.option("--tts", metavar="NAME", help="A named voice, [tts.named.NAME], instead of the default.")
@click.option("--voice", "name", help="Voice by the provider's own name.")
@click.option("--gender", type=click.Choice(["female", "male"]), help="Gender of the voice.")
@click.option("--accent", help="Accent of the voice, such as british.")
@click.option("--language", metavar="TAG", help="Language of the text, such as en or de-AT.")
@file_option
def command(
    text: tuple[str, ...],
    text_file: IO[str] | None,
    output: Path | None,
    tts: str | None,
    config_file: Path | None,
    env_file: Path | None,
    **voice: str | None,
) -> None:
    """Speak TEXT, a file or standard input with the configured voice.

    It is played while it is made. How soon and how fast that was comes last, on standard error; the
    real-time factor is what a second of sound took to make. What none of --voice, --gender, --accent and
    --language says is left to the voice; without all four, the voice is that of [assistant].
    """
    words = _words(text, text_file)
    config = loaded(config_file, env_file)
    _check(output)
    own = OwnProviders(config)
    built = own.provider("tts", tts)
    speech = Speech(built.object, _voice(config, voice), config.timeouts)
    try:
        click.echo(f"Loading {built.plugin} ...", err=True)
        told = run(partial(_say, own, speech, words, output))
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
    click.echo(told, err=True)


def _words(text: Sequence[str], file: IO[str] | None) -> str:
    """Give the text of the arguments, the file or standard input."""
    if text and file:
        raise click.UsageError("Give either TEXT or --file.")
    source = file or sys.stdin
    if not text and source is sys.stdin and sys.stdin.isatty():
        click.echo("Type what is to be said; Ctrl-D at the beginning of a line ends it.", err=True)
    try:
        words = normalise(" ".join(text) if text else source.read())
    except UnicodeDecodeError:
        raise click.UsageError("The text is not UTF-8.") from None
    if not words:
        raise click.UsageError("There is no text to say.")
    return words


def _check(output: Path | None) -> None:
    """Refuse what cannot be written or played before anything is loaded."""
    if output is None:
        found("loudspeaker")
    elif output == _STDOUT:
        if sys.stdout.isatty():
            raise click.UsageError("Sound is nothing for a terminal; pipe it on, or write it to a file.")
    else:
        format_of(output)
        if not output.parent.is_dir():
            message = f"{output.parent} is no folder."
            raise ConfigError([Problem("output", message, "Make it, or name another file.")])


def _voice(config: Config, asked: Mapping[str, str | None]) -> Voice:
    """Give the voice that was asked for, else that of the assistant."""
    wanted = asked if any(asked.values()) else config.assistant.voice.model_dump()
    gender: Literal["female", "male"] | None = None
    if wanted["gender"]:
        gender = "female" if wanted["gender"] == "female" else "male"
    return Voice(wanted["name"], wanted["language"], gender, wanted["accent"])


class Speech:
    """What a voice says, and how quick it is."""

    def __init__(self, tts: TTS, voice: Voice, timeouts: TimeoutsSection) -> None:
        self._tts = tts
        self._settings = SpeechSettings(voice)
        self._timeouts = timeouts
        self._busy_s = 0.0
        self._first_s: float | None = None
        self._bytes = 0

    @property
    def rate_hz(self) -> int:
        """Samples a second; known once the voice is open."""
        return self._tts.rate_hz(self._settings.voice)

    async def sound(self, text: str) -> AsyncGenerator[bytes, None]:
        """Yield the sound of a text while it is made, sentence by sentence.

        :raises ProviderError: when the voice fails, or has nothing to say.
        """
        from jackfield.dialogue.pieces import Pieces  # needs the extra `audio`

        cutter = Pieces(self._settings.voice.language)
        since_s = time.monotonic()
        for piece in [*cutter.add(text), *cutter.end()]:
            async with aclosing(self._outputs(piece.strip())) as outputs:
                async for output in outputs:
                    if isinstance(output, bytes) and output:
                        self._count(output, time.monotonic() - since_s)
                        yield output
                        since_s = time.monotonic()
        self._busy_s += time.monotonic() - since_s
        if not self._bytes:
            raise ProviderBadReply("The voice made no sound of the text.")

    def _outputs(self, piece: str) -> AsyncGenerator[TTSOutput, None]:
        return guard(
            partial(self._tts.synthesize, piece, self._settings),
            first_s=self._timeouts.tts_seconds,
            patience=Patience(self._timeouts.request_seconds),
            useful=lambda output: isinstance(output, bytes) and bool(output),
        )

    def _count(self, pcm: bytes, took_s: float) -> None:
        self._busy_s += took_s
        self._bytes += len(pcm)
        if self._first_s is None:
            self._first_s = self._busy_s

    def told(self) -> str:
        """Say how quick the voice was."""
        sound_s = self._bytes / (WIDTH_BYTES * self.rate_hz)
        return (
            f"First sound after {self._first_s or 0.0:.2f} s; {sound_s:.1f} s of sound in "
            f"{self._busy_s:.2f} s (real-time factor {self._busy_s / sound_s:.2f})."
        )


async def _say(own: OwnProviders, speech: Speech, text: str, path: Path | None) -> str:
    """Say it, and tell how quick the voice was."""
    async with own.open(), _output(path, speech.rate_hz) as output:
        send, receive = anyio.create_memory_object_stream[bytes](_AHEAD_PIECES)
        async with anyio.create_task_group() as tasks, receive:
            tasks.start_soon(_make, speech, text, send)
            async for pcm in receive:
                await output.write(pcm)
        await output.finish()
        return speech.told()


async def _make(speech: Speech, text: str, send: MemoryObjectSendStream[bytes]) -> None:
    """Let the voice work on while its sound is heard."""
    async with send, aclosing(speech.sound(text)) as sound:
        async for pcm in sound:
            await send.send(pcm)


def _output(path: Path | None, rate_hz: int) -> AbstractAsyncContextManager[Output]:
    if path is None:
        return player(rate_hz)
    if path == _STDOUT:
        return nullcontext(WavStream(sys.stdout.fileno(), rate_hz))
    return nullcontext(SoundFile(path, rate_hz))
