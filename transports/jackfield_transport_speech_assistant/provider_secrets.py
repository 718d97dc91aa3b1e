"""Keys of the provider's, handed out in the place of this server's own."""

from __future__ import annotations

from dataclasses import dataclass

from jackfield.contracts.call import CallRequest
from jackfield.contracts.panel import Panel
from jackfield.errors import ProtocolError, ProviderError
from jackfield_transport_speech_assistant.book import Book, Session
from jackfield_transport_speech_assistant.provider_errors import refusal_of


@dataclass(frozen=True, slots=True)
class ProviderSecrets:
    """Pages open calls at the provider with them. They admit to the session here, too."""

    panel: Panel
    book: Book
    ttl_s: float

    async def give(self, session: Session, request: CallRequest) -> tuple[Session, str]:
        """Have a key made for a session; gives the session that it admits to. Without one it is closed.

        :raises ProtocolError: 502 `provider_failed`, 503 `provider_rate_limited`, 504 `provider_timeout`.
        """
        try:
            secret = await self.panel.forwarding.client_secret(request, self.ttl_s)
        except (ProtocolError, ProviderError) as error:
            await self.book.close(session)
            raise (refusal_of(error) if isinstance(error, ProviderError) else error) from None
        return await self.book.entrust(session, secret.value, secret.expires_s), secret.value
