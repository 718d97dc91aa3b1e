"""Whether Twilio has sent a request, which it proves by a signature with the account's token."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from jackfield.contracts.panel import Limits
from jackfield.errors import ProtocolError

_HEADER: Final = "x-twilio-signature"


class Signatures:
    """Verifies signatures over the addresses that Twilio called, which only the public URL tells: a proxy
    changes what the server itself sees of them, and `Host` says whatever the client likes."""

    def __init__(self, auth_token: str, public_url: str) -> None:
        """:raises ModuleNotFoundError: without the extra `twilio`."""
        from twilio.request_validator import RequestValidator

        self._validator = RequestValidator(auth_token)
        self._public_url = public_url

    def check(self, connection: HTTPConnection, fields: QueryParams | None = None) -> None:
        """Let a request pass. `fields` are those of a form.

        :raises ProtocolError: 403 `invalid_signature`.
        """
        signature = connection.headers.get(_HEADER, "")
        path: bytes = connection.scope.get("raw_path") or connection.scope["path"].encode()
        url = self._public_url + path.decode("latin-1")
        if connection.scope["type"] == "websocket":
            url = socket_url(url)
            # Some of its servers sign the address of a socket with a slash at the end.
            good = self._is_good(url, None, signature) or self._is_good(f"{url}/", None, signature)
        else:
            query = connection.scope["query_string"].decode("latin-1")
            good = self._is_good(f"{url}?{query}" if query else url, fields, signature)
        if not good:
            raise ProtocolError(403, "invalid_signature", "The request does not bear Twilio's signature.")

    def _is_good(self, url: str, fields: QueryParams | None, signature: str) -> bool:
        return bool(self._validator.validate(url, fields or QueryParams(), signature))


async def check_signed(
    signatures: Signatures | None,
    limits: Limits,
    connection: HTTPConnection,
    fields: QueryParams | None = None,
) -> None:
    """Let a request pass that is signed, or any when there are no `signatures` to ask for.

    :raises ProtocolError: 403 `invalid_signature`, or 429 `rate_limited` for whoever goes on trying.
    """
    if signatures is None:
        return
    try:
        signatures.check(connection, fields)
    except ProtocolError:
        await limits.check_address(connection)  # not before: all of Twilio's requests come from few addresses
        raise


def socket_url(url: str) -> str:
    """Give the address of a WebSocket: `wss:` for `https:`, and `ws:` for `http:`."""
    return "ws" + url.removeprefix("http")
