"""From a message to its answer: the backend's, or the fallback's."""

from __future__ import annotations

import time
from dataclasses import replace

from jackfield import Site, StoreUnavailable
from jackfield.contracts.panel import Panel
from jackfield_transport_smart_proxy.answers import Answer, Away, understand
from jackfield_transport_smart_proxy.asked import Asked
from jackfield_transport_smart_proxy.availability import Availability
from jackfield_transport_smart_proxy.clips import Clips
from jackfield_transport_smart_proxy.fallback import Fallback
from jackfield_transport_smart_proxy.upstream import Unreachable, Upstream


class Service:
    """Answers messages. One that the backend may have seen is never sent to it again."""

    def __init__(
        self,
        panel: Panel,
        site: Site,
        upstream: Upstream,
        availability: Availability,
        clips: Clips,
        fallback: Fallback,
    ) -> None:
        self._site = site
        self._upstream = upstream
        self._availability = availability
        self._clips = clips
        self._fallback = fallback
        self._warned = False
        mount = site.mount or "/"
        self._mount = mount
        metrics = panel.metrics
        self._seconds = metrics.histogram(
            "jackfield_proxy_seconds", "Seconds that the backend took for a message.", ["mount"]
        )
        self._fallbacks = metrics.counter(
            "jackfield_fallback_total", "Messages that the fallback answered.", ["mount"]
        )
        available = metrics.gauge(
            "jackfield_backend_available", "1 while messages are passed on to the backend.", ["mount"]
        )
        available.set(0, mount)
        availability.changed = lambda there: available.set(there, mount)

    async def answer(self, asked: Asked) -> Answer:
        """Answer a message.

        :raises ProtocolError: when neither can, or the backend refuses the message.
        """
        if self._availability.available:
            answer = await self._forwarded(asked)
            if answer is not None:
                return answer
        answer = await self._fallback.answer(asked)
        self._fallbacks.inc(self._mount)
        return answer

    async def _forwarded(self, asked: Asked) -> Answer | None:
        """Give the backend's answer; None when the backend is gone."""
        began_s = time.perf_counter()
        outcome, source = "given up", "none"
        try:
            reply = await self._upstream.answer(asked.outgoing())
            outcome, source = str(reply.status), "upstream"
            answer = understand(reply)
        except (Away, Unreachable) as error:
            outcome, source = str(error), "fallback"
            self._lost(error)
            return None
        finally:
            seconds = time.perf_counter() - began_s
            self._seconds.observe(seconds, self._mount)
            self._site.logger.info(
                "forwarded: upstream %s in %d ms, source %s", outcome, round(seconds * 1000), source
            )
        self._warned = False
        return await self._renamed(answer)

    def _lost(self, error: Exception) -> None:
        self._availability.lost(str(error))
        if isinstance(error, Away) and error.foreign and not self._warned:
            self._warned = True
            self._site.logger.warning(
                "%s is healthy and takes no messages (%s): something else is listening there",
                self._upstream.url,
                error,
            )

    async def _renamed(self, answer: Answer) -> Answer:
        if answer.audio_url is None:
            return answer
        try:
            return replace(answer, audio_url=await self._clips.renamed(answer.audio_url))
        except StoreUnavailable as error:
            self._site.logger.warning("a spoken answer cannot be given a name: %s", error)
            return replace(answer, type="text", audio_url=None, degraded=True)
