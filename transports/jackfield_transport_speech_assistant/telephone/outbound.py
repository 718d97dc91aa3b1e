"""Calls that the server makes, by Twilio's REST API."""

from __future__ import annotations

import json
import logging
import re
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from jackfield.errors import FieldError, ProtocolError
from jackfield_transport_speech_assistant.telephone.options import E164

if TYPE_CHECKING:
    import aiohttp

    from jackfield_transport_speech_assistant.telephone.options import TelephoneOptions

logger = logging.getLogger(__name__)

NUMBER: Final = re.compile(E164)
SID: Final = re.compile(r"[A-Za-z0-9]{1,64}")
_MAX_ANSWER_BYTES: Final = 64 * 1024
_RETRY_AFTER_S: Final = "5"
_BAD_NUMBERS: Final = frozenset({13223, 13224, 21201, 21211, 21214, 21215, 21216, 21217, 21401})
"""Twilio's codes for numbers that are none, or that the account may not call."""


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: dict[str, object]
    retry_after: str


class Dialler:
    """Makes calls. Its connections last one call each: there are few."""

    def __init__(self, options: TelephoneOptions) -> None:
        assert options.account_sid is not None
        assert options.auth_token is not None
        assert options.phone_number is not None
        self._account = options.account_sid.get_secret_value()
        self._token = options.auth_token.get_secret_value()
        self._from = options.phone_number.get_secret_value()
        self._calls = options.calls

    async def call(self, number: str, webhook: str) -> str:
        """Have Twilio call a number, and ask `webhook` what to do when somebody answers; gives the call's id.

        :raises ProtocolError: 422 `invalid_request` for a number that cannot be called, 502
            `provider_failed`, 503 `provider_rate_limited`, 504 `provider_timeout`.
        """
        import aiohttp

        form = {
            "To": number,
            "From": self._from,
            "Url": webhook,
            "Method": "POST",
            "Timeout": str(self._calls.ring_s),
        }
        limit = aiohttp.ClientTimeout(total=self._calls.time_limit_s)
        login = b64encode(f"{self._account}:{self._token}".encode()).decode()
        headers = {"Authorization": f"Basic {login}"}
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, headers=headers) as session,
                session.post(self._url, data=form, allow_redirects=False) as response,
            ):
                answer = await _read(response)
        except TimeoutError:
            raise ProtocolError(504, "provider_timeout", "Twilio did not answer in time.") from None
        except aiohttp.ClientError as error:
            logger.warning("Twilio cannot be reached: %s", type(error).__name__)
            raise _failed() from None
        return _sid(answer)

    @property
    def _url(self) -> str:
        return f"{self._calls.api_url}/2010-04-01/Accounts/{self._account}/Calls.json"


def checked_number(found: object) -> str:
    """Give a number that may be called.

    :raises ProtocolError: 422 `invalid_request`.
    """
    if not isinstance(found, str) or not NUMBER.fullmatch(found):
        raise _bad_number()
    return found


async def _read(response: aiohttp.ClientResponse) -> _Answer:
    data = bytearray()
    async for chunk in response.content.iter_any():
        data += chunk
        if len(data) > _MAX_ANSWER_BYTES:
            data.clear()
            break
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    named = response.headers.get("Retry-After", "")
    return _Answer(response.status, body if isinstance(body, dict) else {}, named)


def _sid(answer: _Answer) -> str:
    sid = answer.body.get("sid")
    if answer.status in (200, 201) and isinstance(sid, str) and SID.fullmatch(sid):
        return sid
    code = answer.body.get("code")
    if answer.status == 400 and code in _BAD_NUMBERS:
        raise _bad_number()
    logger.warning(
        "Twilio made no call: status %d, code %s", answer.status, code if isinstance(code, int) else "none"
    )
    if answer.status == 429:
        wait_s = answer.retry_after if answer.retry_after.isdecimal() else _RETRY_AFTER_S
        detail = "Twilio takes no more calls now; try again later."
        raise ProtocolError(503, "provider_rate_limited", detail, headers={"Retry-After": wait_s})
    raise _failed()


def _failed() -> ProtocolError:
    return ProtocolError(502, "provider_failed", "Twilio did not make the call.")


def _bad_number() -> ProtocolError:
    message = "It must be a telephone number such as +18005551212, and one that may be called."
    return ProtocolError(
        422, "invalid_request", "The number cannot be called.", (FieldError("to", "invalid", message),)
    )
