"""A browser's offer, as far as it is looked at before anything is opened."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from aiortc.sdp import SessionDescription

from jackfield.errors import ProtocolError

logger = logging.getLogger(__name__)

MAX_OFFER_BYTES: Final = 65_536
MAX_SECTIONS: Final = 8
"""Each opens sockets before it is known that they share one."""
MAX_CANDIDATES: Final = 64
"""Each is tried with each of this end's."""
_SENDING: Final = ("sendrecv", "sendonly")
_RECEIVING: Final = ("sendrecv", "recvonly")


@dataclass(frozen=True, slots=True)
class OfferedSound:
    """What an offer has."""

    hears: bool
    """Whether the browser sends sound."""
    speaks: bool
    """Whether the browser takes sound."""
    has_opus: bool
    has_channel: bool


def look_at(offer: str) -> OfferedSound:
    """Give what an offer (SDP) has.

    :raises ProtocolError: 422 `invalid_sdp`.
    """
    if len(offer.encode(errors="replace")) > MAX_OFFER_BYTES:
        raise invalid_sdp(f"It has more than {MAX_OFFER_BYTES} bytes.")
    try:
        return _sound(SessionDescription.parse(offer))
    except ProtocolError:
        raise
    except Exception as error:  # noqa: BLE001  # a parser of others, which meets a stranger's text
        raise not_understood(error) from None  # the cause may quote it


def invalid_sdp(why: str) -> ProtocolError:
    """The refusal of an offer."""
    return ProtocolError(422, "invalid_sdp", f"The offer cannot be taken. {why}")


def not_understood(error: Exception) -> ProtocolError:
    """The refusal of an offer that others' code makes nothing of."""
    logger.info("an offer cannot be answered: %s", type(error).__name__)
    return invalid_sdp("It cannot be understood.")


def _sound(description: SessionDescription) -> OfferedSound:
    sound = [media for media in description.media if media.kind == "audio" and media.port]
    if not sound:
        raise invalid_sdp("It has no audio section.")
    if len(description.media) > MAX_SECTIONS:
        raise invalid_sdp(f"It has more than {MAX_SECTIONS} sections.")
    if sum(len(media.ice_candidates) for media in description.media) > MAX_CANDIDATES:
        raise invalid_sdp(f"It has more than {MAX_CANDIDATES} candidates.")
    _check_bundles(description)
    direction = sound[0].direction or "sendrecv"
    channel = any(media.kind == "application" for media in description.media)
    opus = any(codec.name.lower() == "opus" for codec in sound[0].rtp.codecs)
    found = OfferedSound(direction in _SENDING, direction in _RECEIVING, opus, channel)
    if not (found.hears or found.speaks):
        raise invalid_sdp("Its audio section neither sends nor receives.")
    return found


def _check_bundles(description: SessionDescription) -> None:
    """Who bundles sections has each of them, and names it once: aiortc believes that without looking."""
    kinds = ("audio", "video", "application")
    mids = [media.rtp.muxId for media in description.media if media.kind in kinds]
    named = [str(mid) for group in description.group if group.semantic == "BUNDLE" for mid in group.items]
    if any(mids.count(mid) != 1 or named.count(mid) != 1 for mid in named):
        raise invalid_sdp("It bundles what is not one of its sections.")
