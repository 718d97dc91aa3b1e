"""Users who cannot see each other, and messages that are neither lost nor doubled, whatever anybody does.

A state machine draws what happens: several users at every door of two servers over one Redis and one
PostgreSQL. JACKFIELD_ISOLATION_MINUTES lets it go on for so long, each time with new servers and the next
seed, from JACKFIELD_ISOLATION_SEED on.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.stateful import run_state_machine_as_test

from tests.acceptance.isolation.cast import everyone
from tests.acceptance.isolation.machine import Isolation
from tests.acceptance.isolation.moves import ToldMachine
from tests.acceptance.isolation.people import Marks
from tests.acceptance.isolation.replicas import Replicas
from tests.acceptance.isolation.talking import backend_is_there
from tests.contracts.harness import Tree, until
from tests.postgres_server import PostgresServer
from tests.redis_server import RedisServer

MINUTES: Final = float(os.environ.get("JACKFIELD_ISOLATION_MINUTES", "0"))
SEED: Final = int(os.environ.get("JACKFIELD_ISOLATION_SEED", "1"))
MOVES: Final = 40 if MINUTES else 25
RUNS: Final = 10 if MINUTES else 5
RUNS_IN_MEMORY: Final = 10 if MINUTES else 5
KILLS: Final = 2 if MINUTES else 1


@contextmanager
def stores(folder: Path) -> Iterator[Tree]:
    """What expires in a Redis, what lasts in a PostgreSQL."""
    with (
        PostgresServer() as postgres,
        RedisServer(folder / "redis") as redis,
        postgres.database() as url,
    ):
        records = {"use": "sql", "options": {"url": url}}
        yield {"use": "redis", "options": {"folder": None, "url": redis.url}, "records": records}


def seeds() -> Iterator[int]:
    """One seed, or as many as there is time for."""
    began_s, number = time.monotonic(), SEED
    yield number
    while time.monotonic() - began_s < 60 * MINUTES:
        number += 1
        yield number


def hold(replicas: Replicas, number: int, *, runs: int, kills: int) -> None:
    """Let the machine run; without minutes by the same dice every time."""
    marks = Marks()
    Isolation.replicas, Isolation.marks, Isolation.kills = replicas, marks, kills
    Isolation.everyone, ToldMachine.failure = everyone(), None
    for server in replicas.others(0):
        until(partial(backend_is_there, server), "the proxies find their backends")
    how = settings(
        max_examples=runs,
        stateful_step_count=MOVES,
        database=None,
        deadline=None,
        derandomize=not MINUTES,
        phases=[Phase.generate],
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Isolation) if MINUTES else Isolation, settings=how)
    except Exception:
        if Isolation.failure is None:
            raise
    if Isolation.failure is not None:
        pytest.fail(f"with seed {number}: {Isolation.failure}", pytrace=False)
    done = f"{runs} runs of {MOVES} moves, {marks.acknowledged} answers, {kills - Isolation.kills} kills"
    print(f"seed {number}, servers {replicas.count}: {done}", flush=True)


@pytest.fixture(autouse=True)
def no_folder_in_the_clone(tmp_path: Path) -> Iterator[None]:
    """What hypothesis writes goes to the other files of the test."""
    set_hypothesis_home_dir(tmp_path / "hypothesis")
    yield
    set_hypothesis_home_dir(None)


@pytest.mark.timeout(180 + 300 * MINUTES)
def test_nobody_sees_another_and_nothing_is_lost_on_two_servers(tmp_path: Path) -> None:
    for number in seeds():
        folder = tmp_path / str(number)
        with stores(folder) as session, Replicas(folder, session) as replicas:
            hold(replicas, number, runs=RUNS, kills=KILLS)


@pytest.mark.timeout(180 + 300 * MINUTES)
def test_nobody_sees_another_and_nothing_is_lost_in_memory(tmp_path: Path) -> None:
    with Replicas(tmp_path, {"use": "memory"}, count=1) as replicas:
        hold(replicas, SEED, runs=RUNS_IN_MEMORY, kills=0)
