"""The events of a `text/event-stream`: what follows `data:`, an event at a time."""

from __future__ import annotations

from typing import Final

from jackfield.errors import ProviderBadReply

_MAX_EVENT_BYTES: Final = 4 * 1024 * 1024


class EventReader:
    """Cuts a stream of bytes, in whatever portions it comes, into the data of its events.

    Names of events, ids and comments are left out. White space round the data stays, which JSON does not
    mind: so `data:` with and without a space, and lines that end in a carriage return, cost nothing.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size_bytes = 0

    def feed(self, portion: bytes) -> list[bytes]:
        """Data of the events that are complete now.

        :raises ProviderBadReply: when an event is larger than 4 MiB.
        """
        lines = (self._rest + portion).split(b"\n")
        self._rest = lines.pop()
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
                self._size_bytes += len(line)
            elif self._data and line in (b"", b"\r"):
                events.append(self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
                self._data = []
                self._size_bytes = 0
        if self._size_bytes + len(self._rest) > _MAX_EVENT_BYTES:
            raise ProviderBadReply(f"The service sent an event of more than {_MAX_EVENT_BYTES} bytes.")
        return events
