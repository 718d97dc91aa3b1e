"""How long a user waits for the second model where the first is out of order, and what a chain costs.

The server is a process of its own, both models are services on real sockets, asked through the plugin
`openai`: the first refuses the connection, takes it and says nothing, falls silent before the first word, or
hangs up before it. A message's time counts from its request to its whole answer. Between two messages the
first model works, until the server knows. What a token costs in a chain is measured in this process, both
sides in turn.

    python -m bench.failover [--deadline 1.0] [--messages 5] [--write]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import anyio

from bench import record
from jackfield.contracts.llm import LLM, GenerationRequest, Message
from jackfield.plugin import Capabilities
from jackfield.resilience.chains import Chains
from jackfield_llm_echo import EchoLLM, EchoOptions
from tests.failing_services import ANSWER, OUTAGES, FailingService, Outage
from tests.server_process import ServerProcess

ALLOWED_MS: Final = 200.0
"""Beyond the deadline."""
TOKENS: Final = 200
COOLDOWN_S: Final = 0.01
OPEN: Final = 'jackfield_circuit_open{provider="openai",section="llm"} 1.0'
CONFIGURATION: Final = """
[server]
port = 0
log_level = "WARNING"
[llm]
use = "openai"
options.model = "first"
options.api_key = "none"
options.base_url = "{first}"
[[llm.fallback]]
use = "openai"
options.model = "second"
options.api_key = "none"
options.base_url = "{second}"
[timeouts]
failover_seconds = {deadline_s}
cooldown_seconds = {cooldown_s}
[limits]
enabled = false
[[transport]]
use = "relay_chat"
"""


@dataclass(frozen=True)
class Waits:
    """What users waited with one kind of outage, in milliseconds."""

    outage: Outage
    deadline_ms: float
    """What of it is the deadline's: nothing where the failure shows at once, or where nothing fails."""
    all_ms: Sequence[float]

    @property
    def beyond_ms(self) -> float:
        """The longest wait beyond the deadline."""
        return max(self.all_ms) - self.deadline_ms

    def row(self) -> str:
        """A line of the table."""
        return (
            f"| {self.outage} | {median(self.all_ms):.0f} | {max(self.all_ms):.0f} "
            f"| {median(self.all_ms) - self.deadline_ms:.0f} | {self.beyond_ms:.0f} |"
        )


def waits(outage: Outage, deadline_s: float, messages: int) -> Waits:
    """Ask a server whose first model has this outage."""
    found: list[float] = []
    with (
        tempfile.TemporaryDirectory() as name,
        FailingService("works") as first,
        FailingService("works") as second,
    ):
        folder = Path(name)
        file = folder / "jackfield.toml"
        texts = {"first": first.url, "second": second.url}
        file.write_text(CONFIGURATION.format(**texts, deadline_s=deadline_s, cooldown_s=COOLDOWN_S))
        environment = {"PATH": os.environ["PATH"], "HOME": name}
        with ServerProcess(folder, [str(file)], environment) as server:
            ask(server)
            for _ in range(messages):
                heal(first, server)
                first.become(outage)
                found.append(ask(server))
            if second.connections != (0 if outage == "works" else messages):
                raise RuntimeError(
                    f"the second model was asked {second.connections} times\n{server.output()}"
                )
    late = outage in ("hangs", "stalls")
    return Waits(outage, deadline_s * 1000 if late else 0.0, found)


def heal(first: FailingService, server: ServerProcess) -> None:
    """Let the first model work, and wait until the server knows."""
    first.become("works")
    while OPEN in server.client.get("/metrics").text:
        time.sleep(COOLDOWN_S)


def ask(server: ServerProcess) -> float:
    """Send a message; gives milliseconds until the whole answer was there."""
    fields = {"message": "Hello", "type": "text", "sessionId": "s", "userId": "ada", "username": "Ada"}
    began_s = time.perf_counter()
    answer = server.client.post("/chat", files={name: (None, value) for name, value in fields.items()})
    seconds = time.perf_counter() - began_s
    if answer.status_code != 200 or answer.json()["message"] != ANSWER:
        raise RuntimeError(f"no whole answer came: {answer.status_code} {answer.text}")
    return seconds * 1000


async def cpu_us(model: LLM, turns: int) -> float:
    """Microseconds of processor time that a token costs."""
    request = GenerationRequest((Message("user", "word " * TOKENS),))
    began_s = time.process_time()
    for _ in range(turns):
        async with aclosing(model.generate(request)) as outputs:
            async for _ in outputs:
                pass
    return (time.process_time() - began_s) / turns / TOKENS * 1e6


async def cost_us(rounds: int = 9, turns: int = 50) -> tuple[float, float]:
    """What a token costs by itself, and in a chain: the medians of rounds that take turns."""
    alone = EchoLLM(EchoOptions())
    members = [(("llm", "echo"), Capabilities(), EchoLLM(EchoOptions())) for _ in range(2)]
    chain = Chains().join("llm", members)
    assert isinstance(chain, LLM)
    pairs = [(await cpu_us(alone, turns), await cpu_us(chain, turns)) for _ in range(rounds)]
    return median(pair[0] for pair in pairs), median(pair[1] for pair in pairs)


def table(found: Sequence[Waits], cost: tuple[float, float]) -> str:
    """Everything as Markdown."""
    alone_us, chain_us = cost
    more_ms = (chain_us - alone_us) * TOKENS / 1000
    by_itself = f"A token of the model `echo` takes {alone_us:.2f} us of processor time by itself"
    lines = [
        "| First model | Median ms | Longest ms | Median beyond the deadline | Longest beyond the deadline |",
        "|---|---|---|---|---|",
        *(waits.row() for waits in found),
        "",
        f"{by_itself}, {chain_us:.2f} us in a chain: {more_ms:.2f} ms more for an answer of {TOKENS} tokens.",
    ]
    return "\n".join(lines)


def figures(found: Sequence[Waits], cost: tuple[float, float]) -> Mapping[str, object]:
    """Everything as JSON has it."""
    rows = {each.outage: {"deadline_ms": each.deadline_ms, "waits_ms": list(each.all_ms)} for each in found}
    return {"outages": rows, "token_us": {"alone": cost[0], "in a chain": cost[1]}}


def main() -> int:
    """Measure; the exit code is 1 when a user waited too long."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description="Waits for a second model.")
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds; `timeouts.failover_seconds`")
    parser.add_argument("--messages", type=int, default=5, help="messages a kind of outage")
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    arguments = parser.parse_args()
    kinds: Sequence[Outage] = ("works", *OUTAGES)
    # "works" is the second model's time by itself.
    found = [waits(outage, arguments.deadline, arguments.messages) for outage in kinds]
    text = table(found, cost := anyio.run(cost_us))
    print(text)
    if arguments.write:
        title = f"Failover: the second model, with {arguments.deadline:g} s for the first"
        record.write(record.RESULTS / "failover.json", title, figures(found, cost), text)
    return int(any(each.beyond_ms > ALLOWED_MS for each in found))


if __name__ == "__main__":
    sys.exit(main())
