"""Who posts a message: signing in, the user that the form names, and their rates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.errors import ProtocolError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection


async def signed_in(panel: Panel, connection: HTTPConnection) -> UserId | None:
    """Give the authenticated user, None when the door has no authentication; counts the request.

    :raises ProtocolError: 401 `not_authenticated`, 429 `rate_limited`, 503 when nobody can be signed in.
    """
    user = await panel.identify(connection)
    if user is None:
        await panel.limits.check_address(connection)
    else:
        await panel.limits.check_user(user)
    return user


async def named_user(panel: Panel, claimed: str, authenticated: UserId | None) -> UserId:
    """Give the user that `userId` of a form names; counts the request of one who has not signed in.

    :raises ProtocolError: 403 `user_mismatch` when somebody else signed in, 429 `rate_limited`.
    """
    if authenticated is None:
        user = panel.claimed(claimed)
        await panel.limits.check_user(user)
        return user
    if not panel.is_user(claimed, authenticated):
        raise ProtocolError(403, "user_mismatch", "userId is not the user who signed in.")
    return authenticated
