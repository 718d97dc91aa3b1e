"""Who may ask, and how often."""

from __future__ import annotations

from starlette.requests import HTTPConnection

from jackfield.addresses import network_of
from jackfield.contracts.auth import UserId
from jackfield.contracts.panel import Panel
from jackfield.web.admission import signed_in


class Admission:
    """The user of a connection: whoever signed in, or the one anonymous user of a door without sign-in."""

    def __init__(self, panel: Panel) -> None:
        self._panel = panel

    async def request(self, connection: HTTPConnection) -> UserId:
        """Let in a request over HTTP, and count it.

        :raises ProtocolError: 401 `not_authenticated`, 429 `rate_limited`.
        """
        return await signed_in(self._panel, connection) or self.anonymous()

    async def message(self, connection: HTTPConnection, user: UserId, *, counted: bool = False) -> None:
        """Count a message; `counted` when its request was let in by `request`.

        Those who have not signed in have an allowance for each address, not one for all of them.

        :raises ProtocolError: 429 `rate_limited`.
        """
        limits = self._panel.limits
        if user.authenticated:
            if not counted:
                await limits.check_user(user)
            return
        if not counted:
            await limits.check_address(connection)
        await limits.check_user(self._panel.claimed(f"address:{network_of(connection)}"))

    def anonymous(self) -> UserId:
        """The user whose all chats are where nobody signs in."""
        return self._panel.claimed("")
