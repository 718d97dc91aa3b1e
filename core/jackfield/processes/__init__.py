"""Processes for libraries that cannot run within the server.

Some libraries keep every other thread waiting while they work, some crash or hang when two threads use them.
Such a library works in a fresh interpreter of its own, which is started once, asked over pipes, and started
again when it has died. `WorkerProcesses` is the server's end; the program calls `serve` as its other end.
"""

from __future__ import annotations

from jackfield.processes.frames import Answer, CannotStart, Fields
from jackfield.processes.pool import WorkerProcesses
from jackfield.processes.program import Abandoned, Handle, serve

__all__ = ["Abandoned", "Answer", "CannotStart", "Fields", "Handle", "WorkerProcesses", "serve"]
