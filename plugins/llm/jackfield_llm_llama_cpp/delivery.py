"""From the worker's thread to the generator that awaits."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence

import anyio

from jackfield.contracts.llm import Finish
from jackfield.errors import ProviderError

Output = str | Finish | ProviderError


class Delivery:
    """What one generation has put out and nobody has taken yet; made on the event loop that takes it."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._outputs: deque[Output] = deque()
        self._woken = anyio.Event()

    def put(self, output: Output) -> None:
        """Add an output, from any thread; `wake` must follow on the loop."""
        self._outputs.append(output)

    def wake(self) -> None:
        """Let `take` look again; only on the loop."""
        self._woken.set()

    async def take(self) -> Output:
        """The next output, when there is one."""
        while not self._outputs:
            self._woken = anyio.Event()
            # Between the look above and the new event an output may have come.
            if not self._outputs:
                await self._woken.wait()
        return self._outputs.popleft()


class Rounds:
    """Wakes all generations that a step gave something to, with one call to each event loop."""

    def __init__(self) -> None:
        self._waiting: defaultdict[asyncio.AbstractEventLoop, list[Delivery]] = defaultdict(list)

    def put(self, delivery: Delivery, output: Output) -> None:
        """Give an output to a generation; it is woken by the next `send`."""
        delivery.put(output)
        self._waiting[delivery.loop].append(delivery)

    def send(self) -> None:
        """Wake them."""
        for loop, deliveries in self._waiting.items():
            try:
                loop.call_soon_threadsafe(_wake, deliveries)
            except RuntimeError:
                # The loop was closed under its generators: nobody is left to wake.
                continue
        self._waiting.clear()


def _wake(deliveries: Sequence[Delivery]) -> None:
    for delivery in deliveries:
        delivery.wake()
