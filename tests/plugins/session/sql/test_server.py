"""A whole server on the SQL store: what it answered is there after a restart, and after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.contracts.harness import FORM, ROOT, TrialServer, server_environment
from tests.contracts.test_relay_chat_sessions import merged_over_trial
from tests.postgres_server import PostgresServer
from tests.server_process import ServerProcess

pytestmark = pytest.mark.timeout(90)


def server(folder: Path, url: str) -> TrialServer:
    session = merged_over_trial({"use": "sql", "options": {"url": "${TRIAL_URL}"}})
    return TrialServer(folder, {"session": session}, {"TRIAL_URL": url})


def conversation(server: TrialServer) -> list[str]:
    window = server.window()
    assert window is not None
    return [message["content"] for message in window["messages"]]


def test_a_conversation_goes_on_where_it_was_when_the_server_was_killed(
    tmp_path: Path, empty_url: str
) -> None:
    with server(tmp_path, empty_url) as first:
        for number in range(3):
            assert first.chat(message=f"number {number}").status_code == 200
        os.kill(first.pid, signal.SIGKILL)
    with server(tmp_path, empty_url) as second:
        before = conversation(second)
        with second.noting("llm") as asked:
            second.chat(message="What did I say?")

    assert before == [text for at in range(3) for text in (f"number {at}", f"You said: number {at}")]
    assert ["user", "number 2"] in asked[0]["messages"]
    assert "number" not in second.output()


def test_a_store_that_cannot_be_opened_stops_the_start_and_no_password_is_shown(tmp_path: Path) -> None:
    broken = server(tmp_path, "postgresql://somebody:secret-123@127.0.0.1:9/jackfield")
    with pytest.raises(RuntimeError, match="cannot start: The postgresql database"), broken:
        pass
    assert "secret-123" not in broken.output()
    assert "Traceback" not in broken.output()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_example_file_serves_and_keeps_what_it_answered(
    tmp_path: Path, postgres: PostgresServer, kind: str
) -> None:
    example = ROOT / "examples" / {"sqlite": "sql.toml", "postgresql": "postgresql.toml"}[kind]
    with postgres.database() as url:
        environment = {**server_environment(tmp_path, {}), "PORT": "0", "DATABASE_URL": url}
        for message, known in (("first", False), ("second", True)):
            with ServerProcess(tmp_path, [str(example)], environment) as running:
                refreshed = running.client.post(f"/sessions/{FORM['sessionId']}/refresh", data=FORM)
                assert (refreshed.status_code == 204) is known
                answer = running.client.post("/chat", data={**FORM, "message": message})
                assert answer.json() == {"message": f"You said: {message}", "type": "text"}
    assert (tmp_path / "jackfield.db").exists() is (kind == "sqlite")
