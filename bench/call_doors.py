"""What a live call costs through each door: the voice socket, WebRTC and Twilio's frames, side by side.

One server has all three doors. Providers are fakes that take no time; the sound is sent in frames of 20 ms,
in real time, and Silero ends turns at every door, after 0.2 s of silence. The doors are measured in turn,
again and again, so that a change in the machine's speed meets all. First audio counts from the moment at
which a caller sends the last frame of speech to that at which the first message with sound of the answer
arrives.

Callers are in this process, the server is another one: processor time and memory are the server's alone, as
the operating system has them. Callers over WebRTC send packets made beforehand and decode nothing, for the
encoding would take the processor away from the server. Still both share the machine: a number of calls at
which the callers themselves are late says nothing about the server, and ends the search.

    python -m bench.call_doors [--quick] [--only few held memory] [--rounds 3] [--most 300] [--write]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import uvloop

from bench import record
from bench.call_load import Heard, Script, percentile_ms, run
from bench.call_servers import CallServer, serve_doors
from bench.door_loads import BrowserLoad, DoorLoad, TelephoneLoad, VoiceSocketLoad, spoken

_DOORS: Final[Sequence[type[DoorLoad]]] = (VoiceSocketLoad, BrowserLoad, TelephoneLoad)
_FEW: Final = 10
_LIMIT_MS: Final = 200.0
"""By how much the first audio of held calls may be later than that of few."""
_STEPS: Final = (20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 250, 300)
_LATE_MS: Final = 20.0
"""Callers that are later than this (p95) have not the time to call."""
_PERIOD_S: Final = 4.0
_LONG_PERIOD_S: Final = 10.0


@dataclass(frozen=True)
class Extent:
    """How long, how often, and how many calls at the most."""

    warm_s: float
    seconds: float
    rounds: int
    most: int


@dataclass
class Figures:
    """What one door did, in one measurement or several."""

    calls: int
    heard: Heard = field(default_factory=Heard)
    seconds: float = 0.0
    server_cpu_s: float = 0.0
    callers_cpu_s: float = 0.0
    memory_mib: float = 0.0

    def first_audio(self) -> str:
        """The median and the 95th percentile, in milliseconds, and what went wrong."""
        heard = self.heard
        wrong = {"unanswered": heard.unanswered, "uncalled": heard.uncalled, "lost": heard.lost}
        told = "".join(f", {count} {what}" for what, count in wrong.items() if count)
        return f"{heard.quantile_ms(50):.0f} / {heard.quantile_ms(95):.0f}{told}"

    def cpu_s_a_minute(self) -> float:
        """Processor time of a minute of a call."""
        return self.server_cpu_s / self.calls / self.seconds * 60

    def shares(self) -> str:
        """Of a processor: the server's, and the callers'."""
        return f"{self.server_cpu_s / self.seconds:.2f} / {self.callers_cpu_s / self.seconds:.2f}"

    def late_ms(self) -> float:
        """By how much the callers themselves were late, 95th percentile."""
        return percentile_ms(self.heard.late_s, 95)

    def problem(self, limit_ms: float) -> str:
        """Why so many calls are not held; empty when they are."""
        heard = self.heard
        if self.late_ms() > _LATE_MS:
            return f"callers late by {self.late_ms():.0f} ms"
        if heard.lost or not heard.first_audio_s or heard.unanswered > heard.turns / 100:
            return f"{heard.lost} lost, {heard.unanswered} of {heard.turns} turns unanswered"
        if heard.quantile_ms(95) > limit_ms:
            return f"p95 {heard.quantile_ms(95):.0f} ms"
        return ""


@dataclass(frozen=True)
class Row:
    """One figure of all doors, in the order of `_DOORS`."""

    what: str
    doors: Sequence[str]


async def _measure(server: CallServer, load: DoorLoad, figures: Figures, extent: Extent) -> None:
    """Let open calls go on for some time, and add what they were like."""
    await run([load], extent.warm_s)
    load.count(on=True)
    began_s, server_s, callers_s = time.perf_counter(), server.cpu_s(), time.process_time()
    await run([load], extent.seconds)
    figures.callers_cpu_s += time.process_time() - callers_s
    figures.server_cpu_s += server.cpu_s() - server_s
    figures.seconds += time.perf_counter() - began_s
    load.count(on=False)
    figures.heard.add(load.heard)
    figures.memory_mib = server.memory_mib()


class _Trial:
    """All doors of one server."""

    def __init__(self, server: CallServer, extent: Extent) -> None:
        self._server = server
        self._extent = extent
        self._short, self._long = spoken(_PERIOD_S), spoken(_LONG_PERIOD_S)

    async def few(self, calls: int) -> Sequence[Figures]:
        """Measure the doors in turn, several times."""
        all_figures = [Figures(calls) for _ in _DOORS]
        for _ in range(self._extent.rounds):
            for door, figures in zip(_DOORS, all_figures, strict=True):
                await self._once(door, figures, self._short)
        return all_figures

    async def held(self, few: Sequence[Figures]) -> Sequence[tuple[Figures, str]]:
        """Give what the most calls were like that each door held, and why it held no more."""
        limits_ms = [figures.heard.quantile_ms(95) + _LIMIT_MS for figures in few]
        best = [(figures, "") for figures in few]
        for calls in [step for step in _STEPS if step <= self._extent.most]:
            for number, door in enumerate(_DOORS):
                if best[number][1]:
                    continue
                figures = Figures(calls)
                await self._once(door, figures, self._long)
                problem = figures.problem(limits_ms[number])
                print(
                    f"  {door.name}, {calls} calls: {figures.first_audio()} ms, {figures.shares()}; {problem}"
                )
                best[number] = (best[number][0], f"{calls}: {problem}") if problem else (figures, "")
        return best

    async def memory_mib(self, number: int, calls: int) -> float:
        """Give what each call of a door takes, beside ten of them; of a server that had no calls before."""
        load = _DOORS[number](self._server.port)
        scripts = load.scripts(self._short)
        few, many = Figures(_FEW), Figures(calls)
        await load.call(_FEW, scripts)
        await _measure(self._server, load, few, self._extent)
        await load.call(calls - _FEW, scripts)
        await _measure(self._server, load, many, self._extent)
        await load.hang_up()
        return (many.memory_mib - few.memory_mib) / (calls - _FEW)

    async def _once(
        self, door: type[DoorLoad], figures: Figures, voices: Sequence[tuple[bytes, int]]
    ) -> None:
        load = door(self._server.port)
        scripts: Sequence[Script] = load.scripts(voices)
        await load.call(figures.calls, scripts)
        await _measure(self._server, load, figures, self._extent)
        await load.hang_up()


async def few(extent: Extent) -> list[Row]:
    """First audio and processor time of one call and of ten."""
    rows = []
    with serve_doors() as server:
        trial = _Trial(server, extent)
        for calls in (1, _FEW):
            doors = await trial.few(calls)
            many = "1 call" if calls == 1 else f"{calls} calls"
            rows.append(_row(f"{many}: first audio, p50 / p95 ms", doors, Figures.first_audio))
            rows.append(_row(f"{many}: CPU seconds a session-minute", doors, _cpu))
    return rows


async def held(extent: Extent) -> list[Row]:
    """How many calls each door holds."""
    with serve_doors() as server:
        trial = _Trial(server, extent)
        doors = await trial.held(await trial.few(_FEW))
    most = [figures for figures, _problem in doors]
    return [
        _row("calls held in one process", most, lambda figures: str(figures.calls)),
        _row("these: first audio, p50 / p95 ms", most, Figures.first_audio),
        _row("these: CPU seconds a session-minute", most, _cpu),
        _row("these: share of a processor, server / callers", most, Figures.shares),
        _row("these: lateness of the callers themselves, p95 ms", most, lambda each: f"{each.late_ms():.1f}"),
        Row(
            "what the next step of calls came to", [problem or "was not tried" for _figures, problem in doors]
        ),
    ]


async def memory(extent: Extent) -> list[Row]:
    """What each call takes, on a new server for each door."""
    told = []
    for number in range(len(_DOORS)):
        with serve_doors() as server:
            told.append(f"{await _Trial(server, extent).memory_mib(number, 3 * _FEW):.2f}")
    return [Row(f"memory a further call, {_FEW} to {3 * _FEW} calls, MiB", told)]


def _cpu(figures: Figures) -> str:
    return f"{figures.cpu_s_a_minute():.2f}"


def _row(what: str, doors: Sequence[Figures], show: Callable[[Figures], str]) -> Row:
    return Row(what, [show(figures) for figures in doors])


MEASUREMENTS: Final[Mapping[str, Callable[[Extent], Awaitable[list[Row]]]]] = {
    "few": few,
    "held": held,
    "memory": memory,
}


def table(rows: Sequence[Row]) -> str:
    """Markdown."""
    head = [f"| | {' | '.join(door.name for door in _DOORS)} |", "|---" * (len(_DOORS) + 1) + "|"]
    return "\n".join(head + [f"| {row.what} | {' | '.join(row.doors)} |" for row in rows])


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    quick = options.quick
    extent = Extent(
        warm_s=4.0, seconds=8.0 if quick else 24.0, rounds=1 if quick else options.rounds, most=options.most
    )
    rows: list[Row] = []
    for name in options.only:
        for row in await MEASUREMENTS[name](extent):
            rows.append(row)
            print(f"{row.what}: {' | '.join(row.doors)}", flush=True)
        if options.write:
            names = [door.name for door in _DOORS]
            figures = {row.what: dict(zip(names, row.doors, strict=True)) for row in rows}
            title = "Live calls through three doors of one server"
            record.write(record.RESULTS / "call_doors.json", title, figures, table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of a third of the time")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=list(MEASUREMENTS))
    parser.add_argument("--rounds", type=int, default=3, help="how often few calls are measured")
    parser.add_argument("--most", type=int, default=_STEPS[-1], help="calls that are tried at the most")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    uvloop.run(main(parser.parse_args()))
