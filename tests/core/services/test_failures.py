"""What a service's answer with an error status becomes."""

from __future__ import annotations

import pytest

from jackfield.errors import (
    ContentFiltered,
    ContextTooLong,
    ProviderBadReply,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderUnauthorized,
    ProviderUnavailable,
)
from jackfield.services import error_in_answer, refusal

WORDS = "the password is swordfish"


@pytest.mark.parametrize(
    ("status", "body", "category"),
    [
        (400, {"error": {"code": "context_length_exceeded"}}, ContextTooLong),
        (400, {"error": {"message": "This model's maximum context length is 9 tokens."}}, ContextTooLong),
        (400, {"code": "content_filter"}, ContentFiltered),
        (400, {"error": {"code": "model_not_found"}}, ProviderBadReply),
        (400, {"error": {"code": "invalid_value"}}, ProviderRefused),
        (400, f"<html>{WORDS}", ProviderRefused),
        (401, None, ProviderUnauthorized),
        (404, {"detail": WORDS}, ProviderBadReply),
        (429, {"error": {"code": "insufficient_quota"}}, ProviderUnauthorized),
        (429, {"error": WORDS}, ProviderRateLimited),
        (302, "", ProviderBadReply),
        (502, [WORDS], ProviderUnavailable),
    ],
)
def test_status_and_codes_decide(status: int, body: object, category: type[ProviderError]) -> None:
    assert type(refusal(status, body, {})) is category


def test_the_message_has_status_codes_and_request_id_and_not_the_service_s_words() -> None:
    body = {"error": {"message": WORDS, "code": "invalid_value", "type": f"quoting {WORDS}"}}
    message = str(refusal(400, body, {"x-request-id": "req_1"}))
    assert (
        message == "The service answered 400, request req_1 (invalid_value): it does not accept the request."
    )


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_is_asked_for_is_told(headers: dict[str, str], wait_s: float | None) -> None:
    assert refusal(429, None, headers).retry_after_s == wait_s


@pytest.mark.parametrize(
    ("error", "category"),
    [
        ({"code": 429, "message": WORDS}, ProviderRateLimited),
        ({"code": "rate_limit_exceeded"}, ProviderRateLimited),
        ({"type": "server_error"}, ProviderUnavailable),
        (WORDS, ProviderUnavailable),
        (7, ProviderUnavailable),
    ],
)
def test_an_error_within_an_answer_has_its_category(error: object, category: type[ProviderError]) -> None:
    found = error_in_answer(error)
    assert type(found) is category
    assert WORDS not in str(found)
