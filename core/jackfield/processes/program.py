"""The program's end of `WorkerProcesses`. It imports little, for it is imported in each process."""

from __future__ import annotations

import io
import json
import os
import select
import traceback
from collections.abc import Callable

from jackfield.processes.frames import FAILURE, PROBLEM, SIZES, Answer, CannotStart, Fields, frame_of

Abandoned = Callable[[], bool]
"""Whether nobody waits for the answer any more; asking takes a few microseconds."""
Handle = Callable[[Fields, bytes, Abandoned], Answer]


def serve(start: Callable[[Fields], tuple[Fields, Handle]]) -> None:
    """Serve requests until the server goes away; what a program of `WorkerProcesses` does.

    `start` is called once with the settings, may raise `CannotStart`, and gives a greeting and a function
    that answers a request. That one is given what `ask` was given, and a function that says whether the
    caller has gone: a long work looks now and then, and ends with any answer. What the program prints is
    thrown away.
    """
    reads_fd, writes_fd = os.dup(0), os.dup(1)
    nothing_fd = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing_fd, 0)
    os.dup2(nothing_fd, 1)
    with os.fdopen(reads_fd, "rb", buffering=0) as requests, os.fdopen(writes_fd, "wb") as answers:
        settings = _request(requests)
        try:
            greeting, handle = start(settings[0] if settings else {})
        except Exception as error:  # noqa: BLE001  # the library's
            told = error if isinstance(error, CannotStart) else CannotStart(repr(error), "")
            _send(answers, {PROBLEM: [told.message, told.fix]})
            return
        _send(answers, greeting)
        poll = select.poll()
        poll.register(reads_fd, select.POLLIN)
        while (request := _request(requests)) is not None:
            _send(answers, *_answered(handle, *request, abandoned=lambda: bool(poll.poll(0))))


def _answered(handle: Handle, request: Fields, body: bytes, *, abandoned: Abandoned) -> Answer:
    try:
        return handle(request, body, abandoned)
    except Exception as error:  # noqa: BLE001  # the library's; its text may hold the user's, so only its place is told
        place = traceback.extract_tb(error.__traceback__)[-1]
        return {FAILURE: f"{type(error).__name__} in {place.filename}:{place.lineno}"}, b""


def _request(pipe: io.FileIO) -> Answer | None:
    """Read a request, passing over what told the end of another; None when the server has gone."""
    while len(sizes := _exactly(pipe, SIZES.size)) == SIZES.size:
        head, body = SIZES.unpack(sizes)
        if head:
            return json.loads(_exactly(pipe, head)), _exactly(pipe, body)
    return None


def _exactly(pipe: io.FileIO, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (part := pipe.read(size - len(data))):
        data += part
    return bytes(data)


def _send(pipe: io.BufferedWriter, answer: Fields, body: bytes = b"") -> None:
    pipe.write(frame_of(answer, body))
    pipe.flush()
