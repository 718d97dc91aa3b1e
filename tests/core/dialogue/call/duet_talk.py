"""Calls with the model of `duet`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio

from tests.core.dialogue.call.duet import Duet
from tests.core.dialogue.call.talk import Exchange, Talk

CALLS = {"call": {"pipeline": "realtime"}}
LONG = "Rome was not built in a day. Nor was Paris, nor was Berlin. It all took quite some time, as it does."


def exchange(folder: Path, duet: Duet, **others: Any) -> Exchange:
    config = CALLS | others.pop("config", {})
    return Exchange(folder, realtime=duet, config=config, **others)


async def lost(talk: Talk) -> None:
    with anyio.fail_after(30):
        await talk.ended.wait()
