"""Text on its way from who writes an answer to who speaks it."""

from __future__ import annotations

from collections import deque
from typing import Final

import anyio

_MOST_PIECES: Final = 64
"""Pieces that may wait to be spoken; who is further ahead waits."""


class Script:
    """Pieces that can be spoken, in their order. One task writes them while another reads them."""

    def __init__(self, max_pieces: int = _MOST_PIECES) -> None:
        self._max_pieces = max_pieces
        self._pieces: deque[str] = deque()
        self._over = False
        self._wanted: anyio.Event | None = None  # by the one of the two that cannot go on

    async def write(self, piece: str) -> None:
        """Add a piece; waits while too many were not read. After the end it is dropped."""
        while len(self._pieces) >= self._max_pieces and not self._over:
            await self._change()
        if not self._over:
            self._pieces.append(piece)
            self._changed()

    async def read(self) -> str | None:
        """Give the next piece, None when there will be none."""
        while not self._pieces:
            if self._over:
                return None
            await self._change()
        piece = self._pieces.popleft()
        self._changed()
        return piece

    def end(self) -> None:
        """No more pieces come, or nobody wants them. What was written can still be read."""
        self._over = True
        self._changed()

    async def _change(self) -> None:
        self._wanted = anyio.Event()
        await self._wanted.wait()

    def _changed(self) -> None:
        if self._wanted is not None:
            self._wanted.set()
            self._wanted = None
