"""chat-app, sections 3.4 and 4.5: what is measured and told."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.contracts.chat_app import METER, generate, page, stats
from tests.contracts.harness import ServerFactory, TrialServer

STATUS_FIELDS = {
    "event",
    "tokens_used",
    "latency",
    "chat_id",
    "prompt_tokens",
    "completion_tokens",
    "tokens_total",
    "latency_ms",
    "first_token_ms",
    "tokens_per_second",
    "tools",
    "model",
}

ALMOST_100_MS = 95
"""A sleep of 100 ms may end a little early, by the clock that measures."""


@pytest.fixture(scope="module")
def server(start: ServerFactory) -> TrialServer:
    return start("meter", METER)


@pytest.mark.contract("CA-04")
def test_the_status_after_an_answer_is_measured(server: TrialServer) -> None:
    with page(server) as one:
        _, slow, _ = one.say("slow")
        _, quick, _ = one.say("quick")

    assert set(slow) == STATUS_FIELDS
    assert (slow["tokens_used"], slow["prompt_tokens"], slow["completion_tokens"]) == (42, 30, 12)
    assert slow["model"] == "meter-1"
    assert ALMOST_100_MS <= slow["latency_ms"] < 5000
    assert slow["latency"] == f"{slow['latency_ms']}ms"
    assert quick["latency_ms"] < slow["latency_ms"]


@pytest.mark.contract("CA-12")
def test_speed_and_the_first_token_are_measured(server: TrialServer) -> None:
    with page(server) as one:
        _, slow, _ = one.say("slow")
        _, quick, _ = one.say("quick")

    assert ALMOST_100_MS <= slow["first_token_ms"] <= slow["latency_ms"]
    assert quick["first_token_ms"] < slow["first_token_ms"]
    assert 12 / 5 < slow["tokens_per_second"] <= 12_000 / ALMOST_100_MS
    assert quick["tokens_per_second"] > slow["tokens_per_second"]


@pytest.mark.contract("CA-04", "CA-12")
def test_waiting_behind_another_message_is_latency_and_not_slowness(server: TrialServer) -> None:
    with page(server) as one:
        one.send(message="slow").send(message="quick")
        one.events("ai_response", "backend_status", "chat_history")
        _, status, _ = one.events("ai_response", "backend_status", "chat_history")

    assert status["latency_ms"] > 50
    assert status["tokens_per_second"] > 1.5 * 12_000 / status["latency_ms"]


@pytest.mark.contract("CA-11", "CA-04")
def test_figures_that_the_model_does_not_tell_are_estimates_and_called_so(server: TrialServer) -> None:
    with page(server) as one:
        _, told, _ = one.say("told")
        _, status, _ = one.say("bare")

    assert "estimated" not in told
    assert status["estimated"] is True
    assert status["prompt_tokens"] > 0
    assert status["completion_tokens"] > 0
    assert status["tokens_total"] == 42 + status["tokens_used"]


@pytest.mark.contract("CA-11")
def test_tokens_are_counted_by_exchange_by_chat_and_in_all(server: TrialServer) -> None:
    before = stats(server)["tokens"]
    with page(server) as one, page(server) as two:
        totals = [one.say("Hello")[1]["tokens_total"] for _ in range(3)]
        other = two.say("Hello")[1]

    assert totals == [42, 84, 126]
    assert (other["tokens_used"], other["tokens_total"]) == (42, 42)
    after = stats(server)["tokens"]
    assert {name: after[name] - before[name] for name in after} == {
        "prompt": 120,
        "completion": 48,
        "total": 168,
    }


@pytest.mark.contract("CA-10", "CA-11")
def test_the_stats_add_up(start: ServerFactory) -> None:
    server = start("fresh", METER)
    nothing = stats(server)
    assert (nothing["tokens_used"], nothing["latency"]) == (0, None)
    assert nothing["latency_ms"] == {"last": None, "avg": None, "p50": None, "p95": None}
    assert nothing["tokens_per_second"] == {"last": None, "avg": None}

    with page(server) as one:
        statuses = [one.say(message)[1] for message in ("slow", "quick")]
        one.send(event="dance").error("unknown_event")
        server.client.get("/chat/unknown")
        server.client.post("/chat")
        found = stats(server)

    latencies = [status["latency_ms"] for status in statuses]
    speeds = [status["tokens_per_second"] for status in statuses]
    average = found["latency_ms"]["avg"]
    assert found == {
        "tokens_used": 84,
        "latency": f"{average}ms",
        "uptime_seconds": found["uptime_seconds"],
        "active_connections": 1,
        "chats_total": 2,
        "messages_total": 4,
        "tokens": {"prompt": 60, "completion": 24, "total": 84},
        "latency_ms": {"last": latencies[1], "avg": average, "p50": min(latencies), "p95": max(latencies)},
        "tokens_per_second": {"last": speeds[1], "avg": found["tokens_per_second"]["avg"]},
        "tool_calls_total": 0,
        "errors_total": 2,
    }
    assert abs(average - sum(latencies) / 2) <= 1
    assert min(speeds) <= found["tokens_per_second"]["avg"] <= max(speeds)
    assert 0 <= found["uptime_seconds"] < 90


@pytest.mark.contract("CA-10")
def test_the_figures_are_on_the_metrics_too(server: TrialServer) -> None:
    names = [
        'jackfield_tokens_total{kind="prompt",transport="chat_app"}',
        'jackfield_tokens_total{kind="completion",transport="chat_app"}',
        'jackfield_tool_calls_total{outcome="ok",transport="chat_app"}',
        'jackfield_messages_total{transport="chat_app",type="text"}',
        'jackfield_message_seconds_count{transport="chat_app",type="text"}',
        'jackfield_errors_total{code="invalid_message",transport="chat_app"}',
    ]
    before = server.figures()
    with page(server) as one:
        one.say("use echo")
        one.send(message="").error("invalid_message")
    after = server.figures()

    assert [after[name] - before.get(name, 0) for name in names] == [30, 12, 1, 1, 1, 1]


@pytest.mark.contract("CA-13")
@pytest.mark.parametrize(("tool", "status"), [("echo", "ok"), ("broken", "error"), ("missing", "error")])
def test_a_tool_that_the_model_calls_is_told(server: TrialServer, tool: str, status: str) -> None:
    before = stats(server)["tool_calls_total"]
    with page(server) as one:
        _, told, _ = one.say(f"use {tool}")

    (activity,) = told["tools"]
    assert activity == {"name": tool, "status": status, "ms": activity["ms"]}
    assert isinstance(activity["ms"], int)
    assert stats(server)["tool_calls_total"] == before + 1
    assert told["tokens_used"] == 42, "both rounds together"


@pytest.mark.contract("CA-13")
def test_without_a_tool_there_is_no_activity(server: TrialServer) -> None:
    assert generate(server, "Hello")["tools"] == []
    assert [tool["name"] for tool in generate(server, "use echo")["tools"]] == ["echo"]


@pytest.mark.contract("CA-29")
def test_figures_stay_right_with_several_connections_at_once(server: TrialServer) -> None:
    before = stats(server)

    def talk(number: int) -> list[int]:
        with page(server) as one:
            return [one.say(f"{number}, {again}")[1]["tokens_total"] for again in range(4)]

    with ThreadPoolExecutor(12) as talkers:
        totals = list(talkers.map(talk, range(12)))

    assert totals == [[42, 84, 126, 168]] * 12
    after = stats(server)
    assert after["tokens_used"] - before["tokens_used"] == 12 * 4 * 42
    assert after["messages_total"] - before["messages_total"] == 12 * 4 * 2
    assert after["chats_total"] - before["chats_total"] == 12
