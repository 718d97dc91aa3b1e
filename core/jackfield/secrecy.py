"""What makes a secret weak, said the same way of every one of them."""

from __future__ import annotations

import re
from typing import Final

LEAST_CHARS: Final = 16
_PLACEHOLDER: Final = re.compile(
    r"(?i)(your[-_ ]|<your|change[-_ ]?me|placeholder|example|secret[-_ ]?key|insecure|password|todo|xxx)"
)


def is_placeholder(secret: str) -> bool:
    """Whether a text only stands where a secret belongs: `your_secure_token_here`."""
    return bool(_PLACEHOLDER.match(secret)) or len(set(secret)) < LEAST_CHARS // 4


def weakness(secret: str) -> str | None:
    """Say what makes a secret weak, as the end of a sentence about it; None when nothing does."""
    if len(secret) < LEAST_CHARS:
        return f"has fewer than {LEAST_CHARS} characters"
    return "looks like a placeholder" if is_placeholder(secret) else None
