"""What goes through the pipes between the server and a process: frames of JSON and bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Final

Fields = Mapping[str, object]
"""What can be said in JSON."""
Answer = tuple[Fields, bytes]

SIZES: Final = struct.Struct(">II")
"""Sizes of the JSON and of the bytes behind it, in bytes; they come first."""
NOTHING: Final = SIZES.pack(0, 0)
"""What is sent when nobody waits for the answer any more."""
PROBLEM: Final = "_problem"
FAILURE: Final = "_failure"


class CannotStart(Exception):
    """Raised by a program that cannot do its work, and by entering `WorkerProcesses` with it."""

    def __init__(self, message: str, fix: str) -> None:
        super().__init__(message, fix)
        self.message = message
        self.fix = fix


def frame_of(head: Fields, body: bytes) -> bytes:
    """Give the bytes of a frame."""
    data = json.dumps(head).encode()
    return SIZES.pack(len(data), len(body)) + data + body
