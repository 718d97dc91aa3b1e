"""How long somebody who has asked a question waits for the first sound of the answer.

A real server (`jackfield serve`, the configuration it starts with, real models, nothing but this machine)
is asked recorded questions through the voice socket, in real time, in frames of 20 ms, and finds out itself
when they end; the silence that it waits for is part of the figure. The wait begins where the voice in the
recording ends and is over when the first message with sound arrives.

Two sets of questions: `synthetic`, spoken by piper (slower and livelier than the answers, in a room that is
not quite silent), and `human`, pieces of people reading aloud, which are no questions but real voices. And
two ways: `fresh`, each in a new call and conversation, whose answer is interrupted as soon as it is heard,
and `following`, one after the other in one conversation.

    python -m bench.offline_latency [--questions 36] [--ways fresh following] [--sets synthetic human]
        [--runs 1] [--config FILE] [--recordings FOLDER] [--save NAME]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import psutil
import uvloop

from bench import record
from bench.caller import call
from bench.neighbours import Neighbours
from bench.recordings import Recording, human, synthetic
from bench.waits import Measurement
from jackfield.cli.configuration import STARTER
from tests.server_process import ServerProcess

ENOUGH_S: Final = 0.3
LONG_S: Final = 15.0
"""What the caller hears of an answer before they interrupt it, in one conversation."""
PAUSE_S: Final = 0.5
NO_LIMITS: Final = "\n[limits]\nenabled = false\n"


Sets = Mapping[str, Sequence[Recording]]


@dataclass(frozen=True, slots=True)
class Line:
    """Where to call, and who else keeps the machine busy."""

    url: str
    neighbours: Neighbours


async def fresh(line: Line, questions: Sequence[Recording], into: Measurement) -> None:
    """Ask each question in a call of its own."""
    for question in questions:
        async with call(line.url, line.neighbours) as caller:
            into.note(question, await caller.ask(question, enough_s=ENOUGH_S), caller)


async def following(line: Line, questions: Sequence[Recording], into: Measurement) -> None:
    """Ask all questions in one call, each when the answer before was heard or went on too long."""
    async with call(line.url, line.neighbours) as caller:
        for question in questions:
            into.note(question, await caller.ask(question, enough_s=LONG_S), caller)
            await anyio.sleep(PAUSE_S)


WAYS: Final = {"fresh": fresh, "following": following}


async def measure(line: Line, sets: Sets, options: argparse.Namespace) -> list[Measurement]:
    """Ask everything in every way, run after run."""
    warming = Measurement("warming up", verbose=False)
    found = [
        (way, questions, Measurement(f"{name}, {way}", verbose=options.verbose))
        for name, questions in sets.items()
        for way in options.ways
    ]
    first = next(iter(sets.values()))[:2]
    for way, questions, into in [("fresh", first, warming), *found * options.runs]:
        into.runs.append([])
        print(f"{into.name}, run {len(into.runs)}:", flush=True)
        await WAYS[way](line, questions, into)
    return [into for _, _, into in found]


def as_text(measurements: Sequence[Measurement], cpu_s: float) -> str:
    """The figures in Markdown."""
    lines = [
        "Milliseconds from the end of the voice in the recording; the steps are those of the best run.",
        "",
    ]
    for measurement in measurements:
        found = measurement.summary()
        lines += [f"## {measurement.name}", "", "| | median | p95 | questions |", "|---|---|---|---|"]
        runs, steps = found["runs"], found["waterfall of the best run"]
        assert isinstance(runs, list)
        assert isinstance(steps, dict)
        rows = {f"run {number}": row for number, row in enumerate(runs, 1)}
        rows |= {"with a quiet machine, all runs": found["with a quiet machine, all runs"]}
        rows |= {f"... {name}": row for name, row in steps.items()}
        lines += [f"| {name} | {' | '.join(map(str, row.values()))} |" for name, row in rows.items() if row]
        lines += ["", f"Others took {found['taken by others']} of the processors (median of the best run)."]
        lines += [f"A ping and its answer took {found['round trip ms']} ms."]
        lines += ["Left out: " + "; ".join(measurement.problems) + "."] if measurement.problems else []
        lines += [""]
    return "\n".join([*lines, f"The server took {cpu_s:.1f} s of processor time in all."])


def main() -> None:
    """Measure and print."""
    options = arguments()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        sets: dict[str, Sequence[Recording]] = {}
        if "synthetic" in options.sets:
            sets["synthetic"] = synthetic(options.recordings or folder / "questions", options.questions)
        if "human" in options.sets:
            sets["human"] = human(options.questions)
        config = folder / "jackfield.toml"
        config.write_text((options.config or STARTER).read_text() + NO_LIMITS)
        with ServerProcess(folder / "server", [str(config), "--port", "0"], os.environ) as server:
            line = Line(server.url, Neighbours([server.pid]))
            measurements = uvloop.run(measure(line, sets, options))
            times = psutil.Process(server.pid).cpu_times()
    text = as_text(measurements, times.user + times.system)
    print(f"\n{text}")
    if options.save:
        found = {measurement.name: measurement.summary() for measurement in measurements}
        title = "Offline latency: end of speech to first audio"
        record.write(record.RESULTS / f"{options.save}.json", title, found, text)


def arguments() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--questions", type=int, default=36, help="most questions of each set")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--sets", nargs="+", choices=["synthetic", "human"], default=["synthetic", "human"])
    parser.add_argument("--runs", type=int, default=1, help="the best is told, and how far the others are")
    parser.add_argument("--config", type=Path, help="another configuration, to compare")
    parser.add_argument("--recordings", type=Path, help="keep the synthetic questions here, or take them")
    parser.add_argument("--save", help="write bench/results/SAVE.json and .md")
    parser.add_argument("--verbose", action="store_true", help="print what was understood and answered")
    options = parser.parse_args()
    if options.config and not options.config.is_file():
        sys.exit(f"There is no file {options.config}.")
    return options


if __name__ == "__main__":
    main()
