"""What nobody should send, sent to every door: no 500, no traceback, no socket and no task left.

The same at length, with other dice each time, is `python -m soak --only fuzz`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from soak.fuzz.clips import check_clips, fuzz_clips
from soak.fuzz.document import fuzz_document
from soak.fuzz.findings import Findings
from soak.fuzz.house import House
from soak.fuzz.offers import fuzz_commands, fuzz_offers
from soak.fuzz.requests import fuzz_requests
from soak.fuzz.sockets import SocketFuzzer
from soak.fuzz.trial import warm_up
from tests.postgres_server import PostgresServer

SEED = 1
MOST_MIB = 64.0
"""Growth of the server's memory by one of these tests."""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer())
        database = stack.enter_context(postgres.database())
        folder = tmp_path_factory.mktemp("fuzz") / "house"
        served = stack.enter_context(House(folder, database=database))
        warm_up(served, SocketFuzzer(served, SEED, Findings()))
        yield served


@pytest.fixture
def findings(house: House) -> Iterator[Findings]:
    """Filled by a test, and judged after it, together with what is left in the server and in its log."""
    idle = house.holding()
    found = Findings()
    yield found
    SocketFuzzer(house, SEED, found).greet("after everything")
    left = [f"left behind: {count} {name}" for name, count in house.left(idle).items()]
    assert [*found.wrong, *house.troubles(), *left] == []
    assert house.holding(objects=False).memory_mib - idle.memory_mib < MOST_MIB


def test_everything_that_the_document_describes(house: House, findings: Findings, tmp_path: Path) -> None:
    folder, guarded_twins = tmp_path / "document", "^/((chat|pi|proxy)/|speech/(realtime|scenarios))"
    result = fuzz_document(folder, house.url, house.authorization, max_examples=8, skip=guarded_twins)

    assert result.problems == [], result.output
    assert result.operations > 30
    assert result.cases > 400


def test_frames_of_every_websocket(house: House, findings: Findings) -> None:
    SocketFuzzer(house, SEED, findings).run(range(120))

    assert findings.counts["errors told"] > 20
    assert findings.counts["closed with 1002"] > 5
    assert findings.counts["closed with 1007"] > 5


def test_requests_that_are_hardly_any(house: House, findings: Findings) -> None:
    fuzz_requests(house, SEED, range(240), findings)

    assert findings.counts["answered 400"] > 30
    assert findings.counts["answered 200"] > 3


def test_recordings_that_are_damaged(house: House, findings: Findings) -> None:
    check_clips(house, findings)
    fuzz_clips(house, SEED, range(84), findings)

    assert sum(findings.counts[f"{kind} answered 422"] for kind in ("webm", "ogg", "mp4")) > 5


def test_offers_that_are_broken(house: House, findings: Findings) -> None:
    fuzz_offers(house, SEED, range(60), findings)

    assert findings.counts["offers answered 200"] > 5
    assert findings.counts["offers answered 422"] > 5


def test_commands_over_the_data_channel_of_a_call(house: House, findings: Findings) -> None:
    fuzz_commands(house, SEED, range(200), findings)

    assert findings.counts["errors told"] > 20
