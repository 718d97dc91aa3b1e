"""speech-assistant, sections 2 and 6.1: telephones that the server calls for its users."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from websockets.asyncio.client import connect

from jackfield.contracts.auth import Credentials, Identity
from jackfield.errors import ProviderRateLimited
from tests.transports.switchboard import TrialCall
from tests.transports.telephones import MOUNT, PUBLIC_URL, Telephones, telephones
from tests.transports.twilio_api import TwilioApi, twilio_api
from tests.transports.twilio_phone import Line, read_twiml

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(10)]

OURS = "+18005551212"
THEIRS = "+14158675309"


class TrialAuth:
    """Whoever says a name has it."""

    async def identify(self, credentials: Credentials) -> Identity | None:
        return Identity(credentials.bearer) if credentials.bearer else None


@pytest.fixture(scope="module")
async def service() -> AsyncIterator[TwilioApi]:
    async with twilio_api() as api:
        yield api


@pytest.fixture(scope="module")
async def house(service: TwilioApi, place: Path | None) -> AsyncIterator[Telephones]:
    calls = {"enabled": True, "api_url": service.url, "time_limit_s": 0.5}
    people = {"people": TrialAuth()}
    async with telephones(auths=people, replicas=place, phone_number=OURS, calls=calls) as house:
        yield house


@pytest.fixture
def api(service: TwilioApi) -> Iterator[TwilioApi]:
    yield service
    service.refusal, service.hangs = None, False


async def dial(house: Telephones, user: str, **changes: Any) -> httpx.Response:
    body = {"to": THEIRS, "scenario_id": "gameshow_host", **changes}
    headers = {"Authorization": f"Bearer {user}"}
    return await house.client.post(f"{MOUNT}/calls", json=body, headers=headers)


def switching(house: Telephones, user: str, scenario: str, session: str | None = None) -> connect:
    """The socket that has a user's newest session, or that one, play a scenario."""
    query = "" if session is None else f"?session_id={session}"
    url = f"ws://127.0.0.1:{house.twilio.port}{MOUNT}/update-scenario/{scenario}{query}"
    return connect(url, additional_headers={"Authorization": f"Bearer {user}"}, proxy=None)


def refused(response: httpx.Response, status: int, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


@asynccontextmanager
async def answered(house: Telephones, api: TwilioApi, user: str) -> AsyncIterator[tuple[Line, TrialCall]]:
    """A call that a user makes, once somebody has picked up."""
    async with picked_up(house, api, await dialled(house, user)) as found:
        yield found


async def dialled(house: Telephones, user: str) -> str:
    """Have a telephone ring; gives the id of the call."""
    response = await dial(house, user)
    assert response.status_code == 201, response.text
    return str(response.json()["call_sid"])


@asynccontextmanager
async def picked_up(house: Telephones, api: TwilioApi, sid: str) -> AsyncIterator[tuple[Line, TrialCall]]:
    """The last call that was made."""
    webhook = api.made[-1]["Url"]
    assert webhook.startswith(f"{PUBLIC_URL}{MOUNT}/incoming-call/gameshow_host?")
    twilio = house.twilio
    asked = await twilio.ask(webhook.removeprefix(PUBLIC_URL), twilio.form(CallSid=sid, From=OURS, To=THEIRS))
    url, token = read_twiml(asked.text)
    before = len(house.switchboard.calls)
    async with twilio.line(url, sid) as line:
        await line.connected()
        await line.start(token)
        while len(house.switchboard.calls) == before:
            await anyio.lowlevel.checkpoint()
        yield line, house.switchboard.call


@pytest.mark.contract("SA-44")
async def test_a_user_has_a_telephone_called_and_put_through_to_a_scenario(
    house: Telephones, api: TwilioApi
) -> None:
    async with answered(house, api, "ann") as (line, call):
        assert {name: api.made[-1][name] for name in ("To", "From", "Method")} == {
            "To": THEIRS,
            "From": OURS,
            "Method": "POST",
        }
        assert call.request.scenario == "gameshow_host"
        assert call.request.conversation.user.subject == "ann"
        await line.stop()
        assert await line.closed() == 1000


@pytest.mark.contract("SA-44")
async def test_a_call_is_a_session_of_its_user_which_only_the_user_ends(
    house: Telephones, api: TwilioApi
) -> None:
    client = house.client
    async with answered(house, api, "bob") as (line, call):
        session = f"{MOUNT}/realtime/session/{call.request.conversation.session}"
        refused(
            await client.delete(session, headers={"Authorization": "Bearer eve"}), 403, "not_your_session"
        )
        response = await client.delete(session, headers={"Authorization": "Bearer bob"})

        assert response.status_code == 204
        assert await line.closed() == 1000


@pytest.mark.contract("SA-18", "SA-44", "SA-45")
async def test_a_call_plays_another_scenario_when_its_user_says_so(house: Telephones, api: TwilioApi) -> None:
    async with answered(house, api, "hal") as (line, call):
        session = call.request.conversation.session
        async with switching(house, "hal", "Customer-Service") as socket:
            updated = {"type": "scenario.updated", "session_id": session, "scenario_id": "customer_service"}
            assert json.loads(await socket.recv()) == updated
            await call.until_told("switch")
            assert call.told == [("switch", "customer_service")]
            async with switching(house, "eve", "default", session) as foreign:
                assert json.loads(await foreign.recv())["code"] == "not_your_session"
            await line.stop()
            assert json.loads(await socket.recv())["code"] == "session_not_found"
        assert len(call.told) == 1


@pytest.mark.contract("SA-18", "SA-44")
async def test_a_telephone_that_rings_may_be_switched_before_it_is_picked_up(
    house: Telephones, api: TwilioApi
) -> None:
    sid = await dialled(house, "ida")
    async with switching(house, "ida", "customer_service") as socket:
        assert json.loads(await socket.recv())["type"] == "scenario.updated"
        async with picked_up(house, api, sid) as (_line, call):
            await call.until_told("switch")
            assert call.told == [("switch", "customer_service")]


@pytest.mark.contract("SA-44", "SA-49")
async def test_calls_count_as_sessions_and_a_call_that_is_not_made_does_not(
    house: Telephones, api: TwilioApi
) -> None:
    api.refusal = (500, {}, {})
    for _ in range(3):
        refused(await dial(house, "cat"), 502, "provider_failed")
    api.refusal = None
    for _ in range(2):
        assert (await dial(house, "cat")).status_code == 201
    refused(await dial(house, "cat"), 429, "too_many_sessions")


@pytest.mark.contract("SA-44", "SA-40")
@pytest.mark.parametrize(
    "number",
    ["", "4158675309", "+0158675309", "+1415867530912345", "+1 415 867 5309", "+١٤١٥٨٦٧٥٣٠٩", None, 14],
)
async def test_only_whole_numbers_are_called(house: Telephones, api: TwilioApi, number: object) -> None:
    before = len(api.made)
    response = await dial(house, "dan", to=number)

    refused(response, 422, "invalid_request")
    assert response.json()["errors"][0]["field"] == "to"
    assert len(api.made) == before


@pytest.mark.contract("SA-40")
async def test_what_cannot_be_asked_for_is_refused(house: Telephones) -> None:
    refused(await dial(house, "dan", scenario_id="unknown"), 404, "scenario_not_found")
    refused(await dial(house, "dan", scenario_id=7), 422, "invalid_request")
    refused(await house.client.post(f"{MOUNT}/calls", json={"to": THEIRS}), 401, "not_authenticated")


@pytest.mark.contract("SA-44", "SA-40")
@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        ((400, {"code": 21211, "message": "The 'To' number is not valid"}, {}), 422, "invalid_request"),
        ((400, {"code": 21603, "message": "From is required"}, {}), 502, "provider_failed"),
        ((401, {"code": 20003}, {}), 502, "provider_failed"),
        ((429, {"code": 20429}, {"Retry-After": "7"}), 503, "provider_rate_limited"),
        ((500, "no object", {}), 502, "provider_failed"),
        ((201, {"sid": 'CA"'}, {}), 502, "provider_failed"),
        ((302, {}, {"Location": "https://elsewhere.example"}), 502, "provider_failed"),
    ],
)
async def test_what_the_service_refuses_is_told(
    house: Telephones, api: TwilioApi, refusal: tuple[int, Any, dict[str, str]], status: int, code: str
) -> None:
    api.refusal = refusal
    response = await dial(house, "fay")

    refused(response, status, code)
    if status == 503:
        assert response.headers["retry-after"] == "7"


@pytest.mark.contract("SA-40")
async def test_a_service_that_does_not_answer_is_waited_for_no_longer_than_configured(
    house: Telephones, api: TwilioApi
) -> None:
    api.hangs = True
    refused(await dial(house, "gil"), 504, "provider_timeout")


@pytest.mark.contract("SA-33", "SA-44")
async def test_no_telephone_rings_when_nobody_would_answer(house: Telephones, api: TwilioApi) -> None:
    before = len(api.made)
    house.switchboard.trouble = ProviderRateLimited("?", retry_after_s=17)
    for _ in range(3):  # what was refused is no session, of which there may be two
        response = await dial(house, "jan")
        refused(response, 503, "provider_rate_limited")
        assert response.headers["retry-after"] == "17"
    house.switchboard.trouble = None
    assert len(api.made) == before
    assert (await dial(house, "jan")).status_code == 201


@pytest.mark.contract("SA-44")
async def test_no_calls_are_made_unless_that_is_switched_on() -> None:
    async with telephones(auths={"people": TrialAuth()}, phone_number=OURS) as house:
        refused(await dial(house, "ann"), 404, "not_found")
