"""What makes a secret weak, said the same way of every one of them."""

from __future__ import annotations

import re
from typing import Final

LEAST_CHARS: Final = 16
_PLACEHOLDER: Final = re.compile(
    r"[<\[{]?(your|my|change|replace|insert|enter|placeholder|example|secret[-_ ]?key|insecure|password"
    r"|todo|xxx)"
    r"[a-z]*([-_ .][a-z]+)*[>\]}]?\d{0,4}"
)
"""Words, perhaps with a few digits behind them; a random secret has more digits, or capitals in its midst."""


def is_placeholder(secret: str) -> bool:
    """Whether a text only stands where a secret belongs: `your_secure_token_here`."""
    plain = secret.lower() if secret.isupper() else secret
    return bool(_PLACEHOLDER.fullmatch(plain)) or len(set(secret)) < LEAST_CHARS // 4


def weakness(secret: str) -> str | None:
    """Say what makes a secret weak, as the end of a sentence about it; None when nothing does."""
    if len(secret) < LEAST_CHARS:
        return f"has fewer than {LEAST_CHARS} characters"
    return "looks like a placeholder" if is_placeholder(secret) else None
