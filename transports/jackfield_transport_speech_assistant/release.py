"""What aiortc leaves to be done around the end of a connection."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec

if TYPE_CHECKING:
    from aiortc import RTCPeerConnection, RTCSctpTransport

_P = ParamSpec("_P")
_SENDERS: Final = ("_transmit", "_data_channel_flush")


def let_go_quietly(sctp: RTCSctpTransport) -> None:
    """Have what still sends events give up without a word once the connection is gone.

    aiortc sends them in tasks that nobody waits for, whose error would be logged with its traceback whenever
    a browser vanishes.

    :raises AttributeError: when this aiortc sends in another way.
    """
    for name in _SENDERS:
        setattr(sctp, name, _quiet(getattr(type(sctp), name), weakref.proxy(sctp)))


def _quiet(
    send: Callable[Concatenate[RTCSctpTransport, _P], Awaitable[None]], sctp: RTCSctpTransport
) -> Callable[_P, Awaitable[None]]:
    async def sent(*args: _P.args, **kwargs: _P.kwargs) -> None:
        with suppress(ConnectionError):
            await send(sctp, *args, **kwargs)

    return sent


async def close(connection: RTCPeerConnection) -> None:
    """Close a connection and have its memory free at once.

    Its parts hold one another, and the garbage collector looks at what is old only now and then.
    """
    transports = {transceiver.receiver.transport for transceiver in connection.getTransceivers()}
    if connection.sctp is not None:
        transports.add(connection.sctp.transport)
    await connection.close()
    for transport in transports:
        transport.remove_all_listeners()
        transport.transport._connection._check_list.clear()
