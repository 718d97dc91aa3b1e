"""Real MCP servers for tests, and the tools of them that the extension offers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import httpx

import jackfield_extension_mcp as mcp
from jackfield import Site
from jackfield.contracts.auth import UserId
from jackfield.contracts.tools import Tool, ToolContext
from jackfield_extension_mcp import McpOptions
from jackfield_extension_mcp.source import McpSource

SCRIPT: Final = Path(__file__).with_name("mcp_server.py")
CONTEXT: Final = ToolContext(UserId("x", "y"), "k")
WAIT_S: Final = 60.0
START_S: Final = 50.0
"""Seconds that a server may need to start on a busy machine."""


@dataclass
class Notes:
    """What servers write down of what happens to them."""

    path: Path

    def lines(self) -> list[str]:
        """Everything so far."""
        return self.path.read_text().splitlines() if self.path.exists() else []

    def pids(self) -> list[int]:
        """The processes that were started so far."""
        return [int(line.split()[1]) for line in self.lines() if line.startswith("started")]

    def command(self, *more: str) -> dict[str, Any]:
        """Options of a server that is a process and writes here."""
        arguments = [str(SCRIPT), str(self.path), *more]
        return {"command": sys.executable, "args": arguments, "connect_s": START_S}

    @contextmanager
    def listening(self, port: int) -> Iterator[subprocess.Popen[bytes]]:
        """A server at a port, which writes here."""
        command = [sys.executable, str(SCRIPT), str(self.path), "--http", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            blocking_until(lambda: answers(port))
            yield process
        finally:
            process.kill()
            process.wait()


def answers(port: int) -> bool:
    """Whether somebody listens at a port of this machine."""
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=5)
    except httpx.TransportError:
        return False
    return True


def source(*, max_result_chars: int = 20_000, **servers: Mapping[str, Any]) -> McpSource:
    """What the extension builds for some servers."""
    options = McpOptions.model_validate({"servers": servers, "max_result_chars": max_result_chars})
    site = Site("extension.1", "mcp", logging.getLogger("jackfield.extension.mcp"))
    (built,) = mcp.make_tools(options, site)
    assert isinstance(built, McpSource)
    return built


@asynccontextmanager
async def opened(*, max_result_chars: int = 20_000, **servers: Mapping[str, Any]) -> AsyncIterator[McpSource]:
    """The same, open."""
    async with source(max_result_chars=max_result_chars, **servers) as found:
        yield found


def tool(found: McpSource, name: str) -> Tool:
    """A tool by the name that models are told."""
    (wanted,) = [each for each in found.tools if each.spec.name == name]
    return wanted


async def call(found: McpSource, name: str, **arguments: object) -> str:
    """Call a tool by the name that models are told."""
    return await tool(found, name).call({"text": "hello", **arguments}, CONTEXT)


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has fetched yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(true: Callable[[], object]) -> None:
    """Wait for something that another process does in its own time."""
    with anyio.fail_after(WAIT_S):
        while not true():
            await anyio.sleep(0.01)


def blocking_until(true: Callable[[], object]) -> None:
    """Wait for it where nothing else has to run."""
    deadline_s = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def own_environment() -> set[str]:
    """Names of variables that this process has and a server must not get by itself."""
    return set(os.environ) - {"PATH", "HOME", "LOGNAME", "SHELL", "TERM", "USER", "LC_CTYPE"}
