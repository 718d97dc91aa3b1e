"""Run inside a network namespace of its own: starts the default server and asks it once each way.

The namespace has one interface, the loopback one, and it is down. It is brought up with a system call,
because the command that could do it is not on every machine.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import tempfile
from pathlib import Path
from typing import Final

from jackfield.testing.recordings import record
from tests.acceptance.offline import OfflineServer
from tests.voices import recording

_SIOCSIFFLAGS: Final = 0x8914  # netdevice(7)
_IFF_UP: Final = 0x1
_RATE_HZ: Final = 48_000


def bring_loopback_up() -> None:
    """Set the flag that `ip link set lo up` sets."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


def main() -> None:
    """Start, ask, say so."""
    names = [name for _, name in socket.if_nameindex()]
    if names != ["lo"]:
        raise SystemExit(f"There are other interfaces: {names}")
    bring_loopback_up()
    with tempfile.TemporaryDirectory() as folder, OfflineServer(Path(folder, "server")) as server:
        if not server.ask("What is the capital of France?"):
            raise SystemExit("no answer to text")
        sound = record(recording("two_cities", _RATE_HZ)[: _RATE_HZ * 2 * 6], "webm")
        answer = server.say(sound, "audio/webm")
        if not server.fetch(answer["audioUrl"]).content:
            raise SystemExit("no spoken answer")
    print("text and voice were answered")


if __name__ == "__main__":
    main()
