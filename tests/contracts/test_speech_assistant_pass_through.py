"""speech-assistant, sections 4.1 and 4.2: sound that goes past this server, and keys of the provider's.

Two replicas behind a balancer, and a server on this machine that takes offers as the provider does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import anyio
import httpx
import pytest
from redis import Redis

from tests.contracts.harness import ServerFactory, TrialServer, refusal, until
from tests.contracts.speech import (
    Replicas,
    end,
    ended,
    new_session,
    newcomer,
    replicas,
    signal,
    speaking,
    switching,
    talking,
    told,
)
from tests.plugins.realtime.openai_calls_server import CallsServer, calls_server
from tests.plugins.realtime.openai_far_call import PITCH_HZ
from tests.plugins.realtime.openai_realtime_server import KEY
from tests.redis_server import RedisServer
from tests.transports.browser import Browser, pitch_hz, tone

pytestmark = pytest.mark.anyio

Headers = Mapping[str, str]
ANSWER: Final = "You said: What is the capital of Japan?"
SECRETS: Final = "/v1/realtime/client_secrets"


def parts(house: CallsServer) -> dict[str, object]:
    """What a speech assistant with that provider has."""
    return {
        "call": {"pipeline": "realtime", "llm_first_seconds": 1.5},
        "realtime": {"use": "openai", "options": {"base_url": house.url, "api_key": KEY}},
        "stt": None,
        "vad": None,
    }


@pytest.fixture(scope="module")
def house() -> Iterator[CallsServer]:
    with calls_server() as server:
        yield server


@pytest.fixture
def model(house: CallsServer) -> CallsServer:
    house.reset()
    return house


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="module")
def past(
    redis: RedisServer, house: CallsServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Replicas]:
    """Speech assistants whose browsers talk with the provider."""
    folder = tmp_path_factory.mktemp("past")
    with replicas(folder, redis, config=parts(house), media="pass_through") as found:
        yield found


@pytest.fixture(scope="module")
def generous(start: ServerFactory, house: CallsServer) -> TrialServer:
    """A speech assistant that gives the provider's keys away."""
    config = speaking(config=parts(house), media="pass_through", expose_provider_secret=True, offer_s=120)
    return start("generous", config)


@pytest.fixture
def ann(past: Replicas) -> Headers:
    """Somebody without a session."""
    return newcomer(past)


async def off_loop(wait: Callable[[], object], what: str) -> None:
    """Wait for what another process does."""
    await anyio.to_thread.run_sync(until, wait, what)


async def leave_early(
    server: TrialServer, model: CallsServer, path: str, *, method: str = "GET", **request: Any
) -> None:
    """Ask for something, and go while the provider works on it."""
    asked, model.stalls_s = len(model.headers), 20
    async with (
        httpx.AsyncClient(base_url=server.url, trust_env=False) as client,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(partial(client.request, method, path, **request))
        await off_loop(lambda: len(model.headers) > asked, "the provider is asked")
        tasks.cancel_scope.cancel()


def stored(redis: RedisServer, text: str) -> bool:
    """Whether a text is kept."""
    with Redis.from_url(redis.url) as client:
        client.config_set("rdbcompression", "no")
        return any(text.encode() in (client.dump(key) or b"") for key in client.scan_iter())


@pytest.mark.contract("SA-50", "SA-41")
async def test_a_browser_talks_with_the_provider_and_what_they_say_is_kept(
    past: Replicas, ann: Headers, model: CallsServer, redis: RedisServer
) -> None:
    browser = Browser(tone(600, 0.5))
    session = new_session(past, ann, scenario_id="quiz_night")
    async with talking(past, ann, session, browser, candidates=False) as response:
        assert set(response.json()) == {"sdp_answer"}
        assert "x-jackfield-warning" not in response.headers
        assert len(model.offers) == 1
        (held,) = model.calls.values()
        assert held.session["instructions"] == "You ask riddles."
        assert held.session["audio"]["output"]["voice"] == "marin"
        assert pitch_hz(await browser.until_loud(0.3)) == pytest.approx(PITCH_HZ, rel=0.05)
        await off_loop(lambda: stored(redis, ANSWER), "the answer is kept")
    assert stored(redis, "What is the capital of Japan?")
    assert {headers["authorization"] for headers in model.headers} == {f"Bearer {KEY}"}
    assert model.of_type("input_audio_buffer.append") == []
    assert KEY not in past.output()
    assert "a=ice-pwd" not in past.output()


@pytest.mark.contract("SA-50", "SA-48")
async def test_each_server_ends_the_call_at_the_provider(
    past: Replicas, ann: Headers, model: CallsServer
) -> None:
    session = new_session(past, ann)
    browser = Browser()
    async with talking(past, ann, session, browser):
        (name,) = model.calls
        log = f"session signalled; session_id={session['session_id']}"
        await off_loop(lambda: log in past.output(), "the offer is answered")
        other = next(server for server in past.servers if log not in server.output())
        response = await anyio.to_thread.run_sync(end, other, ann, session)
        assert response.status_code == 204
        await browser.until(lambda: browser.connection.connectionState == "closed")
    assert model.hung_up == [name]
    await off_loop(lambda: model.attached == 0, "the connection beside the call is closed")
    refusal(end(past, ann, session), 404, "session_not_found")
    with ended(past, ann, new_session(past, ann), new_session(past, ann)):
        pass  # both places are free


@pytest.mark.contract("SA-50", "SA-48")
async def test_the_session_is_over_when_the_browser_leaves(
    past: Replicas, ann: Headers, model: CallsServer
) -> None:
    session = new_session(past, ann)
    async with talking(past, ann, session, Browser()):
        began_s = time.monotonic()
    over = f"session ended; session_id={session['session_id']} reason=hung_up"
    await off_loop(lambda: over in past.output(), "the session is over")
    await off_loop(lambda: model.attached == 0, "the connection beside the call is closed")
    assert time.monotonic() - began_s < 5
    assert model.hung_up == []


@pytest.mark.contract("SA-50", "SA-18")
async def test_each_server_switches_the_scenario(past: Replicas, ann: Headers, model: CallsServer) -> None:
    session = new_session(past, ann)
    async with talking(past, ann, session, Browser()):
        await anyio.to_thread.run_sync(partial(_switch_everywhere, past, ann, session))
        await off_loop(lambda: riddles(model) == 2, "the provider is told")


def riddles(model: CallsServer) -> int:
    """How often the provider was told to ask some."""
    told = [event["session"]["instructions"] for event in model.of_type("session.update")]
    return told.count("You ask riddles.")


def _switch_once(past: Replicas, ann: Headers) -> None:
    with switching(past, ann, "quiz_night"):
        pass


def _switch_everywhere(past: Replicas, ann: Headers, session: Mapping[str, str]) -> None:
    for server in past.servers:
        with switching(server, ann, "quiz_night") as socket:
            assert told(socket) == {
                "type": "scenario.updated",
                "session_id": session["session_id"],
                "scenario_id": "quiz_night",
            }


@pytest.mark.contract("SA-50", "SA-49")
async def test_calls_at_the_provider_count(past: Replicas, ann: Headers, model: CallsServer) -> None:
    one, two = Browser(), Browser()
    first, second = new_session(past, ann), new_session(past, ann)
    async with talking(past, ann, first, one), talking(past, ann, second, two):
        assert len(model.calls) == 2
        refusal(past.client.get("/realtime/session", headers=ann), 429, "too_many_sessions")
        again = await anyio.to_thread.run_sync(partial(signal, past, ann, first))
        refusal(again, 409, "already_signalled")


@pytest.mark.contract("SA-50")
async def test_a_call_is_over_when_the_connection_beside_it_stays_lost(
    past: Replicas, ann: Headers, model: CallsServer
) -> None:
    session = new_session(past, ann)
    async with talking(past, ann, session, Browser()):
        (call,) = model.calls
        model.script.drops = model.refuses_attaching = True
        await anyio.to_thread.run_sync(partial(_switch_once, past, ann))
        over = f"session ended; session_id={session['session_id']} reason=provider_lost"
        await off_loop(lambda: over in past.output(), "the session is over")
    await off_loop(lambda: call in model.hung_up, "the call is ended at the provider")
    assert "Traceback" not in past.output()


@pytest.mark.contract("SA-50", "SA-33")
@pytest.mark.parametrize(
    ("trouble", "status", "code"),
    [(429, 503, "provider_rate_limited"), (500, 502, "provider_failed"), (None, 504, "provider_timeout")],
    ids=["busy", "broken", "late"],
)
async def test_a_provider_that_does_not_answer_leaves_the_secret_good(
    past: Replicas, ann: Headers, model: CallsServer, trouble: int | None, status: int, code: str
) -> None:
    session = new_session(past, ann)
    model.script.refuses, model.script.retry_after_s = trouble, 17
    model.stalls_s = 0 if trouble else 20
    async with Browser() as browser:
        offer = await browser.offer()
        refused = await anyio.to_thread.run_sync(partial(signal, past, ann, session, sdp=offer))
    refusal(refused, status, code)
    assert refused.headers.get("retry-after") == ("17" if trouble == 429 else None)
    model.reset()
    async with talking(past, ann, session, Browser()):
        assert len(model.calls) == 1


@pytest.mark.contract("SA-08", "SA-50")
async def test_who_leaves_before_the_answer_may_come_again_with_the_same_secret(
    generous: TrialServer, model: CallsServer
) -> None:
    user = newcomer(generous)
    session = new_session(generous, user)
    body = {"session_id": session["session_id"], "client_secret": session["client_secret"]}
    async with Browser() as browser:
        body["sdp"] = await browser.offer()
        await leave_early(generous, model, "/realtime/signal", method="POST", json=body, headers=user)
        model.reset()
        await off_loop(
            lambda: generous.client.post("/realtime/signal", json=body, headers=user).is_success,
            "the same offer is answered",
        )
    with ended(generous, user, session):
        pass


@pytest.mark.contract("SA-50", "SA-28")
def test_what_is_no_offer_does_not_reach_the_provider(
    past: Replicas, ann: Headers, model: CallsServer
) -> None:
    session = new_session(past, ann)
    response = signal(past, ann, session)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_sdp")
    assert model.offers == []


@pytest.mark.contract("SA-50")
async def test_a_page_without_a_microphone_is_told_so(
    past: Replicas, ann: Headers, model: CallsServer
) -> None:
    async with talking(past, ann, new_session(past, ann), Browser()) as response:
        assert response.headers["x-jackfield-warning"] == "no-inbound-audio"


@pytest.mark.contract("SA-51")
async def test_the_providers_key_is_handed_out_and_opens_a_call(
    generous: TrialServer, model: CallsServer
) -> None:
    user = newcomer(generous)
    session = new_session(generous, user, scenario_id="quiz_night")
    assert len(model.headers) == 1  # it is asked for the key, and nothing before
    secret = session["client_secret"]
    expires = datetime.fromisoformat(session["client_secret_expires_at"])
    assert 100 < (expires - datetime.now(UTC)).total_seconds() < 121
    assert model.secrets[secret]["instructions"] == "You ask riddles."
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/sdp"}
    async with Browser() as browser, httpx.AsyncClient(trust_env=False) as client:
        offer = await browser.offer()
        answer = await client.post(f"{model.url}/realtime/calls", content=offer, headers=headers)
        assert answer.status_code == 201
        await browser.accept(answer.text)
        await browser.connected()
    assert secret not in generous.output()
    with ended(generous, user, session):
        pass


@pytest.mark.contract("SA-51")
async def test_the_providers_key_admits_to_the_session_too(generous: TrialServer, model: CallsServer) -> None:
    user = newcomer(generous)
    session = new_session(generous, user)
    async with talking(generous, user, session, Browser()):
        assert len(model.calls) == 1


@pytest.mark.contract("SA-51")
async def test_a_provider_that_gives_no_key_costs_no_session(
    generous: TrialServer, model: CallsServer
) -> None:
    user = newcomer(generous)
    model.stalls_s = 20
    refusal(generous.client.get("/realtime/session", headers=user), 504, "provider_timeout")
    model.reset()
    model.script.refuses = 429
    for _ in range(3):
        refusal(generous.client.get("/realtime/session", headers=user), 503, "provider_rate_limited")
    model.reset()
    with ended(generous, user, new_session(generous, user)):
        pass


@pytest.mark.contract("SA-49", "SA-51")
async def test_who_leaves_before_there_is_a_session_has_none(
    generous: TrialServer, model: CallsServer
) -> None:
    user = newcomer(generous)
    for _ in range(2):
        await leave_early(generous, model, "/realtime/session", headers=user)
    model.reset()

    def has_place() -> bool:
        return generous.client.get("/realtime/session", headers=user).is_success

    await off_loop(has_place, "a place is free")
    await off_loop(has_place, "the other place is free")


@pytest.mark.contract("SA-51")
def test_without_the_option_the_secret_is_our_own(past: Replicas, ann: Headers, model: CallsServer) -> None:
    session = new_session(past, ann)
    assert session["client_secret"].startswith("cs_")
    assert model.secrets == {}
