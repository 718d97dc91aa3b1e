"""The server's end: processes that are started, asked, and started again when they have died."""

from __future__ import annotations

import json
import logging
import os
import queue
import select
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import anyio
from anyio import to_thread

from jackfield.errors import ProviderTimedOut, ProviderUnavailable
from jackfield.processes.frames import (
    FAILURE,
    NOTHING,
    PROBLEM,
    SIZES,
    Answer,
    CannotStart,
    Fields,
    frame_of,
)
from jackfield.workers import Workers

_START_S: Final = 60.0
_LOOK_MS: Final = 20
"""How often it is looked whether the caller has gone."""

logger = logging.getLogger(__name__)


class WorkerProcesses:
    """`limit` processes that run the same program; each serves one request at a time, further ones wait.

    `program` is a file that calls `serve`, `settings` what it is started with. An async context manager:
    entering starts the processes, `greeting` is then what the first of them said. A process that has died
    is started again for the next request; one that dies of a request is asked once more.

    A cancelled caller has control at once, and the program is told; its process serves the next request
    when the program has noticed.
    """

    def __init__(self, program: Path, limit: int, settings: Fields | None = None) -> None:
        self._workers = Workers(limit)
        self._processes = [_Process(program, settings or {}) for _ in range(limit)]
        self._idle: queue.SimpleQueue[_Process] = queue.SimpleQueue()
        self.greeting: Fields = {}

    async def __aenter__(self) -> Self:
        """:raises CannotStart: with what the program said."""
        try:
            for process in self._processes:
                greeting = await to_thread.run_sync(process.start)
                self.greeting = self.greeting or greeting
                self._idle.put(process)
        except BaseException:
            await self._end()
            raise
        await self._workers.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        for process in self._processes:
            process.signal()  # nobody waits for what they still do
        await self._workers.__aexit__(exc_type, exc, tb)
        await self._end()

    async def _end(self) -> None:
        with anyio.CancelScope(shield=True):
            for process in self._processes:
                await to_thread.run_sync(process.end)

    async def ask(self, request: Fields, body: bytes = b"", *, within_s: float) -> Answer:
        """Ask a process and give its answer.

        :raises ProviderTimedOut: there was none `within_s` seconds after a process got the request.
        :raises ProviderUnavailable: the program failed, died or could not be started again.
        """
        gone = threading.Event()
        try:
            return await self._workers.run(partial(self._ask, frame_of(request, body), within_s, gone))
        finally:
            gone.set()

    def _ask(self, frame: bytes, within_s: float, gone: threading.Event) -> Answer:
        process = self._idle.get()
        try:
            return process.ask(frame, within_s, gone)
        finally:
            self._idle.put(process)


class _Process:
    """One process. Its methods block; one thread at a time calls them."""

    def __init__(self, program: Path, settings: Fields) -> None:
        self._program = program
        self._settings = settings
        self._popen: subprocess.Popen[bytes] | None = None

    def start(self) -> Fields:
        """:raises CannotStart: with what the program said, if it said something."""
        self._popen = subprocess.Popen(
            [sys.executable, "-P", str(self._program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # libraries write there what they are given
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for the server
        )
        try:
            greeting, _ = self._exchange(frame_of(self._settings, b""), _START_S, threading.Event())
        except (TimeoutError, EOFError, OSError) as error:
            self.end()
            raise CannotStart(f"The process of {self._program.name} did not start.", "") from error
        problem = greeting.get(PROBLEM)
        if isinstance(problem, list):
            self.end()
            raise CannotStart(*problem)
        return greeting

    def ask(self, frame: bytes, within_s: float, gone: threading.Event) -> Answer:
        for last in (False, True):
            if self._popen is None or self._popen.poll() is not None:
                self._start_again()
            try:
                answer, body = self._exchange(frame, within_s, gone)
                break
            except TimeoutError as error:
                self.end()
                raise ProviderTimedOut(
                    f"No answer came within {within_s:g} s; its process was ended."
                ) from error
            except (EOFError, OSError) as error:
                code = self.end()
                if last or gone.is_set():
                    raise ProviderUnavailable(f"The process died (exit code {code}).") from error
        if FAILURE in answer:
            raise ProviderUnavailable(f"The process failed with {answer[FAILURE]}.")
        return answer, body

    def _start_again(self) -> None:
        logger.warning("The process of %s has died; it is started again.", self._program)
        self.end()
        try:
            self.start()
        except CannotStart as error:
            raise ProviderUnavailable(f"The process cannot be started again: {error.message}") from error

    def _exchange(self, frame: bytes, within_s: float, gone: threading.Event) -> Answer:
        popen = self._popen
        assert popen is not None
        assert popen.stdin is not None
        assert popen.stdout is not None
        until_s = time.monotonic() + within_s
        return _Exchange(popen.stdin.fileno(), popen.stdout.fileno(), until_s, gone).run(frame)

    def signal(self) -> None:
        """Kill the process without waiting for its end. Any thread may call it."""
        popen = self._popen
        if popen is not None:
            popen.kill()

    def end(self) -> int | None:
        """Kill the process, if there is one, wait for its end and give its exit code."""
        popen, self._popen = self._popen, None
        if popen is None:
            return None
        popen.kill()
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                pipe.close()
        return popen.wait()


class _Exchange:
    """One request and its answer, until `until_s` of the monotonic clock."""

    def __init__(self, writes_fd: int, reads_fd: int, until_s: float, gone: threading.Event) -> None:
        os.set_blocking(writes_fd, False)
        self._writes_fd = writes_fd
        self._reads_fd = reads_fd
        self._until_s = until_s
        self._gone = gone
        self._told = False

    def run(self, frame: bytes) -> Answer:
        """:raises EOFError: the process has died; so does OSError.

        :raises TimeoutError: when it is too late.
        """
        self._write(frame)
        head, body = SIZES.unpack(self._read(SIZES.size))
        return json.loads(self._read(head)), self._read(body)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            self._wait(self._writes_fd, select.POLLOUT)
            left = left[os.write(self._writes_fd, left) :]

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            self._wait(self._reads_fd, select.POLLIN)
            part = os.read(self._reads_fd, size - len(data))
            if not part:
                raise EOFError
            data += part
        return bytes(data)

    def _wait(self, fd: int, event: int) -> None:
        poll = select.poll()
        poll.register(fd, event)
        while not poll.poll(_LOOK_MS):
            if time.monotonic() > self._until_s:
                raise TimeoutError
            if event == select.POLLIN and self._gone.is_set() and not self._told:
                self._told = True
                self._write(NOTHING)
