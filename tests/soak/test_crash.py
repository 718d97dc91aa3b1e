"""The proof that killed stores lose nothing, for a few seconds; and that it would notice."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from jackfield_session_redis import RedisOptions
from jackfield_session_redis.store import RedisStore
from soak.crash import Result, try_store
from soak.ledger import Comparison
from soak.stores import SUBJECTS, Subject
from tests.redis_server import PASSING, RedisServer

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


@pytest.mark.parametrize("name", sorted(SUBJECTS.keys() - {"server-on-redis"}))  # a contract test kills that
def test_a_store_that_is_killed_and_killed_again_loses_nothing_that_it_acknowledged(name: str) -> None:
    command = [sys.executable, "-m", "soak", "--only", "crash", "--stores", name, "--kills", "2"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASSED" in ran.stdout


async def test_a_store_that_forgets_fails(tmp_path: Path) -> None:
    server = RedisServer(tmp_path, PASSING)
    options = RedisOptions(url=SecretStr(server.url))
    result = Result("forgetful", kills=1, seed=1)
    await try_store(Subject(server, lambda: RedisStore(options, logging.getLogger("test"))), result)
    assert any("is lost" in problem for problem in result.problems())
    assert any("are stored" in problem for problem in result.problems())


@pytest.mark.parametrize(
    ("messages", "wrong"),
    [
        (["w 0 question", "w 0 question answer", "w 1 question", "w 1 question answer"], []),
        (["w 0 question", "w 0 question answer"], ["place: w 1 was acknowledged and is lost"]),
        (
            ["w 1 question", "w 1 question answer", "w 0 question", "w 0 question answer"],
            ["place: a writer's pairs are not in their order"],
        ),
        (
            ["w 0 question", "w 0 question answer"] * 2 + ["w 1 question", "w 1 question answer"],
            ["place: w 0 is there and was not to be, or is there twice"],
        ),
    ],
    ids=["equal", "lost", "disordered", "twice"],
)
def test_a_comparison_finds_what_is_wrong(messages: list[str], wrong: list[str]) -> None:
    comparison = Comparison()
    comparison.add("place", messages, ["w 0", "w 1"])
    assert comparison.wrong == wrong
    assert comparison.stored == len(messages)


def test_a_comparison_finds_torn_pairs() -> None:
    comparison = Comparison()
    comparison.add("place", ["w 0 question", "w 1 question", "w 0 question answer"], ["w 0"])
    assert "place: a pair is torn" in comparison.wrong
