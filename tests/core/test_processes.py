"""Processes for libraries that cannot run within the server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anyio
import psutil
import pytest

from jackfield.errors import ProviderTimedOut, ProviderUnavailable
from jackfield.processes import CannotStart, WorkerProcesses

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PROGRAM = """
import os, sys, time
from jackfield.processes import CannotStart, serve

def handle(request, body, abandoned):
    print("noise for the answers")
    match request["do"]:
        case "echo":
            return {"said": request["say"], "pid": os.getpid(), "forked": "pytest" in sys.modules}, body[::-1]
        case "fail":
            raise ValueError(request["say"])
        case "die":
            os._exit(3)
        case "die_once" if not os.path.exists(request["mark"]):
            open(request["mark"], "x").close()
            os._exit(3)
        case "hang":
            time.sleep(60)
        case "work":
            until = time.monotonic() + request["seconds"]
            while time.monotonic() < until and not abandoned():
                time.sleep(0.001)
    return {"gone": abandoned()}, b""

def start(settings):
    if "problem" in settings:
        raise CannotStart(settings["problem"], "Mend it.")
    if "break" in settings:
        raise OSError("no such part")
    return {"hello": settings.get("name"), "pid": os.getpid()}, handle

serve(start)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(PROGRAM))
    return file


async def test_a_request_is_answered_by_a_fresh_interpreter(program: Path) -> None:
    async with WorkerProcesses(program, 1, {"name": "Ada"}) as processes:
        assert processes.greeting["hello"] == "Ada"
        answer, body = await processes.ask({"do": "echo", "say": "Grüße"}, b"abc", within_s=10)
        assert (answer["said"], body) == ("Grüße", b"cba")
        assert answer["pid"] != os.getpid()
        assert answer["forked"] is False


async def test_megabytes_go_through_both_ways(program: Path) -> None:
    sound = os.urandom(3_000_000)
    async with WorkerProcesses(program, 1) as processes:
        _, body = await processes.ask({"do": "echo", "say": ""}, sound, within_s=10)
    assert body == sound[::-1]


async def test_a_failure_tells_its_kind_and_place_but_not_its_text(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        with pytest.raises(ProviderUnavailable, match=r"ValueError in .*program\.py") as caught:
            await processes.ask({"do": "fail", "say": "rosebud"}, within_s=10)
        assert "rosebud" not in str(caught.value)
        assert (await processes.ask({"do": "echo", "say": "on"}, within_s=10))[0]["said"] == "on"


async def test_a_process_that_dies_is_started_again(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        first = processes.greeting["pid"]
        with pytest.raises(ProviderUnavailable, match="died"):
            await processes.ask({"do": "die"}, within_s=10)
        answer, _ = await processes.ask({"do": "echo", "say": ""}, within_s=10)
        assert answer["pid"] != first


async def test_a_request_during_which_the_process_dies_is_asked_once_more(
    program: Path, tmp_path: Path
) -> None:
    async with WorkerProcesses(program, 1) as processes:
        request = {"do": "die_once", "mark": str(tmp_path / "mark")}
        assert await processes.ask(request, within_s=10) == ({"gone": False}, b"")


async def test_one_that_was_killed_while_idle_is_not_noticed_by_the_next_caller(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        child = psutil.Process(int(str(processes.greeting["pid"])))
        child.kill()
        while child.status() != psutil.STATUS_ZOMBIE:
            await anyio.sleep(0.001)
        assert (await processes.ask({"do": "echo", "say": "on"}, within_s=10))[0]["said"] == "on"


async def test_one_that_hangs_is_ended_and_started_again(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        with pytest.raises(ProviderTimedOut):
            await processes.ask({"do": "hang"}, within_s=0.2)
        assert not psutil.pid_exists(int(str(processes.greeting["pid"])))
        assert (await processes.ask({"do": "echo", "say": "on"}, within_s=10))[0]["said"] == "on"


async def test_a_stopped_process_does_not_hold_the_caller_for_ever(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        os.kill(int(str(processes.greeting["pid"])), signal.SIGSTOP)
        with pytest.raises(ProviderTimedOut):
            await processes.ask({"do": "echo", "say": ""}, bytes(1_000_000), within_s=0.2)


async def test_a_cancelled_caller_is_free_at_once_and_the_program_is_told(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        begin = time.perf_counter()
        with anyio.move_on_after(0.05):
            await processes.ask({"do": "work", "seconds": 20}, within_s=30)
        assert time.perf_counter() - begin < 1
        answer, _ = await processes.ask({"do": "echo", "say": "on"}, within_s=10)
        assert answer["said"] == "on", "It is the answer to the request that was cancelled."
        assert time.perf_counter() - begin < 5


async def test_an_old_cancellation_does_not_end_the_next_work(program: Path) -> None:
    async with WorkerProcesses(program, 1) as processes:
        for _ in range(10):
            with anyio.move_on_after(0.03):
                await processes.ask({"do": "work", "seconds": 0.04}, within_s=30)
            assert (await processes.ask({"do": "work", "seconds": 0.01}, within_s=30))[0] == {"gone": False}


async def test_as_many_as_there_are_processes_work_at_once(program: Path) -> None:
    pids: set[object] = set()

    async def work() -> None:
        pids.add((await processes.ask({"do": "echo", "say": ""}, within_s=10))[0]["pid"])
        await processes.ask({"do": "work", "seconds": 0.1}, within_s=10)

    async with WorkerProcesses(program, 2) as processes, anyio.create_task_group() as tasks:
        for _ in range(6):
            tasks.start_soon(work)
    assert len(pids) == 2


async def test_leaving_ends_the_processes_even_while_they_work(program: Path) -> None:
    async with WorkerProcesses(program, 2) as processes:
        child = psutil.Process(int(str(processes.greeting["pid"])))
        with anyio.move_on_after(0.05):
            await processes.ask({"do": "hang"}, within_s=60)
        begin = time.perf_counter()
    assert time.perf_counter() - begin < 3
    assert not child.is_running()
    assert not [one for one in psutil.Process().children() if str(program) in one.cmdline()]


@pytest.mark.parametrize(
    ("settings", "message", "fix"),
    [({"problem": "It has no ears."}, "It has no ears.", "Mend it."), ({"break": True}, "no such part", "")],
)
async def test_a_program_that_cannot_start_says_why(
    program: Path, settings: dict[str, object], message: str, fix: str
) -> None:
    with pytest.raises(CannotStart) as caught:
        async with WorkerProcesses(program, 1, settings):
            pass
    assert message in caught.value.message
    assert caught.value.fix == fix


async def test_a_program_that_does_not_even_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("raise SystemExit(1)")
    with pytest.raises(CannotStart, match=r"broken\.py"):
        async with WorkerProcesses(tmp_path / "broken.py", 1):
            pass


def test_the_process_ends_when_the_server_is_killed(program: Path, tmp_path: Path) -> None:
    server = f"""
        import anyio
        from pathlib import Path
        from jackfield.processes import WorkerProcesses

        async def main():
            async with WorkerProcesses(Path({str(program)!r}), 1) as processes:
                print(processes.greeting["pid"], flush=True)
                await processes.ask({{"do": "work", "seconds": 60}}, within_s=60)

        anyio.run(main)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(server)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    child.wait(10)
