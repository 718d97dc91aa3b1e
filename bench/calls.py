"""What a live call costs through the voice socket, beside the same work written by hand.

Providers are fakes that take no time; the sound is sent in frames of 20 ms, in real time. Where a
measurement is called light, both servers hold their calls at the same time, so that a busy machine meets
both; where it is called held, they do so one after the other. Processor time suffers least from a busy
machine. First audio counts from the moment at which the user stops speaking.

    python -m bench.calls [--quick] [--only light cpu held silero held-silero start] [--write]
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import uvloop

from bench import record
from bench.call_floor import Silero
from bench.call_load import Heard, Load, Script, binary, percentile_ms, run, text
from bench.call_servers import FLOOR, JACKFIELD, CallServer, import_s, serve, start
from bench.call_speech import FRAME_BYTES, room_noise, speech
from jackfield.models import locate

_FRAMES_PER_S: Final = 50
_FEW: Final = 10
_LIMIT_MS: Final = 200.0
"""By how much the first audio of held calls may be later than that of few."""


@dataclass(frozen=True)
class Row:
    """One measurement of both servers."""

    what: str
    floor: str
    jackfield: str
    required: str = ""


@dataclass(frozen=True)
class Extent:
    """How long, and how many calls."""

    light_s: float
    cpu_s: float
    held_s: float
    held_calls: int
    held_silero_calls: int


@dataclass
class Side:
    """A server and its callers."""

    server: CallServer
    load: Load


@dataclass(frozen=True)
class Figures:
    """What one server did."""

    heard: Heard
    cpu_s_a_minute: float
    """Processor time of a minute of a call."""
    memory_mib: float
    pauses: dict[str, float]

    def first_audio(self) -> str:
        """The median and the 95th percentile, in milliseconds, and what went wrong."""
        heard = self.heard
        wrong = {"unanswered": heard.unanswered, "uncalled": heard.uncalled, "lost": heard.lost}
        told = "".join(f", {count} {what}" for what, count in wrong.items() if count)
        return f"{heard.quantile_ms(50):.2f} / {heard.quantile_ms(95):.2f}{told}"

    def cpu(self) -> str:
        """Processor time of a minute of a call, in seconds."""
        return f"{self.cpu_s_a_minute:.3f}"

    def messages(self) -> str:
        """How many messages of sound came, and how many others."""
        return f"{self.heard.sound_messages} / {self.heard.other_messages}"

    def collector(self) -> str:
        """The longest pause and all of them, in milliseconds of processor time, and how many."""
        pauses = self.pauses
        times = f"{pauses['longest pause ms']:.1f} / {pauses['all pauses ms']:.0f}"
        return f"{times} ({pauses['collections']:.0f}, {pauses['full collections']:.0f} full)"


def explicit(period_s: float, *, short: bool) -> list[Script]:
    """Callers who say themselves when they have finished, once a period."""
    frame = binary(room_noise(1)[0])
    steps = [frame] * round(period_s * _FRAMES_PER_S)
    steps[-1] += text({"type": "speech.end"})
    return [Script(_start("explicit", short=short), steps, len(steps) - 1)]


def spoken(period_s: float, *, short: bool) -> list[Script]:
    """Callers who speak at the beginning of each period, and wait."""
    scripts = []
    for sound in speech(Silero(str(locate("silero-vad"))), 8):
        frames = [sound[at : at + FRAME_BYTES] for at in range(0, len(sound), FRAME_BYTES)]
        quiet = room_noise(round(period_s * _FRAMES_PER_S) - len(frames))
        steps = [binary(frame) for frame in [*frames, *quiet]]
        scripts.append(Script(_start("auto", short=short), steps, len(frames) - 1))
    return scripts


def _start(turns: str, *, short: bool) -> bytes:
    begin: dict[str, object] = {"type": "start", "turns": turns}
    return text(begin | {"tts": "short"} if short else begin)


async def measure(sides: Sequence[Side], seconds: float, warm_s: float) -> list[Figures]:
    """Let the open calls of all sides go on for so long, after some time that does not count."""
    loads = [side.load for side in sides]
    await run(loads, warm_s)
    for side in sides:
        side.server.pauses()
        side.load.count(on=True)
    before_s = [side.server.cpu_s() for side in sides]
    await run(loads, seconds)
    after_s = [side.server.cpu_s() for side in sides]
    for side in sides:
        side.load.count(on=False)
    memories = [side.server.memory_mib() for side in sides]
    return [
        Figures(
            side.load.heard, (after - before) / side.load.callers / seconds * 60, memory, side.server.pauses()
        )
        for side, before, after, memory in zip(sides, before_s, after_s, memories, strict=True)
    ]


async def _both(
    scripts: Sequence[Script], calls: int, seconds: float, warm_s: float, *, silero: bool
) -> tuple[Figures, Figures]:
    """Both at the same time: the floor's figures and Jackfield's."""
    with ExitStack() as stack:
        sides = []
        for name in (FLOOR, JACKFIELD):
            server = stack.enter_context(serve(name, silero=silero))
            sides.append(Side(server, Load(server.port)))
            sides[-1].load.open(calls, scripts)
        floor, jackfield = await measure(sides, seconds, warm_s)
        for side in sides:
            side.load.close()
    return floor, jackfield


async def light(extent: Extent) -> list[Row]:
    """First audio of one call and of ten, explicit, a turn a second."""
    rows = []
    for calls, seconds, required in ((1, 2 * extent.light_s, "p95 5"), (_FEW, extent.light_s, "1 / 2")):
        both = await _both(explicit(1.0, short=True), calls, seconds, 2.0, silero=False)
        what = f"explicit, {calls} calls: first audio, p50 / p95 ms"
        rows.append(_row(what, both, Figures.first_audio, required))
    return rows


async def cpu(extent: Extent) -> list[Row]:
    """Processor time of ten calls and of fifty, explicit, a turn each ten seconds."""
    rows = []
    for calls, required in ((_FEW, "0.3"), (50, "0.2")):
        both = await _both(explicit(10.0, short=False), calls, extent.cpu_s, 10.0, silero=False)
        what = f"explicit, {calls} calls, a turn each 10 s"
        rows.append(_row(f"{what}: first audio, p50 / p95 ms", both, Figures.first_audio))
        rows += _costs(what, both, required)
    return rows


def _costs(what: str, both: tuple[Figures, Figures], required: str) -> list[Row]:
    return [
        _row(f"{what}: CPU seconds a session-minute", both, Figures.cpu, required),
        _row(f"{what}: messages of sound / others", both, Figures.messages),
    ]


def _row(what: str, both: tuple[Figures, Figures], show: Callable[[Figures], str], required: str = "") -> Row:
    floor, jackfield = both
    return Row(what, show(floor), show(jackfield), required)


async def silero(extent: Extent) -> list[Row]:
    """First audio of ten calls whose turns Silero ends."""
    both = await _both(spoken(4.0, short=True), _FEW, 2 * extent.light_s, 4.0, silero=True)
    what = f"Silero, 0.2 s stop, {_FEW} calls"
    first = _row(f"{what}: first audio, p50 / p95 ms", both, Figures.first_audio, "215 / 225")
    return [first, *_costs(what, both, "")]


async def held(extent: Extent) -> list[Row]:
    """Many calls in one process, explicit."""
    scripts, few = explicit(10.0, short=False), explicit(1.0, short=True)
    return await _held("explicit", extent.held_calls, scripts, few, extent, silero=False, memory="0.2")


async def held_silero(extent: Extent) -> list[Row]:
    """Many calls in one process, with Silero."""
    scripts, few = spoken(10.0, short=False), spoken(4.0, short=True)
    return await _held("Silero", extent.held_silero_calls, scripts, few, extent, silero=True, memory="0.5")


async def _held(
    what: str,
    calls: int,
    scripts: Sequence[Script],
    few_scripts: Sequence[Script],
    extent: Extent,
    *,
    silero: bool,
    memory: str,
) -> list[Row]:
    """Few calls, then many more beside them, on one server after the other."""
    columns: list[list[str]] = []
    for name in (FLOOR, JACKFIELD):
        with serve(name, silero=silero) as server:
            side = Side(server, Load(server.port))
            side.load.open(_FEW, few_scripts)
            few = (await measure([side], extent.light_s / 2, 10.0))[0]
            side.load.close()
            side.load.open(_FEW, scripts)
            base = (await measure([side], 5.0, 5.0))[0]
            side.load.open(calls - _FEW, scripts)
            many = (await measure([side], extent.held_s, 10.0))[0]
            side.load.close()
        columns.append(_held_column(few, base, many, calls))
    names = (
        (f"{calls} calls: first audio, p50 / p95 ms", f"p95 {_FEW} calls + {_LIMIT_MS:.0f}"),
        (f"{_FEW} calls on the same server: first audio, p50 / p95 ms", ""),
        (f"{calls} calls: share of a processor", ""),
        (f"{calls} calls: CPU seconds a session-minute", ""),
        ("memory a further call, MiB", memory),
        (f"{calls} calls: collector, longest pause / all, ms", ""),
        (f"{calls} calls: lateness of the callers themselves, p95 ms", ""),
    )
    return [
        Row(f"{what}, {name}", floor, jackfield, required)
        for (name, required), floor, jackfield in zip(names, *columns, strict=True)
    ]


def _held_column(few: Figures, base: Figures, many: Figures, calls: int) -> list[str]:
    late = many.heard.quantile_ms(95) > few.heard.quantile_ms(95) + _LIMIT_MS
    return [
        many.first_audio() + (" (too late)" if late else ""),
        few.first_audio(),
        f"{many.cpu_s_a_minute * calls / 60:.2f}",
        f"{many.cpu_s_a_minute:.3f}",
        f"{(many.memory_mib - base.memory_mib) / (calls - _FEW):.3f}",
        many.collector(),
        f"{percentile_ms(many.heard.late_s, 95):.1f}",
    ]


async def starting(_extent: Extent) -> list[Row]:
    """Importing, starting, and the memory of a server without calls."""
    floor, jackfield = start(FLOOR), start(JACKFIELD)
    return [
        Row("import, s", f"{import_s(FLOOR):.2f}", f"{import_s(JACKFIELD):.2f}", "0.2"),
        Row("start to listening, s", f"{floor.listens_s:.2f}", f"{jackfield.listens_s:.2f}", "0.4"),
        Row("start to listening, CPU s", f"{floor.cpu_s:.2f}", f"{jackfield.cpu_s:.2f}"),
        Row("memory without calls, MiB", f"{floor.memory_mib:.0f}", f"{jackfield.memory_mib:.0f}", "60"),
    ]


MEASUREMENTS: Final[dict[str, Callable[[Extent], Awaitable[list[Row]]]]] = {
    "light": light,
    "cpu": cpu,
    "held": held,
    "silero": silero,
    "held-silero": held_silero,
    "start": starting,
}


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    lines = ["| | floor | Jackfield | required |", "|---|---|---|---|"]
    return "\n".join(
        lines + [f"| {row.what} | {row.floor} | {row.jackfield} | {row.required} |" for row in rows]
    )


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    quick = options.quick
    extent = Extent(
        light_s=8.0 if quick else 30.0,
        cpu_s=10.0 if quick else 30.0,
        held_s=10.0 if quick else 30.0,
        held_calls=options.calls,
        held_silero_calls=options.silero_calls,
    )
    rows: list[Row] = []
    for name in options.only:
        for row in await MEASUREMENTS[name](extent):
            rows.append(row)
            print(f"{row.what}: {row.floor} | {row.jackfield} | {row.required}", flush=True)
        if options.write:
            figures = {row.what: {FLOOR: row.floor, JACKFIELD: row.jackfield} for row in rows}
            record.write(record.RESULTS / "calls.json", "Live calls beside the floor", figures, table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a fifth of the time, rough figures")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--calls", type=int, default=250, help="explicit calls that are to be held")
    parser.add_argument("--silero-calls", type=int, default=120, help="calls with Silero that are to be held")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    uvloop.run(main(parser.parse_args()))
