"""Long proofs: calls and sockets that are held for minutes, calls in which everything goes wrong, stores that
are killed, users who try to see one another, the image with packages that are fetched.

    python -m soak [--only endurance webrtc chaos outages crash cluster sockets isolation fuzz image]
                   [--minutes 10] [--calls 50] [--browsers 20] [--clients 4] [--idle 500] [--busy 100]
                   [--events 10000] [--turns 20000] [--stores redis postgresql] [--kills 100] [--seed N]
                   [--write]

The exit code is 0 when everything holds, 1 when not, 130 when Ctrl-C ended it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

import uvloop

from bench import record
from soak import chaos, isolation, outages
from soak.cluster import endanger
from soak.crash import crash
from soak.endurance import endure
from soak.sockets import hold
from soak.stores import SUBJECTS


def endurance(arguments: argparse.Namespace) -> bool:
    """Hold calls for minutes; says whether everything held."""
    result = uvloop.run(endure(arguments.calls, arguments.minutes, arguments.seed))
    title = f"Endurance: {result.calls} calls for {result.minutes:g} minutes"
    return _kept(arguments, "endurance", title, result)


def webrtc(arguments: argparse.Namespace) -> bool:
    """Hold calls of browsers for minutes; says whether everything held."""
    from soak.webrtc import endure_webrtc

    result = uvloop.run(endure_webrtc(arguments.browsers, arguments.minutes, arguments.seed))
    title = f"Endurance over WebRTC: {result.calls} calls for {result.minutes:g} minutes"
    return _kept(arguments, "webrtc", title, result)


def disorder(arguments: argparse.Namespace) -> bool:
    """Let everything happen at random; says whether everything held."""
    result = chaos.run(arguments.events, arguments.seed)
    if arguments.write:
        _write("chaos", f"Chaos: {result.events} random events in calls", result.figures(), result.lines)
    return result.passed


def outage(arguments: argparse.Namespace) -> bool:
    """Let the providers of chains fail at random; says whether everything held."""
    result = outages.run(arguments.turns, arguments.seed)
    if arguments.write:
        _write(
            "outages", f"Outages: {result.events} turns with chains", outages.figures(result), result.lines
        )
    return result.passed


def crashes(arguments: argparse.Namespace) -> bool:
    """Kill stores under load; says whether everything held."""
    held = True
    for name in arguments.stores:
        result = uvloop.run(crash(name, arguments.kills, arguments.seed))
        held &= _kept(arguments, f"crash-{name}", f"Crash: {name} killed {result.kills} times", result)
    return held


def sockets(arguments: argparse.Namespace) -> bool:
    """Hold sockets for minutes; says whether everything held."""
    result = uvloop.run(hold(arguments.idle, arguments.busy, arguments.minutes, arguments.seed))
    title = f"Sockets: {result.idle} idle and {result.busy} busy for {result.minutes:g} minutes"
    return _kept(arguments, "sockets", title, result)


def strangers(arguments: argparse.Namespace) -> bool:
    """Let users try to see one another; says whether everything held."""
    result = isolation.run(arguments.minutes, arguments.seed)
    if arguments.write:
        title = f"Isolation: {result.events} moves of users"
        _write("isolation", title, isolation.figures(result), result.lines)
    return result.passed


def cluster(arguments: argparse.Namespace) -> bool:
    """Kill replicas of a cluster under load; says whether everything held."""
    result = uvloop.run(endanger(arguments.minutes, arguments.seed, arguments.clients))
    title = f"Cluster: replicas killed {len(result.kills)} times in {result.minutes:g} minutes"
    return _kept(arguments, "cluster", title, result)


def fuzzing(arguments: argparse.Namespace) -> bool:
    """Send what nobody should send; says whether everything held."""
    from soak.fuzz.trial import fuzz

    result = fuzz(arguments.minutes, arguments.seed)
    return _kept(arguments, "fuzz", f"Fuzz: every door for {result.minutes:g} minutes", result)


def image(_arguments: argparse.Namespace) -> bool:
    """Run the Dockerfile's steps with packages that pip fetches; says whether what came out serves."""
    command = [sys.executable, "-m", "pytest", "--numprocesses", "0", "tests/deployment"]
    environment = {**os.environ, "IMAGE_PACKAGES": "downloaded"}
    return subprocess.run(command, env=environment, check=False).returncode == 0


PARTS: Final[Mapping[str, Callable[[argparse.Namespace], bool]]] = {
    "endurance": endurance,
    "webrtc": webrtc,
    "chaos": disorder,
    "outages": outage,
    "crash": crashes,
    "cluster": cluster,
    "sockets": sockets,
    "isolation": strangers,
    "fuzz": fuzzing,
    "image": image,
}


class _Result(Protocol):
    """What came of a trial."""

    lines: list[str]

    def problems(self) -> Sequence[str]: ...

    def figures(self) -> Mapping[str, object]: ...


def _kept(arguments: argparse.Namespace, name: str, title: str, result: _Result) -> bool:
    """Write down what came of a trial, if that is asked for; says whether everything held."""
    if arguments.write:
        _write(name, title, result.figures(), result.lines)
    return not result.problems()


def _write(name: str, title: str, figures: Mapping[str, object], lines: Sequence[str]) -> None:
    file = record.RESULTS / f"soak-{name}.json"
    record.write(file, title, figures, "\n".join(["```", *lines, "```"]))
    print(f"written: {file}")


def main() -> int:
    """Run what is asked for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m soak", description="Long proofs.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--minutes", type=float, default=10.0, help="length of trials with a duration")
    parser.add_argument("--calls", type=int, default=50, help="calls at once")
    parser.add_argument("--browsers", type=int, default=20, help="calls at once over WebRTC")
    parser.add_argument("--idle", type=int, default=500, help="sockets that say nothing")
    parser.add_argument("--busy", type=int, default=100, help="sockets beside them that ask all the time")
    parser.add_argument("--clients", type=int, default=4, help="clients of a cluster, of each of three kinds")
    parser.add_argument("--events", type=int, default=10_000, help="random events in each of four tests")
    parser.add_argument("--turns", type=int, default=20_000, help="turns with chains that fail")
    parser.add_argument("--stores", nargs="+", choices=SUBJECTS, default=list(SUBJECTS), help="stores killed")
    parser.add_argument("--kills", type=int, default=100, help="how many times each store is killed")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="repeats a trial's dice")
    parser.add_argument("--write", action="store_true", help="keep the raw output in bench/results")
    arguments = parser.parse_args()
    try:
        held = [PARTS[name](arguments) for name in arguments.only]
    except KeyboardInterrupt:
        print("stopped")
        return 130
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
