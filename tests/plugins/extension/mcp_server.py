"""An MCP server, made with the official SDK: `python mcp_server.py NOTES [--http PORT] [--stubborn]`.

What happens to it is added to the file NOTES, a line each. It speaks over its standard input and output,
or over streamable HTTP on a port of this machine.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
from mcp.server import MCPServer
from mcp.server.mcpserver import Image

PIXEL = bytes.fromhex("89504e470d0a1a0a")


def serve(notes: Path) -> MCPServer:  # noqa: C901  # a list of tools
    """The server with its tools."""
    server = MCPServer("trial", version="1", log_level="CRITICAL")

    def note(line: str) -> None:
        with notes.open("a") as file:
            file.write(f"{line}\n")

    @server.tool(name="echo", description="Gives the text back.", structured_output=False)
    def echo(text: str) -> str:
        note(f"echo {text}")
        return f"heard: {text}"

    @server.tool(name="say.many words", structured_output=False)
    def say_many_words(text: str, times: int = 30_000) -> str:
        return text * times

    @server.tool(structured_output=False)
    def fail(text: str) -> str:
        raise ValueError(f"cannot do {text}")

    @server.tool(structured_output=False)
    async def hang(text: str) -> str:
        note("hangs")
        try:
            await anyio.sleep(1000)
        finally:
            note("was cancelled")
        return "awake"

    @server.tool(structured_output=False)
    def die(text: str) -> str:
        note("dies")
        os.kill(os.getpid(), signal.SIGKILL)
        return "said by nobody"

    @server.tool(structured_output=False)
    def chatter(text: str) -> str:
        print(f"{text}, which is no message", flush=True)
        print(f"{text}, which is an error", file=sys.stderr, flush=True)
        return "done"

    @server.tool(structured_output=False)
    def look(text: str) -> list[str | Image]:
        return [text, Image(data=PIXEL, format="png")]

    @server.tool(structured_output=False)
    def variables(text: str) -> str:
        return " ".join(sorted(os.environ)) + f" in {Path.cwd()}"

    @server.tool(structured_output=False)
    def start_another(text: str) -> str:
        return str(subprocess.Popen(["sleep", "1000"]).pid)

    return server


def main() -> None:
    """Serve until the end of the input, or for ever."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("notes", type=Path)
    arguments.add_argument("--http", type=int)
    arguments.add_argument("--stubborn", action="store_true")
    given = arguments.parse_args()
    with given.notes.open("a") as file:
        file.write(f"started {os.getpid()}\n")
    if given.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    server = serve(given.notes)
    if given.http:
        server.run("streamable-http", port=given.http)
    else:
        server.run("stdio")
    if given.stubborn:
        signal.pause()


if __name__ == "__main__":
    main()
