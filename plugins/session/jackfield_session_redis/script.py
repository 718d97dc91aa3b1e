"""A Lua script, which Redis runs as one step."""

from __future__ import annotations

import hashlib


class Script:
    """Source text, and the digest by which Redis knows it once it has seen it."""

    def __init__(self, source: str) -> None:
        self.source = source.strip().encode()
        self.digest = hashlib.sha1(self.source, usedforsecurity=False).hexdigest()
