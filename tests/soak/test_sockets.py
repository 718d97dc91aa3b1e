"""The proof that sockets hold, for a few seconds; and that it would notice when one does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from soak.memory import Sample
from soak.socket_result import SocketResult
from soak.tongues import ChatPage, Device, ProxyPage, Unexpected
from soak.visitors import SERVED, Visitor, VisitorTally

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(90)
def test_a_short_trial_holds_and_leaves_nothing() -> None:
    command = [sys.executable, "-m", "soak", "--only", "sockets", "--minutes", "0.05"]
    ran = subprocess.run(
        [*command, "--idle", "9", "--busy", "6"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASSED" in ran.stdout


def result(*, idle: int, sockets: int, served: int, answers: int = 1) -> SocketResult:
    found = SocketResult(idle, 1, minutes=1.0, seed=1, exit_code=0)
    found.samples.all.append(Sample(0.0, 100.0, 9, 3, 5, 1000, sockets))
    found.tally.counts.update({SERVED: served, "answers": answers})
    return found


def test_an_idle_socket_that_is_gone_or_is_not_served_is_a_problem() -> None:
    assert not result(idle=3, sockets=3, served=3).problems()
    assert result(idle=3, sockets=2, served=3).problems() == [
        "there were fewer sockets than visitors who hold theirs"
    ]
    assert result(idle=3, sockets=3, served=2).problems() == ["of 3 idle sockets 2 were served at the end"]
    assert result(idle=3, sockets=3, served=3, answers=0).problems() == ["there was no answer at all"]


def test_latencies_are_told_by_door_and_by_minute() -> None:
    found = result(idle=0, sockets=0, served=0)
    for at_s, took_s in ((1.0, 0.010), (2.0, 0.010), (61.0, 0.030), (62.0, 0.030)):
        found.tally.answered("chat_app", at_s, took_s)

    told: Any = found.figures()
    assert told["added p95 ms by minute"] == {"chat_app": [10.0, 30.0]}
    assert told["added latency ms"]["chat_app"]["most"] == 30.0
    assert told["added latency ms"]["chat_app"]["answers"] == 4


def test_what_nobody_asked_for_is_noticed() -> None:
    tally = VisitorTally()
    visitor = Visitor(0, "somebody", Device("somebody", "token"), tally, 1)
    visitor.event({"action": "message_created", "payload": {}})

    assert tally.wrong == ["somebody at pichat: something came that nobody asked for"]


def test_a_server_that_hangs_up_is_noticed() -> None:
    tally = VisitorTally()
    Visitor(0, "somebody", Device("somebody", "token"), tally, 1).closed()

    assert tally.wrong == ["somebody at pichat: the server has hung up with code None"]


def test_an_event_of_another_conversation_is_unexpected() -> None:
    page = ChatPage("somebody", "token")
    page.conversation = "mine"
    proxied = ProxyPage("somebody", "token")
    proxied.opening()
    proxied.question("?", stream=False)

    with pytest.raises(Unexpected):
        page.hear({"event": "ai_response", "message": "!", "chat_id": "another"})
    with pytest.raises(Unexpected):
        proxied.hear({"type": "text", "message": "!", "sessionId": "another", "id": "1"})


def test_an_error_is_unexpected_and_named() -> None:
    with pytest.raises(Unexpected, match="error llm_failed"):
        ChatPage("somebody", "token").hear({"event": "error", "code": "llm_failed"})
    with pytest.raises(Unexpected, match="error llm_failed"):
        Device("somebody", "token").hear({"action": "error", "payload": {"code": "llm_failed"}})
