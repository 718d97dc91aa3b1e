"""A server whose first language model is out of order answers with the second, over real sockets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.failing_services import ANSWER, OUTAGES, FailingService, Outage
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(60)

CONFIGURATION: Final = """
[server]
port = 0

[llm]
use = "openai"
options.model = "first"
options.api_key = "none"
options.base_url = "{first}"
[[llm.fallback]]
use = "openai"
options.model = "second"
options.api_key = "none"
options.base_url = "{second}"

[timeouts]
failover_seconds = 0.3
cooldown_seconds = 60

[[transport]]
use = "relay_chat"
"""


@contextmanager
def serving(folder: Path, first: FailingService, second: FailingService) -> Iterator[ServerProcess]:
    folder.mkdir(exist_ok=True)
    file = folder / "jackfield.toml"
    file.write_text(CONFIGURATION.format(first=first.url, second=second.url))
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with ServerProcess(folder, [str(file)], environment) as server:
        yield server


def asked(server: ServerProcess) -> str:
    fields = {"message": "Hello", "type": "text", "sessionId": "s", "userId": "ada", "username": "Ada"}
    answer = server.client.post("/chat", files={name: (None, value) for name, value in fields.items()})
    answer.raise_for_status()
    text: str = answer.json()["message"]
    return text


def figure(server: ServerProcess, name: str) -> list[float]:
    lines = server.client.get("/metrics").text.splitlines()
    return [float(line.rsplit(" ", 1)[1]) for line in lines if re.match(rf"{name}\b", line)]


@pytest.mark.parametrize("outage", OUTAGES)
def test_the_user_gets_a_full_answer_from_the_second(tmp_path: Path, outage: Outage) -> None:
    with (
        FailingService(outage) as first,
        FailingService("works") as second,
        serving(tmp_path, first, second) as server,
    ):
        assert asked(server) == ANSWER
        assert asked(server) == ANSWER

        assert first.connections == (0 if outage == "refuses" else 1)  # then it was left alone
        assert second.connections == 2
        if outage in ("hangs", "stalls"):
            assert first.left.wait(5)  # no connection to it is left
        assert figure(server, "jackfield_failovers_total") == [1.0]
        assert figure(server, "jackfield_circuit_open") == [1.0, 0.0]
        (noted,) = re.findall(r"turn .*llm_failover", server.output())
        assert " ok in " in noted


def test_two_that_are_out_of_order_are_an_error_that_says_so(tmp_path: Path) -> None:
    with (
        FailingService("cuts") as first,
        FailingService("refuses") as second,
        serving(tmp_path, first, second) as server,
    ):
        fields = {"message": "Hello", "type": "text", "sessionId": "s", "userId": "ada", "username": "Ada"}
        answer = server.client.post("/chat", files={name: (None, value) for name, value in fields.items()})
    assert answer.status_code == 502
    assert answer.json()["code"] == "llm_failed"
