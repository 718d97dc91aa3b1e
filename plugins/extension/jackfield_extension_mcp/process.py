"""A process that speaks MCP over its standard input and output: one JSON message a line.

The SDK's own client of such processes bounds no message, logs what it cannot read with its text, and does not
tell when the process has ended; the messages themselves are the SDK's.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import IO, Final

import anyio
from anyio.abc import ByteReceiveStream, ByteSendStream, Process
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.client.stdio import get_default_environment
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from jackfield_extension_mcp.options import McpServer

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
_QUEUED_MESSAGES: Final = 64
_LEAVE_S: Final = 2.0
"""Seconds that a process has to end by itself, and again after it was told to."""

Messages = MemoryObjectReceiveStream[SessionMessage | Exception]
Replies = MemoryObjectSendStream[SessionMessage]


@asynccontextmanager
async def process_streams(
    server: McpServer, *, lost: Callable[[], None], complain: Callable[[str], None]
) -> AsyncGenerator[tuple[Messages, Replies]]:
    """Start the command of a server; gives its messages, and where to put those for it.

    `lost` is called when it has ended or cannot be understood any longer, `complain` with what is wrong with
    what it writes. At the end neither the process is left nor what it started.

    :raises OSError: when it cannot be started.
    """
    to_session, messages = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    replies, to_process = anyio.create_memory_object_stream[SessionMessage](_QUEUED_MESSAGES)
    with ExitStack() as streams:
        for stream in (to_session, messages, replies, to_process):
            streams.enter_context(stream)
        with anyio.CancelScope(shield=True):  # a start that is cancelled half-way may leave a process
            process = await _started(server)
        assert process.stdin is not None
        assert process.stdout is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_read, process.stdout, to_session, lost, complain)
            tasks.start_soon(_write, process.stdin, to_process, lost)
            try:
                yield messages, replies
            finally:
                messages.close()  # what it still says is read and thrown away, so that it can end
                with anyio.CancelScope(shield=True):
                    await _end(process)
                tasks.cancel_scope.cancel()


async def _started(server: McpServer) -> Process:
    assert server.command is not None
    given = {name: value.get_secret_value() for name, value in server.env.items()}
    with ExitStack() as files:
        errors: int | IO[bytes] = subprocess.DEVNULL
        if server.stderr_file is not None:
            # Opened once, when nobody waits; the process has it for itself afterwards.
            errors = files.enter_context(open(server.stderr_file, "ab"))  # noqa: ASYNC230
        return await anyio.open_process(
            [server.command, *server.args],
            stderr=errors,
            env=get_default_environment() | given,
            cwd=server.cwd,
            start_new_session=True,  # a group of its own: what it starts can be ended with it
        )


async def _read(
    stdout: ByteReceiveStream,
    to_session: MemoryObjectSendStream[SessionMessage | Exception],
    lost: Callable[[], None],
    complain: Callable[[str], None],
) -> None:
    lines = BufferedByteReceiveStream(stdout)
    try:
        while True:
            line = await lines.receive_until(b"\n", MAX_MESSAGE_BYTES)
            try:
                message = jsonrpc_message_adapter.validate_json(line, by_name=False)
            except ValueError:
                if line.strip():
                    complain("writes lines to its standard output that are no messages")
                continue
            with suppress(anyio.BrokenResourceError):  # nobody listens any longer
                await to_session.send(SessionMessage(message))
    except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError):
        pass
    except anyio.DelimiterNotFound:
        complain(f"sent a message of more than {MAX_MESSAGE_BYTES} bytes, and is stopped")
    finally:
        to_session.close()
        lost()


async def _write(
    stdin: ByteSendStream, to_process: MemoryObjectReceiveStream[SessionMessage], lost: Callable[[], None]
) -> None:
    try:
        async for item in to_process:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            await stdin.send(text.encode() + b"\n")
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError):
        lost()


async def _end(process: Process) -> None:
    """Let a process end by itself, then end it, with everything that it started."""
    assert process.stdin is not None
    with suppress(OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.aclose()
    for last_word in (signal.SIGTERM, signal.SIGKILL):
        with anyio.move_on_after(_LEAVE_S):
            await process.wait()
        _tell(process, last_word)
    with anyio.move_on_after(_LEAVE_S):  # what set itself apart may hold its pipes
        await process.aclose()


def _tell(process: Process, word: signal.Signals) -> None:
    """Send a signal to the process and to all that it started and did not set apart."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, word)
