"""What /docs says of the routes: requests are read by hand, so FastAPI cannot tell by itself."""

from __future__ import annotations

from typing import Any, Final

from jackfield.web.form import URLENCODED
from jackfield.web.json_object import JSON
from jackfield.web.openapi import errors, form
from jackfield_auth_accounts.fields import MAX_EMAIL_CHARS, MAX_PASSWORD_CHARS, MIN_PASSWORD_CHARS

Json = dict[str, Any]  # JSON schema, as OpenAPI has it

_EMAIL: Final[Json] = {"type": "string", "format": "email", "maxLength": MAX_EMAIL_CHARS}
_PASSWORD: Final[Json] = {"type": "string", "format": "password", "maxLength": MAX_PASSWORD_CHARS}
_USER: Final[Json] = {
    "type": "object",
    "required": ["id", "email", "created_at"],
    "properties": {
        "id": {"type": "string"},
        "email": _EMAIL,
        "created_at": {"type": "string", "format": "date-time"},
    },
}
_TOKEN: Final[Json] = {
    "type": "object",
    "required": ["access_token", "token_type", "expires_in"],
    "properties": {
        "access_token": {"type": "string", "description": "For the header `Authorization: Bearer`."},
        "token_type": {"type": "string", "enum": ["bearer"]},
        "expires_in": {"type": "integer", "description": "Seconds."},
    },
}
_RATE: Final = "`rate_limited`; `Retry-After` says how many seconds to wait"
_BODY: Final = {
    400: "`malformed_body`",
    413: "`body_too_large`",
    415: "`unsupported_media_type`",
    422: "`invalid_request`",
    429: _RATE,
    503: "`store_unavailable`",
}


def _answer(text: str, schema: Json) -> Json:
    return {"description": text, "content": {JSON: {"schema": schema}}}


REGISTER: Final[Json] = {
    "summary": "Open an account",
    "status_code": 201,
    "responses": {
        201: _answer("The account.", _USER),
        **errors({**_BODY, 403: "`registration_closed`", 409: "`email_taken`"}),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                JSON: form(
                    {"email": _EMAIL, "password": {**_PASSWORD, "minLength": MIN_PASSWORD_CHARS}},
                    ["email", "password"],
                )
            },
        }
    },
}

TOKEN: Final[Json] = {
    "summary": "Sign in: OAuth 2.0's password form",
    "responses": {
        200: _answer("A token.", _TOKEN),
        **errors({**_BODY, 401: "`invalid_credentials`"}),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {
                URLENCODED: form(
                    {
                        "username": {**_EMAIL, "description": "The e-mail address."},
                        "password": _PASSWORD,
                        "grant_type": {"type": "string", "enum": ["", "password"]},
                    },
                    ["username", "password"],
                )
            },
        }
    },
}

LOGOUT: Final[Json] = {
    "summary": "Sign out: take the cookie back",
    "status_code": 204,
    "responses": errors({403: "`origin_not_allowed`", 429: _RATE}),
}

ME: Final[Json] = {
    "summary": "Tell who one is",
    "responses": {
        200: _answer("The account of the token.", _USER),
        **errors({401: "`not_authenticated`", 429: _RATE, 503: "`store_unavailable`"}),
    },
    "openapi_extra": {"security": [{"bearer": []}]},
}
