"""relay-chat, section 7, with a service that knows the users: the "blockchain service" of its source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest
from anyio.from_thread import start_blocking_portal

from tests.contracts.harness import ServerFactory, TrialServer, refusal
from tests.contracts.sign_in import bearer, outcome, voice_socket
from tests.plugins.http_service import Asked, Reply, Service, serving

WALLETS: Final = {"Bearer of-ann": "0xAbCdEf", "Bearer of-bob": "0x999"}


async def knows_wallets(asked: Asked, reply: Reply) -> None:
    """Answer as the service does."""
    wallet = WALLETS.get(asked.headers.get("authorization", ""))
    if asked.headers.get("authorization") == "Bearer of-nobody-now":
        await reply.whole(500, {})
    elif wallet:
        await reply.whole(200, {"address": wallet})
    else:
        await reply.whole(401, {})


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """The service."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(knows_wallets)) as service,
    ):
        yield service


@pytest.fixture(scope="module")
def server(start: ServerFactory, service: Service) -> TrialServer:
    """A server that asks the service."""
    options = {"url": f"{service.url}/whoami", "subject_field": "address", "ignore_case": True}
    return start(
        "verified",
        {
            "session": {"use": "memory", "options": None},
            "auth": {"wallets": {"use": "http_verify", "options": options}},
            "transport": [{"use": use, "auth": "wallets"} for use in ("relay_chat", "voice_socket")],
        },
    )


@pytest.mark.contract("RC-17", "RC-18")
def test_the_service_says_who_one_is(server: TrialServer, service: Service) -> None:
    before = len(service.asked)
    for user in ("0xAbCdEf", "0xABCDEF"):
        assert server.chat(userId=user, headers=bearer("of-ann")).status_code == 200
    refusal(server.chat(userId="0x999", headers=bearer("of-ann")), 403, "user_mismatch")
    refusal(server.chat(userId="0xAbCdEf", headers=bearer("forged")), 401, "not_authenticated")
    refusal(server.chat(userId="0xAbCdEf"), 401, "not_authenticated")

    assert len(service.asked) - before == 2, "each token once"


@pytest.mark.contract("RC-17")
def test_nobody_is_let_in_while_the_service_cannot_tell(server: TrialServer) -> None:
    with server.noting("llm") as asked:
        refusal(server.chat(userId="0x1", headers=bearer("of-nobody-now")), 503, "authentication_unavailable")
    assert asked == []
    assert "of-nobody-now" not in server.output()


@pytest.mark.contract("RC-17")
def test_a_socket_asks_the_service_too(server: TrialServer) -> None:
    with voice_socket(server, token="of-bob") as socket:
        assert outcome(socket) == "open"
    with voice_socket(server, token="forged") as socket:
        assert outcome(socket) == 4401
