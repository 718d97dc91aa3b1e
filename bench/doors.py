"""What each door costs, through each way of asking it, beside the same written by hand.

All servers run at once, each a process of its own, and are asked in turn, so that a change in the machine's
speed meets all. The model is `echo`, which takes no time: what a turn takes is what the server adds. The
floor (`bench/door_floor.py`) answers the same messages with the least that the contract needs, history in
memory included. The proxies of both pass messages on to the same server, whose processor time does not count.
`relay_chat` has one way, a form; `voice_socket` is measured by `bench.calls`.

Clients ask again as soon as they are answered, so with more than one of them a turn waits for others.
Processor time (told on Linux only) suffers least from a busy machine.

    python -m bench.doors [--quick] [--only chat_app pichat] [--clients 1 32] [--seconds 1] [--rounds 5]
                          [--stores memory sqlite redis postgresql] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median, quantiles
from typing import Final

import uvloop

from bench import record
from bench.door_clients import STORED, WAYS, Talk, Way
from bench.door_servers import FLOOR, JACKFIELD, MOST_CLIENTS, STORES, serve
from bench.process import Server

_TURNS_BEFORE: Final = 3
"""Of each client, which do not count."""
_FAR: Final = 3.0
"""Times the floor's processor time from which a row is marked."""


@dataclass(frozen=True)
class Figures:
    """What a server did."""

    turns_a_second: float
    p50_ms: float
    """From the question to the whole answer."""
    p95_ms: float
    cpu_ms: float
    """Processor time of a turn."""


@dataclass(frozen=True)
class Row:
    """One way of asking one server with so many clients, and the floor beside it; medians of the rounds."""

    way: str
    server: str
    clients: int
    floor: Figures
    ours: Figures
    added_p50_ms: float
    """Medians of each round's differences."""
    added_p95_ms: float
    times_the_floor: float
    """In processor time; the median of each round's ratio."""

    def told(self) -> Sequence[str]:
        """As a row of a table."""
        floor, ours = self.floor, self.ours
        mark = " !" if self.times_the_floor > _FAR else ""
        return [
            self.way if self.server == JACKFIELD else f"{self.way}, {self.server.partition(' ')[2]}",
            str(self.clients),
            f"{floor.turns_a_second:.0f} / {ours.turns_a_second:.0f}",
            f"{floor.p50_ms:.2f} / {ours.p50_ms:.2f}",
            f"{floor.p95_ms:.2f} / {ours.p95_ms:.2f}",
            f"{self.added_p50_ms:+.2f} / {self.added_p95_ms:+.2f}",
            f"{floor.cpu_ms:.3f} / {ours.cpu_ms:.3f}",
            f"{self.times_the_floor:.2f}{mark}",
        ]


_HEAD: Final = (
    "way",
    "clients",
    "turns a second",
    "p50, ms",
    "p95, ms",
    "added p50 / p95, ms",
    "CPU, ms a turn",
    "times the floor's CPU",
)


async def measure(server: Server, way: Way, clients: int, seconds: float) -> Figures:
    """Let clients ask one server; each has a connection and a conversation of its own."""
    async with asyncio.TaskGroup() as opening:  # at once: a server closes what is idle for long
        ready = [opening.create_task(_ready(server, way, number)) for number in range(clients)]
    talks = [each.result() for each in ready]
    turns_s: list[float] = []
    began, cpu_s = time.perf_counter(), server.cpu_s()
    async with asyncio.TaskGroup() as tasks:
        for talk in talks:
            tasks.create_task(_ask(talk, began + seconds, turns_s))
    lasted, used_s = time.perf_counter() - began, server.cpu_s() - cpu_s
    for talk in talks:
        await talk.close()
    turns = len(turns_s)
    p95_s = quantiles(turns_s, n=20)[-1] if turns > 1 else turns_s[0]
    return Figures(turns / lasted, median(turns_s) * 1000, p95_s * 1000, used_s / turns * 1000)


async def _ready(server: Server, way: Way, number: int) -> Talk:
    talk = await way.open(server.port, number)
    for _ in range(_TURNS_BEFORE):
        await talk.ask()
    return talk


async def _ask(talk: Talk, until: float, turns_s: list[float]) -> None:
    while (began := time.perf_counter()) < until:
        await talk.ask()
        turns_s.append(time.perf_counter() - began)


async def compare(
    found: Mapping[str, Server], way: Way, clients: int, options: argparse.Namespace
) -> list[Row]:
    """Ask all servers in turn, round after round."""
    asked = [name for name in found if name in (FLOOR, JACKFIELD) or way.name in STORED]
    rounds: dict[str, list[Figures]] = {name: [] for name in asked}
    for _ in range(options.rounds):
        for name in asked:
            rounds[name].append(await measure(found[name], way, clients, options.seconds))
    floor = rounds.pop(FLOOR)
    return [_row(way.name, name, clients, floor, ours) for name, ours in rounds.items()]


def _row(way: str, server: str, clients: int, floor: Sequence[Figures], ours: Sequence[Figures]) -> Row:
    pairs = list(zip(floor, ours, strict=True))
    return Row(
        way,
        server,
        clients,
        _medians(floor),
        _medians(ours),
        median(our.p50_ms - least.p50_ms for least, our in pairs),
        median(our.p95_ms - least.p95_ms for least, our in pairs),
        median(our.cpu_ms / least.cpu_ms for least, our in pairs),
    )


def _medians(rounds: Sequence[Figures]) -> Figures:
    names = [field.name for field in fields(Figures)]
    return Figures(**{name: median(getattr(each, name) for each in rounds) for name in names})


async def compare_all(found: Mapping[str, Server], options: argparse.Namespace) -> list[Row]:
    """Ask in every way that is wanted, and tell each as it is known."""
    rows: list[Row] = []
    for way in WAYS:
        if not any(way.name.startswith(wanted) for wanted in options.only):
            continue
        for clients in options.clients:
            more = await compare(found, way, clients, options)
            rows += more
            for row in more:
                print(
                    ", ".join(f"{name}: {cell}" for name, cell in zip(_HEAD, row.told(), strict=True)),
                    flush=True,
                )
    return rows


def table(rows: Sequence[Row]) -> Iterator[str]:
    """The rows in Markdown, each pair the floor's figure and Jackfield's."""
    yield f"| {' | '.join(_HEAD)} |"
    yield f"|{'---|' * len(_HEAD)}"
    for row in rows:
        yield f"| {' | '.join(row.told())} |"


def figures(rows: Sequence[Row]) -> dict[str, object]:
    """The rows as JSON has them."""
    return {"rows": [_as_json(row) for row in rows]}


def _as_json(row: Row) -> dict[str, object]:
    told: dict[str, object] = {"way": row.way, "server": row.server, "clients": row.clients}
    for name, found in (("floor", row.floor), (JACKFIELD, row.ours)):
        told |= {f"{name} {key}": round(value, 3) for key, value in vars(found).items()}
    return told | {
        "added p50 ms": round(row.added_p50_ms, 3),
        "added p95 ms": round(row.added_p95_ms, 3),
        "times the floor's CPU": round(row.times_the_floor, 2),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.doors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    doors = sorted({way.name.partition(",")[0] for way in WAYS})
    parser.add_argument("--only", nargs="+", choices=doors, default=doors, help="doors to ask")
    parser.add_argument(
        "--clients", type=int, nargs="+", default=[1, 32], help=f"at once, {MOST_CLIENTS} at most"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each server is asked in a round")
    parser.add_argument("--rounds", type=int, default=5, help="how often all servers are asked")
    parser.add_argument(
        "--stores",
        nargs="+",
        choices=STORES,
        default=["memory"],
        help=f"session stores; those other than memory for {' and '.join(STORED)} alone",
    )
    parser.add_argument(
        "--quick", action="store_true", help="two short rounds: does it run, and about how fast"
    )
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results/doors.*")
    options = parser.parse_args()
    if not all(1 <= count <= MOST_CLIENTS for count in options.clients):
        parser.error(f"--clients are 1 to {MOST_CLIENTS}")
    if options.quick:
        options.seconds, options.rounds = 0.3, 2
    return options


def main() -> None:
    """Measure and print."""
    options = _options()
    with serve(options.stores) as found:
        rows = uvloop.run(compare_all(found, options))
    text = "\n".join(["Each pair is the floor's figure and Jackfield's.", "", *table(rows)])
    print(f"\n{text}")
    if options.write:
        what = f"{options.rounds} rounds of {options.seconds:g} s"
        title = f"Each door beside a hand-written endpoint: python -m bench.doors, {what}"
        record.write(record.RESULTS / "doors.json", title, figures(rows), text)


if __name__ == "__main__":
    main()
