"""The leg of a voice socket by itself."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence

import pytest

from jackfield.web.outbox import Outbox
from jackfield_transport_voice_socket.leg import SocketLeg

pytestmark = pytest.mark.anyio


class Encoder:
    def encode(self, pcm: bytes) -> Sequence[bytes]:
        return (pcm,)


async def test_a_closed_leg_lets_go_of_its_encoder_at_once() -> None:
    encoder = Encoder()
    leg = SocketLeg(Outbox(1000, lambda: None), "id", rate_hz=24_000, encode=encoder.encode, lead_s=0.4)
    alive = weakref.ref(encoder)
    del encoder
    gc.disable()
    try:
        leg.close()

        assert alive() is None
    finally:
        gc.enable()
