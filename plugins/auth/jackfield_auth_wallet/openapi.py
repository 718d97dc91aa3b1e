"""What /docs says of the routes: requests are read by hand, so FastAPI cannot tell by itself."""

from __future__ import annotations

from typing import Any, Final

from jackfield.web.json_object import JSON
from jackfield.web.openapi import errors, form
from jackfield_auth_wallet.message import MAX_CHARS

Json = dict[str, Any]  # JSON schema, as OpenAPI has it

_STRING: Final[Json] = {"type": "string"}
_RATE: Final = "`rate_limited`; `Retry-After` says how many seconds to wait"


def _answer(text: str, properties: Json) -> Json:
    return {"description": text, "content": {JSON: form(properties, list(properties))}}


NONCE: Final[Json] = {
    "summary": "Get a nonce for a message to sign",
    "responses": {
        200: _answer("Good for one message.", {"nonce": _STRING, "expires_at": _STRING}),
        **errors({429: _RATE, 503: "`store_unavailable`"}),
    },
}

VERIFY: Final[Json] = {
    "summary": "Sign in with a signed message",
    "responses": {
        200: _answer(
            "A token for the header `Authorization: Bearer`.",
            {
                "access_token": _STRING,
                "token_type": {"type": "string", "enum": ["bearer"]},
                "expires_in": {"type": "integer", "description": "Seconds."},
                "address": {"type": "string", "description": "The user's id: the address in lower case."},
            },
        ),
        **errors(
            {
                400: "`malformed_body`",
                401: "`invalid_signature`, `invalid_nonce`, `expired_message`, `wrong_domain` or "
                "`wrong_chain`",
                413: "`body_too_large`",
                415: "`unsupported_media_type`",
                422: "`invalid_request`",
                429: _RATE,
                503: "`store_unavailable`",
            }
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                JSON: form(
                    {
                        "message": {
                            "type": "string",
                            "maxLength": MAX_CHARS,
                            "description": "What the wallet signed, by EIP-4361.",
                        },
                        "signature": {
                            "type": "string",
                            "description": "Of `personal_sign`: 65 bytes in hexadecimal, after `0x`.",
                        },
                    },
                    ["message", "signature"],
                )
            },
        }
    },
}
