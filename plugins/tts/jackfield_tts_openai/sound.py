"""From the body of an answer, as it comes, to PCM: bare samples, WAV, or anything that can be decoded."""

from __future__ import annotations

import struct
from typing import Final

from jackfield.audio.decode import AudioTooLong, Undecodable, decode
from jackfield.audio.resample import Resampler
from jackfield.audio.sniff import matches_label, sniff
from jackfield.errors import ProviderBadReply

_WIDTH_BYTES: Final = 2
_MAX_HEAD_BYTES: Final = 65_536
_MAX_WHOLE_BYTES: Final = 32 * 1024 * 1024
_MAX_S: Final = 1800.0
_NO_SOUND: Final = ("application/json", "application/xml", "text/")
_NO_SIZE: Final = 0x7FFF_FF00
"""From here on a size in the head of a WAV file is no size: the server began before it knew."""


class SoundReader:
    """Takes a body in whatever portions; one body each. PCM is signed 16-bit little-endian, mono."""

    def __init__(self, media_type: str, rate_hz: int, *, is_compressed: bool = False) -> None:
        """`is_compressed` says that something else than bare samples was asked for.

        :raises ProviderBadReply: for a body that is no sound by its label.
        """
        if media_type.startswith(_NO_SOUND):
            raise ProviderBadReply(f"The service sent {media_type!r} and no sound; check base_url.")
        self._media_type = media_type
        self._rate_hz = rate_hz
        self._is_compressed = is_compressed
        self._held = b""
        self._is_begun = False
        self._resampler: Resampler | None = None
        self._left_bytes: int | None = None
        self.is_whole = False
        """Whether nothing is heard before all is there, so that `finish` has to decode it."""

    def feed(self, portion: bytes) -> bytes:
        """Take the next bytes; gives the whole samples in them at the promised rate, perhaps none.

        :raises ProviderBadReply: when the head of a WAV file is damaged, or too much has to be kept.
        """
        self._held += portion
        if not self._is_begun:
            self._begin()
        if self.is_whole and len(self._held) > _MAX_WHOLE_BYTES:
            raise ProviderBadReply(
                f"The service sent more than {_MAX_WHOLE_BYTES} bytes of compressed sound."
            )
        return self._samples() if self._is_begun and not self.is_whole else b""

    def finish(self) -> bytes:
        """Give what is left. Blocks when `is_whole`.

        :raises ProviderBadReply: when it cannot be decoded.
        """
        if self.is_whole:
            try:
                return decode(self._held, rate_hz=self._rate_hz, max_s=_MAX_S)
            except (Undecodable, AudioTooLong) as error:
                raise ProviderBadReply(
                    f"The service's sound ({self._media_type}) cannot be decoded; set response_format to one "
                    "that it has."
                ) from error
        if not self._is_begun and self._held.startswith(b"RIFF"):
            raise _damaged_head()
        rest = b"" if self._is_begun else self._samples()  # too short for any head
        return rest + (self._resampler.flush() if self._resampler else b"")

    def _begin(self) -> None:
        """Look at the head, once enough of it has come."""
        if len(self._held) < 12:
            return
        container = sniff(self._held)
        if container == "wav":
            self._begin_wav()
            return
        self._is_begun = True
        # The first samples of bare PCM may look like the frame of an MP3 or AAC stream: the label decides.
        if container in ("mp3", "aac") and not (self._is_compressed or self._held.startswith(b"ID3")):
            is_labelled = self._media_type not in ("", "application/octet-stream")
            self.is_whole = is_labelled and matches_label(self._media_type, container)
        else:
            self.is_whole = container is not None

    def _begin_wav(self) -> None:
        at, form = 12, b""
        while len(self._held) >= at + 8:
            name, size_bytes = struct.unpack_from("<4sI", self._held, at)
            at += 8
            if name == b"data":
                self._begin_data(form, at, size_bytes)
                return
            if len(self._held) < at + size_bytes:
                break
            if name == b"fmt ":
                form = self._held[at : at + size_bytes]
            at += size_bytes + size_bytes % 2
        if len(self._held) > _MAX_HEAD_BYTES:
            raise _damaged_head()

    def _begin_data(self, form: bytes, at: int, size_bytes: int) -> None:
        if len(form) < 16:
            raise _damaged_head()
        coding, channels, rate_hz, _bytes_s, _block, bits = struct.unpack_from("<HHIIHH", form)
        self._is_begun = True
        if (coding, channels, bits) != (1, 1, 8 * _WIDTH_BYTES):
            self.is_whole = True
            return
        try:
            self._resampler = Resampler(rate_hz, self._rate_hz)
        except ValueError:
            raise ProviderBadReply(f"The service sent sound at {rate_hz} samples a second.") from None
        self._held = self._held[at:]
        self._left_bytes = size_bytes if 0 < size_bytes < _NO_SIZE else None

    def _samples(self) -> bytes:
        """Cut whole samples off what is held; what follows the sound in a WAV file is left out."""
        whole_bytes = len(self._held) // _WIDTH_BYTES * _WIDTH_BYTES
        pcm, self._held = self._held[:whole_bytes], self._held[whole_bytes:]
        if self._left_bytes is not None:
            pcm = pcm[: self._left_bytes // _WIDTH_BYTES * _WIDTH_BYTES]
            self._left_bytes -= len(pcm)
        return self._resampler.feed(pcm) if self._resampler else pcm


def _damaged_head() -> ProviderBadReply:
    return ProviderBadReply("The service sent a WAV file with a damaged head.")
