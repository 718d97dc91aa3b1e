"""Reading a JSON object off the wire, with a limit."""

from __future__ import annotations

import json
from typing import Any, Final

from starlette.requests import Request

from jackfield.errors import ProtocolError

JSON: Final = "application/json"


async def read_object(request: Request, max_bytes: int) -> dict[str, Any]:
    """Give the object in the body of a request.

    :raises ProtocolError: 400 `malformed_body`, 413 `body_too_large`, 415 `unsupported_media_type`.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ProtocolError(415, "unsupported_media_type", f"Send the body as {JSON}.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > max_bytes:
            raise ProtocolError(413, "body_too_large", "The request is too large.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(found, dict):
        raise _malformed()
    return found


def _malformed() -> ProtocolError:
    return ProtocolError(400, "malformed_body", "The body is not a JSON object.")
