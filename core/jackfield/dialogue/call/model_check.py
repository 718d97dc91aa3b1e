"""Whether a speech-to-speech model takes a session now."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from jackfield.assembly import Built
from jackfield.contracts.extension import Event
from jackfield.contracts.failover import Failover
from jackfield.contracts.realtime import Realtime, RealtimeSettings
from jackfield.dialogue.failures import report
from jackfield.errors import ProviderError, ProviderTimedOut, ProviderUnavailable


async def check_model(
    model: Built[Realtime], *, open_s: float, failover_s: float, publish: Callable[[Event], None]
) -> None:
    """Open a session within `open_s` seconds, `failover_s` for one model of a chain, and give it back.

    :raises ProviderError: when there is none; observers and the log have been told of it.
    """
    try:
        with anyio.move_on_after(open_s) as scope:
            async with model.object.session(RealtimeSettings(failover=Failover(failover_s))):
                pass
        if scope.cancelled_caught:
            raise ProviderTimedOut("no session came about in time")
    except ProviderError as error:
        report(model, error, publish)
        raise
    except Exception as error:  # noqa: BLE001  # a plugin is somebody else's code
        report(model, error, publish)
        raise ProviderUnavailable("the model failed") from None
