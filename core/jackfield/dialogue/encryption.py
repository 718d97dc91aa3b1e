"""Encryption of what session stores keep for a while, whichever store it is.

AES-256-GCM as in NIST SP 800-38D, with random nonces of 96 bits; a key is good for 2**32 values. What
cannot be opened counts as expired.
"""

from __future__ import annotations

import binascii
import os
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pydantic import SecretStr

from jackfield.contracts.json_object import json_object, preferences_text
from jackfield.contracts.session import Shared, StoredMessage, Window, Windows

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_ANY: Final = "surrogatepass"
"""Stores take every text that Python has, halves of surrogate pairs included."""
_SEALED: Final = "sealed"
"""The one key of sealed preferences."""


def keys_of(secret: SecretStr) -> list[bytes]:
    """Give the keys of a setting: each 32 bytes in base64, the ones after the first behind commas.

    :raises ValueError: when one is something else.
    """
    keys = []
    for number, text in enumerate(secret.get_secret_value().split(","), 1):
        try:
            key = urlsafe_b64decode(text.strip().replace("+", "-").replace("/", "_"))
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != _KEY_BYTES:
            raise ValueError(f"Key {number} is not {_KEY_BYTES} bytes in base64.") from None
        keys.append(key)
    return keys


class Cipher:
    """Seals texts with the first of its keys, and opens what any of them has sealed.

    A sealed text opens only at the place that it was sealed for: whoever can write into the store still
    cannot put the words of one conversation into another.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._ciphers = [AESGCM(key) for key in keys]
        self._invalid = InvalidTag

    def seal(self, text: str, place: str) -> str:
        """Give the sealed text, about four thirds as long and 38 characters more."""
        return self.seal_bytes(text.encode(errors=_ANY), place)

    def open(self, sealed: str, place: str) -> str | None:
        """Give the text; None when it was not sealed by one of the keys, or not for this place."""
        data = self.open_bytes(sealed, place)
        return None if data is None else data.decode(errors=_ANY)

    def seal_bytes(self, data: bytes, place: str) -> str:
        """Seal as `seal` does."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, data, place.encode(errors=_ANY))
        return urlsafe_b64encode(nonce + sealed).decode()

    def open_bytes(self, sealed: str, place: str) -> bytes | None:
        """Open as `open` does."""
        try:
            data = urlsafe_b64decode(sealed)
        except ValueError:  # text of a time without encryption
            return None
        bound = place.encode(errors=_ANY)
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], bound)
            except (self._invalid, ValueError):  # too short for a nonce
                continue
        return None


class EncryptedWindows:
    """Windows of any store, their texts and preferences sealed. Implements `Windows`."""

    def __init__(self, windows: Windows, cipher: Cipher) -> None:
        self._windows = windows
        self._cipher = cipher
        self.ping = windows.ping
        self.size_bytes = windows.size_bytes
        self.touch = windows.touch
        self.delete = windows.delete

    async def append(
        self, key: str, messages: Sequence[StoredMessage], *, max_messages: int, ttl_s: float
    ) -> bool:
        sealed = [
            replace(message, content=self._cipher.seal(message.content, _place(key, message)))
            for message in messages
        ]
        return await self._windows.append(key, sealed, max_messages=max_messages, ttl_s=ttl_s)

    async def load(self, key: str) -> Window | None:
        window = await self._windows.load(key)
        if window is None:
            return None
        opened = [
            (message, self._cipher.open(message.content, _place(key, message))) for message in window.messages
        ]
        messages = tuple(replace(message, content=text) for message, text in opened if text is not None)
        preferences = self._preferences(key, window.preferences)
        return Window(messages, preferences) if messages or preferences else None

    async def set_preferences(self, key: str, preferences: Mapping[str, Any], *, ttl_s: float) -> None:
        text = preferences_text(preferences)
        # Sealing makes them longer, and stores have the same bound.
        sealed = self._cipher.seal_bytes(zlib.compress(text.encode(errors=_ANY)), key)
        await self._windows.set_preferences(key, {_SEALED: sealed}, ttl_s=ttl_s)

    def _preferences(self, key: str, kept: Mapping[str, Any]) -> Mapping[str, Any]:
        sealed = kept.get(_SEALED)
        data = self._cipher.open_bytes(sealed, key) if isinstance(sealed, str) else None
        return json_object(zlib.decompress(data).decode(errors=_ANY)) if data else {}


class EncryptedShared:
    """Shared values of any store, sealed; counters and leases hold no text. Implements `Shared`."""

    def __init__(self, shared: Shared, cipher: Cipher) -> None:
        self._shared = shared
        self._cipher = cipher
        self.ping = shared.ping
        self.size_bytes = shared.size_bytes
        self.count = shared.count
        self.lease = shared.lease
        self.renew = shared.renew
        self.release = shared.release

    async def put(self, key: str, value: str, *, ttl_s: float, only_if_absent: bool = False) -> bool:
        sealed = self._cipher.seal(value, key)
        return await self._shared.put(key, sealed, ttl_s=ttl_s, only_if_absent=only_if_absent)

    async def get(self, key: str) -> str | None:
        return self._opened(key, await self._shared.get(key))

    async def take(self, key: str) -> str | None:
        return self._opened(key, await self._shared.take(key))

    def _opened(self, key: str, sealed: str | None) -> str | None:
        return None if sealed is None else self._cipher.open(sealed, key)


def _place(key: str, message: StoredMessage) -> str:
    return f"{key}\x1f{message.type}\x1f{'user' if message.is_user else 'assistant'}"
