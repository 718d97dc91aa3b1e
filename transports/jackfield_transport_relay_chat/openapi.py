"""What /docs says of relay-chat's routes."""

from __future__ import annotations

from typing import Final

from jackfield.web.chat_form import MAX_SESSION_ID_CHARS
from jackfield.web.form import MULTIPART, URLENCODED
from jackfield.web.openapi import ADMISSION, USER_ID, Json, chat_route, errors, form

_TRANSCRIPT: Final[Json] = {
    "transcript": {"type": "string", "description": "What was understood; only where configured."}
}

CHAT: Final[Json] = chat_route(_TRANSCRIPT)

REFRESH: Final[Json] = {
    "summary": "Restart a session's clock",
    "status_code": 204,
    "responses": errors({**ADMISSION, 404: "`session_not_found`"}),
    "openapi_extra": {
        "parameters": [
            {
                "name": "sessionId",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "maxLength": MAX_SESSION_ID_CHARS},
            }
        ],
        "requestBody": {
            "required": True,
            "content": {kind: form({"userId": USER_ID}, ["userId"]) for kind in (MULTIPART, URLENCODED)},
        },
    },
}
