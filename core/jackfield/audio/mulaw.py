"""G.711 mu-law, the sound of telephones: one byte a sample, at 8 000 samples a second."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from jackfield.audio.pcm import WIDTH_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RATE_HZ: Final = 8_000
"""Samples a second of a telephone line."""

_BIAS: Final = 33
_LOUDEST: Final = 8191 - _BIAS  # of the 14 bits that the code covers


def encode_mulaw(pcm: bytes) -> bytes:
    """Encode PCM, signed 16-bit little-endian, mono, at any rate; gives one byte a sample.

    :raises ValueError: when it is not a whole number of samples.
    """
    import numpy as np

    if len(pcm) % WIDTH_BYTES:
        raise ValueError(f"encode_mulaw() needs whole samples of {WIDTH_BYTES} bytes; got {len(pcm)} bytes")
    codes: NDArray[np.uint8] = _codes()[np.frombuffer(pcm, "<u2")]
    return codes.tobytes()


def decode_mulaw(data: bytes) -> bytes:
    """Decode to PCM, signed 16-bit little-endian, mono. Every byte is a sample."""
    import numpy as np

    samples: NDArray[np.int16] = _samples()[np.frombuffer(data, np.uint8)]
    return samples.tobytes()


@cache
def _samples() -> NDArray[np.int16]:
    """The sample of each code."""
    import numpy as np

    code = 255 - np.arange(256)  # a code goes over the line with its bits turned over
    segment, step = code >> 4 & 7, code & 15
    magnitude = ((2 * step + _BIAS) << segment) - _BIAS
    samples: NDArray[np.int16] = (np.where(code & 128, -magnitude, magnitude) << 2).astype("<i2")
    return samples


@cache
def _codes() -> NDArray[np.uint8]:
    """The code of each sample, which as an unsigned number is the index."""
    import numpy as np

    sample = np.arange(65_536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(sample), _LOUDEST) + _BIAS
    segment = np.log2(magnitude).astype(np.int32) - 5
    code = segment << 4 | magnitude >> segment + 1 & 15
    codes: NDArray[np.uint8] = np.where(sample < 0, 127 - code, 255 - code).astype(np.uint8)
    return codes
