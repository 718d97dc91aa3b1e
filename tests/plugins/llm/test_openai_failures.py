"""How the plugin `openai` fails, against a server on a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimedOut,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.testing import FailureSuite
from jackfield.testing.failure import Failing
from jackfield.testing.llm import answer_of
from tests.plugins.http_service import Asked, Handler, Reply, Service, serving
from tests.plugins.llm.openai_chat import (
    DONE,
    HELLO,
    KEY,
    SECRET_WORDS,
    HangsUp,
    answering,
    connected,
    delta,
    error,
    failing,
    part,
    said,
)

pytestmark = pytest.mark.anyio

IN_TEN_MINUTES = "in ten minutes"
"""Stands for a date that is made when the test runs."""


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    async with serving(answering(*said("Hello", " there"))) as service:
        yield service


async def failure(service: Service, handler: Handler, **options: object) -> ProviderError:
    """What a request ends with."""
    service.handler = handler
    async with connected(service.url, **options) as llm:
        with pytest.raises(ProviderError) as caught:
            await answer_of(llm, HELLO)
    return caught.value


REFUSALS: list[tuple[int, object, type[ProviderError]]] = [
    (400, error("context_length_exceeded"), ContextTooLong),
    (400, error(None, "exceed_context_size_error", n_ctx=2048), ContextTooLong),
    (
        400,
        {"error": {"message": "This model's maximum context length is 9 tokens", "code": 400}},
        ContextTooLong,
    ),
    (400, error("content_filter", innererror={"code": "ResponsibleAIPolicyViolation"}), ContentFiltered),
    (400, error("content_policy_violation"), ContentFiltered),
    (400, error("invalid_value"), ProviderRefused),
    (422, {"detail": [{"loc": ["body"], "msg": SECRET_WORDS}]}, ProviderRefused),
    (400, error("unsupported_parameter"), ProviderBadReply),
    (404, error("model_not_found"), ProviderBadReply),
    (404, b"<html>nothing here</html>", ProviderBadReply),
    (301, b"", ProviderBadReply),
    (401, error("invalid_api_key"), ProviderUnauthorized),
    (403, {"error": f"no: {SECRET_WORDS}"}, ProviderUnauthorized),
    (429, error("insufficient_quota", "insufficient_quota"), ProviderUnauthorized),
    (429, error("rate_limit_exceeded", "tokens"), ProviderRateLimited),
    (408, error(), ProviderUnavailable),
    (409, error(), ProviderUnavailable),
    (500, error(None, "server_error"), ProviderUnavailable),
    (503, b"upstream connect error", ProviderUnavailable),
]


@pytest.mark.parametrize(("status", "body", "category"), REFUSALS)
async def test_an_answer_with_an_error_status_has_its_category_and_does_not_quote(
    service: Service, status: int, body: object, category: type[ProviderError]
) -> None:
    caught = await failure(service, failing(status, body, x_request_id="req_12", location="/elsewhere"))
    assert type(caught) is category
    assert str(status) in str(caught)
    assert "req_12" in str(caught)
    assert SECRET_WORDS not in str(caught)
    assert caught.__cause__ is None
    assert caught.__suppress_context__
    assert len(service.asked) == 1, "The SDK must not try again by itself."


@pytest.mark.parametrize(
    ("headers", "least_s", "most_s"),
    [
        ({"retry_after": "7"}, 7.0, 7.0),
        ({"retry_after": "2", "retry_after_ms": "1500"}, 1.5, 1.5),
        ({"retry_after": IN_TEN_MINUTES}, 500.0, 600.0),
        ({"retry_after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0, 0.0),
    ],
    ids=["seconds", "milliseconds", "date", "past"],
)
async def test_the_wait_that_the_service_asks_for_is_told(
    service: Service, headers: dict[str, str], least_s: float, most_s: float
) -> None:
    if headers["retry_after"] == IN_TEN_MINUTES:
        at = datetime.now(UTC) + timedelta(minutes=10)
        headers = {"retry_after": format_datetime(at, usegmt=True)}
    caught = await failure(service, failing(429, error("rate_limit_exceeded"), **headers))
    assert isinstance(caught, ProviderRateLimited)
    assert caught.retry_after_s is not None
    assert least_s <= caught.retry_after_s <= most_s


@pytest.mark.parametrize("told", [{}, {"retry_after": "soon"}], ids=["nothing", "nonsense"])
async def test_a_rate_limit_without_a_wait_has_none(service: Service, told: dict[str, str]) -> None:
    assert (await failure(service, failing(429, b"", **told))).retry_after_s is None


@pytest.mark.parametrize(
    ("sent", "category"),
    [
        (error("rate_limit_exceeded", "tokens"), ProviderRateLimited),
        (error(None, "server_error"), ProviderUnavailable),
        ({"error": {"code": 429, "message": SECRET_WORDS}}, ProviderRateLimited),
        (
            {"error": {"code": 400, "message": "the request exceeds the available context size"}},
            ContextTooLong,
        ),
        ({"error": SECRET_WORDS}, ProviderUnavailable),
    ],
)
async def test_an_error_in_the_middle_of_an_answer_has_its_category(
    service: Service, sent: dict[str, object], category: type[ProviderError]
) -> None:
    pieces = delta(content="Hi"), b"data: " + json.dumps(sent).encode() + b"\n\n"
    caught = await failure(service, answering(*pieces))
    assert type(caught) is category
    assert SECRET_WORDS not in str(caught)


@pytest.mark.parametrize(
    "garbage",
    [
        b'data: {"choices": [{"del\n\n',
        b"data: 7\n\n",
        b'data: {"choices": [7]}\n\n',
        b"data: \xff\n\n",
        b'data: {"usage": {"prompt_tokens": "many"}}\n\n',
    ],
)
async def test_garbage_in_an_answer_is_a_bad_reply(service: Service, garbage: bytes) -> None:
    assert type(await failure(service, answering(delta(content="Hi"), garbage))) is ProviderBadReply


async def test_an_endless_event_is_a_bad_reply(service: Service) -> None:
    caught = await failure(service, answering(b"data: ", *[bytes(1_000_000)] * 5))
    assert type(caught) is ProviderBadReply


async def test_a_page_instead_of_an_answer_is_a_bad_reply(service: Service) -> None:
    handler = failing(200, b"<html>Please log in</html>", content_type="text/html")
    assert type(await failure(service, handler)) is ProviderBadReply


async def test_an_answer_that_ends_in_the_middle_makes_the_provider_unavailable(service: Service) -> None:
    assert type(await failure(service, answering(delta(content="Hi")))) is ProviderUnavailable


async def test_a_connection_that_is_cut_half_way_makes_the_provider_unavailable(service: Service) -> None:
    async def cut(asked: Asked, reply: Reply) -> None:
        await reply.begin()
        await reply.send(delta(content="Hi"))
        await reply.cut()

    assert type(await failure(service, cut)) is ProviderUnavailable


@pytest.mark.parametrize("data", [b"", b"SSH-2.0-OpenSSH\r\n\r\n"], ids=["nothing", "another_protocol"])
async def test_a_server_that_does_not_speak_http_makes_the_provider_unavailable(
    service: Service, data: bytes
) -> None:
    async def babble(asked: Asked, reply: Reply) -> None:
        await reply.raw(data)
        await reply.cut()

    assert type(await failure(service, babble)) is ProviderUnavailable


@pytest.mark.parametrize("after_head", [False, True], ids=["before_the_head", "after_it"])
async def test_a_server_that_stalls_is_left_when_it_was_silent_for_too_long(
    service: Service, after_head: bool
) -> None:
    async def stall(asked: Asked, reply: Reply) -> None:
        if after_head:
            await reply.begin()
        await reply.until_left()

    assert type(await failure(service, stall, silence_s=0.05)) is ProviderTimedOut


@pytest.mark.parametrize("arguments", ['{"zo', "[1]", "now"])
async def test_a_call_with_arguments_that_are_no_object_is_a_bad_reply(
    service: Service, arguments: str
) -> None:
    pieces = delta(tool_calls=[part(0, arguments, id="a", name="clock")]), delta("tool_calls"), DONE
    assert type(await failure(service, answering(*pieces))) is ProviderBadReply


async def test_a_server_that_hangs_up_on_a_new_connection_is_not_asked_again(service: Service) -> None:
    assert type(await failure(service, HangsUp(answered=0))) is ProviderUnavailable
    assert len(service.asked) == 1


async def test_it_can_be_asked_whether_it_works_again(service: Service) -> None:
    async with connected(service.url) as llm:
        await llm.probe()
        assert service.asked[0].json["max_tokens"] == 1
        service.handler = failing(503, b"")
        with pytest.raises(ProviderUnavailable):
            await llm.probe()


class TestRefusedConnection(FailureSuite):
    """Nobody listens."""

    expected = ProviderUnavailable
    secrets = (KEY, SECRET_WORDS)

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        async with serving(answering()) as gone:
            pass
        async with connected(gone.url) as llm:
            yield lambda: answer_of(llm, HELLO)


class TestWrongKey(FailureSuite):
    """The service does not know the key, and quotes it."""

    expected = ProviderUnauthorized
    secrets = (KEY, SECRET_WORDS)

    @pytest.fixture
    async def failing(self) -> AsyncIterator[Failing]:
        body = {"error": {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}}
        async with serving(failing(401, body)) as service, connected(service.url) as llm:
            yield lambda: answer_of(llm, HELLO)
