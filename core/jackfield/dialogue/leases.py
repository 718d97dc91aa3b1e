"""Who may run the turns of a conversation, where several servers share a store."""

from __future__ import annotations

import logging
from typing import Final

import anyio

from jackfield.contracts.session import Lease, Shared
from jackfield.dialogue.sessions import SessionService
from jackfield.errors import StoreUnavailable

logger = logging.getLogger(__name__)

_TTL_S: Final = 15.0
"""After which the conversations of a server that died are free again."""
_RENEW_S: Final = 4.0
_FIRST_WAIT_S: Final = 0.02
_LONGEST_WAIT_S: Final = 0.25


class TurnLeases:
    """Leases on conversations, held while a turn runs and renewed by `run`."""

    def __init__(self, shared: Shared, sessions: SessionService) -> None:
        self._shared = shared
        self._sessions = sessions
        self._held: set[Lease] = set()

    async def take(self, key: str) -> Lease:
        """Wait until no other server runs a turn of the conversation.

        :raises StoreUnavailable: when the store does not answer.
        """
        wait_s = _FIRST_WAIT_S
        while True:
            with anyio.CancelScope(shield=True):  # one that is granted to nobody would hold up the next turn
                lease = await self._sessions.in_time(self._shared.lease(_name(key), ttl_s=_TTL_S))
            if lease is not None:
                self._held.add(lease)
                return lease
            await anyio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    async def give_back(self, lease: Lease) -> None:
        """Let others take the conversation; without the store they can when the lease is over."""
        self._held.discard(lease)
        with anyio.CancelScope(shield=True):
            try:
                await self._sessions.in_time(self._shared.release(lease))
            except StoreUnavailable as error:
                logger.warning("a conversation cannot be given back to other servers yet: %s", error)

    async def run(self) -> None:
        """Renew what is held, until cancelled."""
        while True:
            await anyio.sleep(_RENEW_S)
            async with anyio.create_task_group() as tasks:  # a store that is slow is slow for each of them
                for lease in list(self._held):
                    tasks.start_soon(self._renew, lease)

    async def _renew(self, lease: Lease) -> None:
        try:
            kept = await self._sessions.in_time(self._shared.renew(lease, ttl_s=_TTL_S))
        except StoreUnavailable as error:
            logger.warning("the right to a conversation cannot be renewed: %s", error)
            return
        if not kept and lease in self._held:
            self._held.discard(lease)
            logger.warning("another server may run a turn of the same conversation: the lease was lost")


def _name(key: str) -> str:
    return f"turn:{key}"
