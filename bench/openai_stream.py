"""What a streamed answer of 200 tokens costs through the openai SDK alone, and through the plugin `openai`.

The service is a process of its own and writes a chunk for each token: at once, so that a read has several
of them, or one a millisecond, as a model does, so that each is a read of its own. Two things are measured:
asking the service, both sides in turn from one event loop, and a whole server that passes the answer on
over a WebSocket, one written by hand on the SDK and Jackfield. What is compared is processor time, which
suffers least from a busy machine.

    python -m bench.openai_stream [--turns 20] [--seconds 2] [--rounds 5] [--write]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import multiprocessing
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Final

import openai
import uvloop

import jackfield_llm_openai as plugin
from bench import record
from bench.process import HERE, TRANSPORTS, Server, running, serving
from bench.text_path import measure as ask_server
from jackfield.contracts.llm import GenerationRequest, Message
from jackfield.plugin import Site
from jackfield_llm_openai import OpenAIOptions

TOKENS: Final = 200
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PACES_MS: Final = (0.0, 1.0)
QUESTION: Final = "Say two hundred words."
Turn = Callable[[], Awaitable[str]]


def event(choices: list[object], usage: object = None) -> bytes:
    """An event as OpenAI writes it, as a chunk of its own."""
    chunk = {
        "id": "chatcmpl-B9MBs8CjcvOU2jLn4n570S5qMJKcT",
        "object": "chat.completion.chunk",
        "created": 1741569952,
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "default",
        "system_fingerprint": "fp_50cad350e4",
        "choices": choices,
        "usage": usage,
    }
    return framed(b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n")


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def choice(delta: dict[str, object], finish_reason: str | None = None) -> list[object]:
    return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]


def answer() -> list[bytes]:
    """The pieces of an answer."""
    usage = {"prompt_tokens": 12, "completion_tokens": TOKENS, "total_tokens": TOKENS + 12}
    return [
        event(choice({"role": "assistant", "content": "", "refusal": None})),
        *(event(choice({"content": f" word{number % 10}"})) for number in range(TOKENS)),
        event(choice({}, "stop")),
        event([], usage),
        framed(b"data: [DONE]\n\n") + b"0\r\n\r\n",
    ]


def serve(pace_ms: float, ready: Connection) -> None:
    """Serve answers, in a process of its own."""
    pieces = answer()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
                writer.write(HEAD)
                for piece in pieces:
                    writer.write(piece)
                    await asyncio.sleep(pace_ms / 1000)
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(hold, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(run())


async def cpu_ms(turn: Turn, turns: int) -> float:
    """Processor time of a turn."""
    began_s = time.process_time()
    for _ in range(turns):
        await turn()
    return (time.process_time() - began_s) / turns * 1000


async def compare(url: str, turns: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of a turn, in each round, of both."""
    client = openai.AsyncOpenAI(api_key="none", base_url=url, max_retries=0)
    site = Site("llm", "openai", logging.getLogger("jackfield.bench"))
    request = GenerationRequest((Message("user", QUESTION),))
    async with client, plugin.make_llm(OpenAIOptions(model="m", base_url=url), site) as llm:

        async def through_the_sdk() -> str:
            stream = await client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": QUESTION}],
                stream=True,
                stream_options={"include_usage": True},
            )
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

        async def through_the_plugin() -> str:
            return "".join([output async for output in llm.generate(request) if isinstance(output, str)])

        sides: dict[str, Turn] = {"sdk": through_the_sdk, "plugin": through_the_plugin}
        if await through_the_sdk() != await through_the_plugin():
            raise SystemExit("the two answers differ")
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            for name, turn in sides.items():
                found[name].append(await cpu_ms(turn, turns))
        return found


CONFIG: Final = """
[server]
log_level = "WARNING"
[llm]
use = "openai"
options.model = "m"
options.base_url = "{url}"
[session]
use = "memory"
[limits]
enabled = false
[[transport]]
use = "bench_stream"
"""


@contextmanager
def servers(url: str) -> Iterator[dict[str, Server]]:
    """Start a server of each side."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        config = Path(folder, "bench.toml")
        config.write_text(CONFIG.format(url=url))
        commands = {
            "sdk": lambda port: [str(HERE / "openai_floor.py"), str(port), url],
            "plugin": serving(config),
        }
        yield {
            name: stack.enter_context(running(command, folder, TRANSPORTS))
            for name, command in commands.items()
        }


async def compare_servers(url: str, seconds: float, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time that a server takes for a turn, in each round, of both."""
    found: dict[str, list[float]] = {"sdk": [], "plugin": []}
    with servers(url) as running:
        for server in running.values():
            await ask_server(server, 1, 0.5)
        for _ in range(rounds):
            for name, server in running.items():
                found[name].append((await ask_server(server, 1, seconds)).cpu_ms)
    return found


def measure(pace_ms: float, options: argparse.Namespace) -> list[dict[str, object]]:
    """Compare both with a service of that pace."""
    ours, theirs = multiprocessing.Pipe()
    service = multiprocessing.get_context("spawn").Process(target=serve, args=(pace_ms, theirs), daemon=True)
    service.start()
    try:
        url = f"http://127.0.0.1:{ours.recv()}/v1"
        asking = uvloop.run(compare(url, options.turns, options.rounds))
        serving = uvloop.run(compare_servers(url, options.seconds, options.rounds))
    finally:
        service.terminate()
        service.join()
    return [row("asking", pace_ms, asking), row("a server", pace_ms, serving)]


def row(what: str, pace_ms: float, found: dict[str, list[float]]) -> dict[str, object]:
    """Medians of the rounds, and of each round's ratio."""
    shares = [ours / sdk for ours, sdk in zip(found["plugin"], found["sdk"], strict=True)]
    return {
        "what": what,
        "ms between tokens": pace_ms,
        "sdk cpu ms a turn": round(median(found["sdk"]), 2),
        "plugin cpu ms a turn": round(median(found["plugin"]), 2),
        "plugin, share of the sdk": round(median(shares), 3),
    }


def installed(name: str) -> str:
    """The version of a package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def main() -> None:
    """Measure, print, and keep the figures if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=20, help="turns of each side in a round")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each server in a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the figures in bench/results")
    options = parser.parse_args()
    packages = {name: installed(name) for name in ("openai", "aiohttp", "jiter", "uvloop")}
    print(f"Python {platform.python_version()},", *(f"{name} {number}" for name, number in packages.items()))
    rows = []
    for pace_ms in PACES_MS:
        for found in measure(pace_ms, options):
            rows.append(found)
            print(*(f"{name}: {value}" for name, value in found.items()), sep="\n  ", flush=True)
    if options.write:
        text = "| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]) + "\n"
        text += "".join("| " + " | ".join(map(str, found.values())) + " |\n" for found in rows)
        command = " ".join(["python -m bench.openai_stream", *sys.argv[1:]])
        title = f"An answer of {TOKENS} tokens, streamed: {command}"
        record.write(record.RESULTS / "openai_stream.json", title, {"packages": packages, "rows": rows}, text)


if __name__ == "__main__":
    main()
